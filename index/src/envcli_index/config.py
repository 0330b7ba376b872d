"""Settings of one index: a frozen dataclass read from ``config.toml`` in the data directory."""

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import tomli_w

from envcli_index.errors import ConfigError
from envcli_index.trust.files import SECRET_MODE, write_whole

CONFIG_NAME = "config.toml"


@dataclass(frozen=True, kw_only=True)
class IndexConfig:
    """Everything a process of the index needs to know, and where its files lie.

    Attributes:
        data: root of the index's data; every other path is below it.
        public_url: where readers find the public tree, without a trailing slash.
        devpi_url: where publishers upload (the write path).
        authority_url: certificate authority of the private Sigstore service.
        log_url: transparency log of the private Sigstore service.
        web_url: the site; it issues identities and API tokens.
        upstream_index: simple index that vetting resolves third-party dependencies from, or ``None`` for
            none.
        first_party: directory of the wheels that plugins need from this project, such as the SDK, or
            ``None``.
        database_url: SQLAlchemy URL; SQLite in the data directory unless set.
        osv_url: OSV API that vetting asks for known vulnerabilities; the public process' own unless set.
    """

    data: Path
    public_url: str
    devpi_url: str
    authority_url: str
    log_url: str
    web_url: str
    upstream_index: str | None = None
    first_party: Path | None = None
    database_url: str = ""
    osv_url: str = ""

    @classmethod
    def load(cls, data: Path) -> Self:
        """Read the settings that ``envcli-index init`` wrote.

        Args:
            data: the index's data directory.

        Raises:
            ConfigError: no settings there, no valid TOML, or a setting missing, unknown or of the wrong type.
        """
        data = data.absolute()
        path = data / CONFIG_NAME
        try:
            settings = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigError(f"no index at {data}", remedy=f"Run envcli-index init --data {data}") from None
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"cannot read {path}: {error}", remedy="Correct the file") from error
        return cls(data=data, **_checked(settings, path))

    def save(self) -> None:
        """Write the settings to ``config.toml``, for its owner alone: the database's URL may hold a password.

        The data directory must exist.
        """
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "data"}
        settings = {name: str(value) for name, value in values.items() if value not in {None, ""}}
        write_whole(self.data / CONFIG_NAME, tomli_w.dumps(settings).encode(), SECRET_MODE)

    @property
    def engine_url(self) -> str:
        """SQLAlchemy URL of the database that the plugin, the gate and the worker share."""
        return self.database_url or f"sqlite:///{self.data / 'index.db'}"

    @property
    def audit_url(self) -> str:
        """OSV query address for pip-audit's ``--osv-url``."""
        return self.osv_url or f"{self.public_url}/osv/v1/query"

    @property
    def public(self) -> Path:
        """The public tree that readers are served from."""
        return self.data / "public"

    @property
    def keys(self) -> Path:
        """Directory of private keys, one sub-directory per process."""
        return self.data / "keys"

    @property
    def credentials(self) -> Path:
        """Directory of the bearer tokens of the internal routes, one file per process."""
        return self.data / "credentials"

    @property
    def run_dir(self) -> Path:
        """Directory of heartbeats."""
        return self.data / "run"

    @property
    def statements(self) -> Path:
        """Content-addressed store of signed statements: ``<sha256>`` files."""
        return self.data / "statements"

    @property
    def closure(self) -> Path:
        """Dependency wheels that vetting resolved: ``<sha256>/<filename>``."""
        return self.data / "closure"

    @property
    def devpi_dir(self) -> Path:
        """devpi's server directory."""
        return self.data / "devpi"

    @property
    def downloads(self) -> Path:
        """Spool of download events, one JSON line each, one file per process and day."""
        return self.data / "downloads"


_PATHS = frozenset({"first_party"})


def _checked(settings: dict[str, Any], path: Path) -> dict[str, Any]:
    known = {f.name for f in fields(IndexConfig)} - {"data"}
    required = {"public_url", "devpi_url", "authority_url", "log_url", "web_url"}
    unknown, missing = settings.keys() - known, required - settings.keys()
    if unknown or missing:
        wrong = ", ".join(sorted(unknown)) or ", ".join(sorted(missing))
        raise ConfigError(
            f"{path}: {'unknown' if unknown else 'missing'} setting {wrong}", remedy="Correct the file"
        )
    for name, value in settings.items():
        if not isinstance(value, str):
            raise ConfigError(f"{path}: {name} must be a string", remedy="Put the value in quotes")
    return {
        name: Path(value) if name in _PATHS else value.rstrip("/") if name.endswith("_url") else value
        for name, value in settings.items()
    }
