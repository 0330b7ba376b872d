"""The broker decides by grants alone, takes nothing on trust, and masks what it released."""

import base64
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from envcli_host.config import HostPaths
from envcli_host.plugins.broker import PluginBroker, Redactor
from envcli_host.plugins.file_scopes import file_scopes
from envcli_host.plugins.instances import InstanceConfig, VariableReference
from envcli_host.plugins.vault import PluginVault, key_file
from envcli_sdk import PermissionName, PermissionRequest, Secret
from hypothesis import given
from hypothesis import strategies as st


class MemoryProject:
    """A project that lives in memory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.kept = {"dev": {"API_KEY": "dev-value", "OTHER": "other"}, "prod": {"API_KEY": "prod-value"}}

    def plugin_config(self, name: str) -> Mapping[str, Any]:
        return {}

    def environments(self) -> tuple[str, ...]:
        return tuple(self.kept)

    def values(self, environment: str) -> Mapping[str, str]:
        return self.kept.get(environment, {})

    def update(self, environment: str, changes: Mapping[str, str | None]) -> None:
        for name, value in changes.items():
            self.kept[environment].pop(name, None)
            if value is not None:
                self.kept[environment][name] = value


def make(
    tmp_path: Path, *grants: tuple[str, str], with_project: bool = True
) -> tuple[PluginBroker, MemoryProject, Redactor]:
    paths, project, redactor = (
        HostPaths.below(tmp_path / "home"),
        MemoryProject(tmp_path / "project"),
        Redactor(),
    )
    requests = [PermissionRequest(PermissionName(name), scope, "x") for name, scope in grants]
    config = InstanceConfig(
        "default",
        {"region": "eu"},
        {"token": Secret("tok-en-value"), "key": VariableReference("dev", "API_KEY")},
    )
    said: list[tuple[str, str]] = []
    broker = PluginBroker(
        requests,
        file_scopes(requests, project.root, paths),
        config,
        project if with_project else None,
        PluginVault("demo", paths),
        redactor,
        lambda level, message: said.append((level, message)),
    )
    broker.said = said  # type: ignore[attr-defined]
    return broker, project, redactor


ASKS = {
    "variable.read": {"environment": "dev", "name": "API_KEY"},
    "variable.write": {"environment": "dev", "name": "NEW", "value": "x"},
    "variable.list": {"environment": "dev"},
    "file.open": {"path": "/etc/passwd", "mode": "r"},
    "file.list": {"pattern": "/etc/*"},
    "network.connect": {"host": "127.0.0.1", "port": 1},
    "api.call": {"name": "environments.names"},
    "crypto.random": {"size": 4},
    "crypto.sign": {"data": ""},
    "crypto.seal": {"data": "eA=="},
    "crypto.unseal": {"data": "eA=="},
}


@pytest.mark.parametrize("ask", list(ASKS))
def test_without_a_grant_everything_is_denied(tmp_path: Path, ask: str) -> None:
    broker, project, _ = make(tmp_path)
    before = {name: dict(values) for name, values in project.kept.items()}
    reply = broker.handle(ask, ASKS[ask])
    assert reply.denied
    assert (reply.result, reply.fds, project.kept) == (None, (), before)


@pytest.mark.parametrize(
    ("scope", "environment", "name", "allowed"),
    [
        ("dev:API_KEY", "dev", "API_KEY", True),
        ("dev:API_*", "dev", "API_KEY", True),
        ("API_*", "prod", "API_KEY", True),
        ("*:API_KEY", "prod", "API_KEY", True),
        ("dev:API_*", "prod", "API_KEY", False),
        ("dev:api_*", "dev", "API_KEY", False),
        ("dev:API", "dev", "API_KEY", False),
        ("d*:OTHER", "dev", "OTHER", True),
    ],
)
def test_variables_by_scope(
    tmp_path: Path, scope: str, environment: str, name: str, *, allowed: bool
) -> None:
    broker, project, _ = make(tmp_path, ("variable:read", scope), ("variable:write", scope))
    read = broker.handle("variable.read", {"environment": environment, "name": name})
    written = broker.handle("variable.write", {"environment": environment, "name": name, "value": None})

    assert (read.denied is None, written.denied is None) == (allowed, allowed)
    assert (name in project.kept[environment]) is not allowed
    assert read.subject == f"{environment}:{name}"


def test_released_values_are_masked_from_then_on(tmp_path: Path) -> None:
    broker, _, redactor = make(tmp_path, ("variable:read", "dev:*"))
    broker.handle("variable.read", {"environment": "dev", "name": "API_KEY"})
    broker.handle("config.get", {"name": "token"})
    broker.notice("log", {"level": "info", "message": "dev-value and tok-en-value"})
    broker.notice("progress", {"done": 1})

    assert broker.said == [("info", "•••••• and ••••••")]  # type: ignore[attr-defined]
    assert "other" in redactor.clean("other")


def test_configuration_is_the_plugins_own_and_secrets_only_one_by_one(tmp_path: Path) -> None:
    broker, _, _ = make(tmp_path)
    assert broker.handle("config.get", {"name": "token"}).result == "tok-en-value"
    assert broker.handle("config.get", {"name": "key"}).result == "dev-value"
    assert broker.handle("config.get", {"name": "region"}).denied
    answer = broker.handle("api.call", {"name": "configuration.get", "arguments": {"name": "token"}}).result
    assert answer == {"secret": True, "value": None}


def test_missing_things_fail_and_are_not_denied(tmp_path: Path) -> None:
    broker, _, _ = make(tmp_path, ("variable:read", "*:*"))
    assert broker.handle("variable.read", {"environment": "dev", "name": "NONE"}).failed
    outside, _, _ = make(tmp_path, ("variable:read", "*:*"), with_project=False)
    assert outside.handle("variable.read", {"environment": "dev", "name": "NONE"}).failed


def test_crypto_is_bound_to_the_plugin_and_tamper_evident(tmp_path: Path) -> None:
    broker, _, _ = make(tmp_path, ("api:call", "crypto.*"))
    data = base64.b64encode(b"data").decode()
    sealed = broker.handle("crypto.seal", {"data": data}).result
    signed = broker.handle("crypto.sign", {"data": data}).result

    assert broker.handle("crypto.unseal", {"data": sealed}).result == data
    assert broker.handle("crypto.sign", {"data": data}).result == signed
    assert broker.handle("crypto.unseal", {"data": data}).failed
    assert broker.handle("crypto.seal", {"data": "?"}).denied
    assert len(base64.b64decode(broker.handle("crypto.random", {"size": 8}).result)) == 8
    assert broker.handle("crypto.random", {"size": 10**9}).denied
    key = key_file("demo", HostPaths.below(tmp_path / "home"))
    assert key.stat().st_mode & 0o777 == 0o600


def test_files_open_without_following_links(tmp_path: Path) -> None:
    (tmp_path / "project" / "in").mkdir(parents=True)
    (tmp_path / "project" / "in" / "a.txt").write_text("content")
    (tmp_path / "project" / "in" / "link.txt").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "project" / "in" / "pipe.txt")
    broker, _, _ = make(tmp_path, ("file:read", "./in/*.txt"), ("file:write", "./in/b.txt"))
    opened = broker.handle("file.open", {"path": "./in/a.txt", "mode": "r"})
    with os.fdopen(opened.fds[0]) as stream:
        assert stream.read() == "content"
    written = broker.handle("file.open", {"path": "./in/b.txt", "mode": "w"})
    os.close(written.fds[0])

    for path, mode in (
        ("link.txt", "r"),
        ("pipe.txt", "r"),
        ("a.txt", "w"),
        ("none.txt", "r"),
        ("../../x", "r"),
    ):
        reply = broker.handle("file.open", {"path": f"./in/{path}", "mode": mode})
        assert reply.denied or reply.failed
        assert not reply.fds
    listed = broker.handle("file.list", {"pattern": "./in/*"}).result
    assert [Path(path).name for path in listed] == ["a.txt", "b.txt", "pipe.txt"]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2),
    max_leaves=3,
)
names = st.sampled_from(
    ["environment", "name", "value", "path", "mode", "pattern", "host", "port", "size", "data", "arguments"]
)


@given(st.sampled_from([*ASKS, "config.get", "nothing.there"]), st.dictionaries(names, values, max_size=4))
def test_any_parameters_are_answered_and_nothing_is_given(
    tmp_path_factory: pytest.TempPathFactory, ask: str, params: dict[str, object]
) -> None:
    broker, _, _ = make(tmp_path_factory.mktemp("x"))
    reply = broker.handle(ask, params)
    own_configuration = ask == "api.call" and params.get("name") == "configuration.get"
    assert reply.denied or reply.failed or own_configuration
    assert not reply.fds
