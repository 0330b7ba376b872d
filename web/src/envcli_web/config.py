"""Settings of the site, read once from ``config.toml`` in its data directory."""

import os
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import tomli_w

from envcli_web.errors import ConfigurationError
from envcli_web.files import write_private

CONFIG_NAME = "config.toml"
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class WebConfig:
    """Settings of one site.

    Attributes:
        data: directory of the database, the keys and the run files; absolute.
        url: public URL of the site without a trailing slash; also the OIDC issuer.
        index_url: public URL of the index's rendered tree, which the catalog is projected from.
        upload_url: URL that publishers upload to; only shown.
        index_root_sha256: SHA-256 (hexadecimal) of the index's first TUF root; with it, the catalog follows only events
            that the index's gate signed.
        database: SQLAlchemy URL; empty means SQLite in ``data``.
        trusted_proxies: number of reverse proxies whose X-Forwarded-* headers are believed.
        testing: turns Flask's own testing flag on.
    """

    data: Path
    url: str
    index_url: str
    upload_url: str = ""
    index_root_sha256: str = ""
    database: str = field(default="", repr=False)
    trusted_proxies: int = 0
    testing: bool = False

    def __post_init__(self) -> None:
        """Normalise the URLs and refuse settings that cannot work."""
        for name in ("url", "index_url", "upload_url"):
            value = getattr(self, name)
            if value or name != "upload_url":
                object.__setattr__(self, name, _checked_url(name, value))
        if self.index_root_sha256 and not SHA256.fullmatch(self.index_root_sha256):
            raise ConfigurationError(
                "index_root_sha256 is no SHA-256",
                remedy="Give the 64 hexadecimal digits of envcli-index init",
            )
        object.__setattr__(self, "data", self.data.absolute())

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of the site's database."""
        return self.database or f"sqlite:///{self.data / 'web.db'}"

    @property
    def keys(self) -> Path:
        """Directory of the secret keys, mode 0700."""
        return self.data / "keys"

    @property
    def is_https(self) -> bool:
        """Whether browsers reach the site by https, so that cookies may be marked Secure."""
        return self.url.startswith("https:")

    @classmethod
    def load(cls, data: Path) -> "WebConfig":
        """Read the settings of the site in ``data``.

        Raises:
            ConfigurationError: the file is missing, is not TOML or holds an unknown or wrong setting.
        """
        path = data / CONFIG_NAME
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
            return cls(data=data, **values)
        except FileNotFoundError as error:
            raise ConfigurationError(
                f"No site in {data}",
                remedy=f"Create it with: envcli-web init --data {data} --url URL --index-url URL",
            ) from error
        except (tomllib.TOMLDecodeError, TypeError, OSError) as error:
            raise ConfigurationError(
                f"{path} cannot be used: {error}", remedy="Correct or remove it"
            ) from error

    def save(self) -> None:
        """Write the settings to ``config.toml``, readable by the owner alone (it may name a database password)."""
        values = {
            "url": self.url,
            "index_url": self.index_url,
            "upload_url": self.upload_url,
            "index_root_sha256": self.index_root_sha256,
            "database": self.database,
            "trusted_proxies": self.trusted_proxies,
        }
        self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(self.data / CONFIG_NAME, tomli_w.dumps(values).encode())


def _checked_url(name: str, value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ConfigurationError(
            f"{name} {value!r} is not an http or https URL", remedy="Give one like https://host"
        )
    return value.rstrip("/")


def data_directory(argument: str | None) -> Path:
    """Return the data directory named on the command line or by ``ENVCLI_WEB_DATA``.

    Raises:
        ConfigurationError: neither names one.
    """
    chosen = argument or os.environ.get("ENVCLI_WEB_DATA")
    if not chosen:
        raise ConfigurationError(
            "No data directory was given", remedy="Use --data DIR or set ENVCLI_WEB_DATA"
        )
    return Path(chosen).absolute()
