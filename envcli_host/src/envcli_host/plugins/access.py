"""What the runtime needs of a project: a seam that the environments' store fills."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol


class ProjectAccess(Protocol):
    """A project, as far as plugins may be let at it. The broker checks grants before it calls any of this."""

    @property
    def root(self) -> Path:
        """Folder of the project; relative file scopes start here."""

    def plugin_config(self, name: str) -> Mapping[str, Any]:
        """Table of a plugin (``id``) or of its named instance (``id@instance``) in the project's configuration."""

    def environments(self) -> tuple[str, ...]:
        """Names of all environments."""

    def values(self, environment: str) -> Mapping[str, str]:
        """Variables of an environment.

        Raises:
            EnvironmentStoreError: there is no such environment.
        """

    def update(self, environment: str, changes: Mapping[str, str | None]) -> None:
        """Set the variables that have a value, remove those that have None, atomically."""
