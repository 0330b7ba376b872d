"""Where the host keeps its files.

``ENVCLI_HOME`` moves all of them below one directory; without it the platform's own directories are used
(XDG on Linux). Nothing is created here: whoever writes a file creates its directory with mode 0700.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from envcli_host.errors import ConfigError

HOME_VARIABLE = "ENVCLI_HOME"


@dataclass(frozen=True)
class HostPaths:
    """Directories and files of one user's host.

    Attributes:
        data: installed plugins and pinned trust.
        config: files the user may edit.
        state: audit log and records of what was seen when.
        cache: can be deleted at any time.
    """

    data: Path
    config: Path
    state: Path
    cache: Path

    @classmethod
    def from_environment(cls) -> Self:
        """Read ``ENVCLI_HOME`` or fall back to the platform's directories.

        Raises:
            ConfigError: it is a relative path.
        """
        home = os.environ.get(HOME_VARIABLE)
        if not home:
            return cls._of_platform()
        if not os.path.isabs(home):  # noqa: PTH117 - pathlib is the slower way
            raise ConfigError(
                f"{HOME_VARIABLE} is the relative path {home!r}, which is another folder in every working folder",
                remedy=f"Give the whole path, for example {os.path.abspath(home)}",  # noqa: PTH100
            )
        return cls.below(Path(home))

    @classmethod
    def below(cls, home: Path) -> Self:
        """All four directories below ``home``, made absolute."""
        home = Path(os.path.abspath(home))  # noqa: PTH100 - symbolic links of the home stay as the user wrote them
        return cls(home / "data", home / "config", home / "state", home / "cache")

    @classmethod
    def _of_platform(cls) -> Self:
        import platformdirs

        found = platformdirs.PlatformDirs("envcli", appauthor=False)
        return cls(found.user_data_path, found.user_config_path, found.user_state_path, found.user_cache_path)

    @property
    def plugins_dir(self) -> Path:
        """One directory per installed plugin version."""
        return self.data / "plugins"

    @property
    def registry_file(self) -> Path:
        """Compiled list of installed plugins and what they contribute."""
        return self.data / "registry.json"

    @property
    def grants_file(self) -> Path:
        """What the user has granted to each plugin."""
        return self.config / "grants.json"

    @property
    def audit_file(self) -> Path:
        """Append-only JSON lines."""
        return self.state / "audit.jsonl"

    @property
    def indexes_dir(self) -> Path:
        """One directory per index with its pinned root and its last verified TUF metadata."""
        return self.data / "indexes"

    @property
    def indexes_file(self) -> Path:
        """Names and addresses of the configured indexes."""
        return self.config / "indexes.toml"

    @property
    def token_file(self) -> Path:
        """The account's API token (mode 0600), unless ``ENVCLI_TOKEN`` holds it."""
        return self.config / "token"
