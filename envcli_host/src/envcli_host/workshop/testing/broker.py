"""The host's own decisions, over a project kept in memory, with a record of what was refused."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from envcli_sandbox import Reply
from envcli_sandbox.network import parse_grant
from envcli_sdk import PermissionName, PermissionRequest

from envcli_host.config import HostPaths
from envcli_host.errors import EnvironmentStoreError
from envcli_host.plugins.broker import PluginBroker, Redactor
from envcli_host.plugins.file_scopes import FileScope, file_scopes
from envcli_host.plugins.instances import InstanceConfig
from envcli_host.plugins.vault import PluginVault


class MemoryProject:
    """A project whose environments are dictionaries."""

    def __init__(self, root: Path, environments: Mapping[str, Mapping[str, str]]) -> None:
        self._root = root
        self.contents = {name: dict(variables) for name, variables in environments.items()}

    @property
    def root(self) -> Path:
        """Folder of the project."""
        return self._root

    def plugin_config(self, name: str) -> Mapping[str, Any]:  # noqa: ARG002 - the test configures directly
        """No configuration of its own."""
        return {}

    def environments(self) -> tuple[str, ...]:
        """Names of all environments."""
        return tuple(self.contents)

    def values(self, environment: str) -> Mapping[str, str]:
        """Variables of an environment."""
        try:
            return self.contents[environment]
        except KeyError:
            raise EnvironmentStoreError(f"there is no environment {environment!r}") from None

    def update(self, environment: str, changes: Mapping[str, str | None]) -> None:
        """Set variables that have a value, remove those that have None."""
        kept = self.contents.setdefault(environment, {})
        for name, value in changes.items():
            if value is None:
                kept.pop(name, None)
            else:
                kept[name] = value


class RecordingBroker:
    """Decides as the host does, and keeps what was refused and logged.

    Args:
        project: whose environments may be asked for.
        grants: resolved permissions that are in force.
        config: configuration of the instance.
        paths: a private home for the plugin's keys.
    """

    def __init__(
        self,
        project: MemoryProject,
        grants: Iterable[PermissionRequest],
        config: InstanceConfig,
        paths: HostPaths,
    ) -> None:
        self.project = project
        self.denied: list[str] = []
        self.log: list[tuple[str, str]] = []
        granted = tuple(grants)
        self.files: tuple[FileScope, ...] = file_scopes(granted, project.root, paths)
        self._hosts = [
            parse_grant(grant.scope)
            for grant in granted
            if grant.permission is PermissionName.NETWORK_CONNECT
        ]
        self._inner = PluginBroker(
            granted,
            self.files,
            config,
            project,
            PluginVault("plugin-under-test", paths),
            Redactor(),
            lambda level, message: self.log.append((level, message)),
        )

    def handle(self, ask: str, params: Mapping[str, Any]) -> Reply:
        """Decide one ask."""
        reply = self._inner.handle(ask, params)
        if reply.denied is not None:
            self.denied.append(f"{ask} {reply.subject}".strip())
        return reply

    def notice(self, kind: str, payload: Mapping[str, Any]) -> None:
        """Keep log lines."""
        self._inner.notice(kind, payload)

    def readable(self, environment: str, name: str) -> bool:
        """Whether ``variable:read`` covers a variable."""
        return self._inner.readable(environment, name)

    def allows_connection(self, host: str, port: int) -> bool:
        """Whether a network grant names ``host`` and ``port``."""
        return any(grant.is_for(host, port) for grant in self._hosts)
