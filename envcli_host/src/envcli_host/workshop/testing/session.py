"""One plugin under test, behind the same guest and the same decisions in both modes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from envcli_sandbox import Mount, NullAudit, SandboxCallError, SandboxRequest, open_sandbox
from envcli_sdk import (
    Command,
    EnvironmentValidation,
    Event,
    PermissionName,
    PermissionRequest,
    PluginError,
    PluginManifest,
    Result,
    SdkError,
    Secret,
    parse_manifest,
    resolve_request,
    validate_config,
    verify_scope,
)
from envcli_sdk import errors as sdk_errors
from envcli_sdk.wire import command_to_wire, event_to_wire, result_from_wire

from envcli_host.config import HostPaths
from envcli_host.plugins.instances import InstanceConfig
from envcli_host.workshop.project import PluginProject
from envcli_host.workshop.testing.broker import MemoryProject, RecordingBroker
from envcli_host.workshop.testing.inprocess import InProcessGuest


class Caller(Protocol):
    """Where calls go: a sandbox, or a thread of this process."""

    def call(self, method: str, params: dict[str, Any]) -> Any:
        """Call the guest and return its JSON answer."""


class PluginUnderTest:
    """A started plugin with a handle on everything around it.

    Attributes:
        environments: the project's environments, as they are now.
        folder: the project's folder.
        denied: every refused ask, as ``"ask subject"``.
        log: ``(level, message)`` of every line the plugin logged.
    """

    def __init__(self, broker: RecordingBroker, caller: Caller) -> None:
        self._broker = broker
        self._caller = caller

    @property
    def environments(self) -> dict[str, dict[str, str]]:
        """The project's environments, as they are now."""
        return self._broker.project.contents

    @property
    def folder(self) -> Path:
        """The project's folder."""
        return self._broker.project.root

    @property
    def denied(self) -> list[str]:
        """Every refused ask, as ``"ask subject"``."""
        return self._broker.denied

    @property
    def log(self) -> list[tuple[str, str]]:
        """Every line the plugin logged, as ``(level, message)``."""
        return self._broker.log

    def execute(self, command: Command) -> Result:
        """Carry out a command; errors of the SDK arrive as what they are, others as `PluginError`.

        As in the host, the variables of an `EnvironmentValidation` are reduced to those that may be read.
        """
        if isinstance(command, EnvironmentValidation):
            readable = (v for v in command.variables if self._broker.readable(v.environment, v.name))
            command = replace(command, variables=tuple(readable))
        return result_from_wire(self._call("execute", {"command": command_to_wire(command)}), command)

    def handle_event(self, event: Event) -> None:
        """Tell the plugin of an event."""
        self._call("handle_event", {"event": event_to_wire(event)})

    def initialize(self, values: Mapping[str, Any], secrets: Sequence[str]) -> None:
        """Start the plugin's life; the fixture has done it already."""
        self._call("initialize", {"config": dict(values), "secrets": list(secrets), "instance": "default"})

    def cleanup(self) -> None:
        """End the plugin's life; the fixture does it."""
        self._call("cleanup", {})

    def _call(self, method: str, params: dict[str, Any]) -> Any:
        try:
            return self._caller.call(method, params)
        except SandboxCallError as error:
            raise _as_sdk_error(error) from error


@contextmanager
def open_plugin_under_test(
    project: PluginProject,
    *,
    folder: Path,
    config: Mapping[str, object],
    environments: Mapping[str, Mapping[str, str]],
    grants: Sequence[str] | None,
    tree: Path | None,
) -> Iterator[PluginUnderTest]:
    """Open ``project``'s plugin, in the sandbox where ``tree`` (its import root) is given.

    Raises:
        SdkError: manifest, configuration or a grant is malformed, or the plugin failed to start.
    """
    manifest = parse_manifest(project.manifest_file().read_bytes())
    values = validate_config(manifest.config, config)
    plain = {name: value for name, value in values.items() if not isinstance(value, Secret)}
    secrets = {name: value for name, value in values.items() if isinstance(value, Secret)}
    broker = RecordingBroker(
        MemoryProject(folder, environments),
        _granted(manifest, plain, grants),
        InstanceConfig("default", plain, secrets),
        HostPaths.below(folder.with_name(f"{folder.name}-home")),
    )
    with _open_caller(project, broker, tree) as caller:
        plugin = PluginUnderTest(broker, caller)
        plugin.initialize(plain, tuple(secrets))
        yield plugin
        plugin.cleanup()


@contextmanager
def _open_caller(project: PluginProject, broker: RecordingBroker, tree: Path | None) -> Iterator[Caller]:
    if tree is None:
        with InProcessGuest(project.entry, broker) as guest:
            yield guest
    else:
        mounts = tuple(
            Mount(scope.base, readonly=not scope.writable)
            for scope in broker.files
            if not scope.pattern and scope.base.exists()
        )
        request = SandboxRequest(tree=tree, entry=project.entry, mounts=mounts)
        with open_sandbox(request, broker, NullAudit()) as sandbox:
            yield sandbox


def _granted(
    manifest: PluginManifest, values: Mapping[str, Any], lines: Sequence[str] | None
) -> tuple[PermissionRequest, ...]:
    if lines is None:
        resolved = [resolve_request(request, values) for request in manifest.permissions]
        return tuple(request for request in resolved if request is not None)
    return tuple(_parse_grant(line) for line in lines)


def _parse_grant(line: str) -> PermissionRequest:
    name, _, scope = line.partition(" ")
    request = PermissionRequest(PermissionName(name), scope.strip(), "granted by the test")
    verify_scope(request)
    return request


def _as_sdk_error(error: SandboxCallError) -> Exception:
    known: Callable[[str], Exception] | None = getattr(sdk_errors, error.type_name, None)
    if isinstance(known, type) and issubclass(known, SdkError):
        return known(error.detail)
    return PluginError(f"{error.type_name}: {error.detail}")
