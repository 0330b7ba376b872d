"""Where the parts of a marketplace listen. Written once: the URLs are part of every identity it issues."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import tomli_w

from envcli_web.errors import ConfigurationError
from envcli_web.files import write_private

FILE_NAME = "market.toml"
SERVERS = ("web", "devpi", "public", "authority", "log")


@dataclass(frozen=True)
class MarketSettings:
    """Settings of one marketplace.

    Attributes:
        data: directory of everything; absolute.
        host: address that all parts listen on.
        ports: TCP port of each of ``SERVERS``.
    """

    data: Path
    host: str
    ports: dict[str, int]

    def url(self, server: str) -> str:
        """Return the base URL of one of ``SERVERS``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.ports[server]}"

    @property
    def web(self) -> Path:
        """Data directory of the site."""
        return self.data / "web"

    @property
    def index(self) -> Path:
        """Data directory of the index."""
        return self.data / "index"

    @property
    def logs(self) -> Path:
        """Directory of the parts' logs."""
        return self.data / "logs"

    @property
    def root_metadata(self) -> Path:
        """The first TUF root, whose digest users pin."""
        return self.index / "public" / "tuf" / "metadata" / "1.root.json"

    @classmethod
    def load(cls, data: Path) -> Self:
        """Read the settings of the marketplace in ``data``.

        Raises:
            ConfigurationError: there is none, or the file cannot be used.
        """
        path = data / FILE_NAME
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
            ports = {name: int(values["ports"][name]) for name in SERVERS}
            return cls(data=data.absolute(), host=str(values["host"]), ports=ports)
        except FileNotFoundError as error:
            raise ConfigurationError(
                f"No marketplace in {data}", remedy=f"Create one with: envcli-market up --data {data}"
            ) from error
        except (tomllib.TOMLDecodeError, KeyError, ValueError, TypeError, OSError) as error:
            raise ConfigurationError(f"{path} cannot be used: {error}", remedy="Correct it") from error

    def save(self) -> None:
        """Write the settings."""
        write_private(self.data / FILE_NAME, tomli_w.dumps({"host": self.host, "ports": self.ports}).encode())
