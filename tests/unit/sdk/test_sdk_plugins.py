"""Plugins as authors write them, run without a host."""

import asyncio
import re
import subprocess
import sys
from dataclasses import dataclass

import envcli_sdk
import pytest
from envcli_sdk import (
    Changes,
    Command,
    CommandResult,
    Context,
    CustomCommand,
    EnvironmentScan,
    Event,
    Finding,
    Fix,
    Integration,
    PermissionDeniedError,
    Plugin,
    PluginError,
    Result,
    SdkError,
    Secret,
    Severity,
    UnsupportedCommandError,
    Var,
    collect,
    command,
    on,
    report,
    rule,
    step,
)
from envcli_sdk.testing import running


@dataclass
class StoreConfig:
    prefix: str = "env"
    token: Secret | None = None


class Store(Integration):
    scheme, config = "store", StoreConfig

    def initialize(self, ctx: Context) -> None:
        self.ctx = ctx
        self.kept = {"prod": {"A": "1"}}

    async def pull(self, env: str) -> dict[str, Secret]:
        return {
            f"{self.ctx.config.prefix}_{name}": Secret(value, "v1") for name, value in self.kept[env].items()
        }

    def push(self, env: str, changes: Changes) -> None:
        for name, secret in changes.set.items():
            self.kept[env][name] = secret.value + self.ctx.config.token.value
        for name in changes.delete:
            del self.kept[env][name]


def test_an_integration_pulls_and_pushes() -> None:
    with running(Store, config={"prefix": "x"}, secrets={"token": "!"}) as plugin:
        assert plugin.push("prod", {"B": "2", "A": None}) == ("B", "A")
        pulled = plugin.pull("prod")

    assert {name: (secret.value, secret.version) for name, secret in pulled.items()} == {"x_B": ("2!", "v1")}
    assert [name for name, _ in plugin.host.asked] == ["config.get"]


def test_an_integration_refuses_other_commands() -> None:
    with (
        running(Store) as plugin,
        pytest.raises(UnsupportedCommandError, match="Store does not support EnvironmentScan"),
    ):
        plugin.execute(EnvironmentScan(()))


class Tool(Plugin):
    done: list[str]

    def initialize(self, ctx: Context) -> None:
        self.ctx, self.done = ctx, []

    @command("greet")
    async def greet(self, name: str) -> str:
        return f"hello {name}"

    @report("summary")
    def summary(self) -> dict[str, int]:
        return {"variables": len(self.ctx.api.environments.variables("dev"))}

    def undo_first(self) -> None:
        self.done.append("undo")

    @step("deploy", undo=undo_first)
    def first(self, *, dry_run: bool) -> None:
        self.done.append(f"first {dry_run}")

    @step("deploy")
    async def second(self, *, dry_run: bool) -> str:
        if not dry_run:
            raise ValueError("no luck")
        return "would deploy"

    @on("sync.completed")
    async def heard(self, event: Event) -> None:
        self.done.append(event.name)


def test_commands_reports_and_events_are_routed() -> None:
    with running(Tool, environments={"dev": {"A": "1"}}) as plugin:
        assert plugin.run("greet", "you").output == "hello you"
        assert plugin.run("summary", kind="report").data == {"variables": 1}
        plugin.publish("sync.completed/1", {"environment": "dev"})
        plugin.publish("env.switched/1")
        assert plugin.plugin.done == ["sync.completed/1"]


def test_a_workflow_undoes_what_was_done() -> None:
    with running(Tool) as plugin:
        assert plugin.run("deploy", kind="workflow", dry_run=True) == CommandResult(
            "first: done\nsecond: would deploy"
        )
        with pytest.raises(PluginError, match="step second failed: no luck"):
            plugin.run("deploy", kind="workflow")
        assert plugin.plugin.done == ["first True", "first False", "undo"]


@pytest.mark.parametrize("kind", ["command", "report", "workflow"])
def test_unknown_names_are_unsupported(kind: str) -> None:
    with running(Tool) as plugin, pytest.raises(UnsupportedCommandError, match="nothing"):
        plugin.run("nothing", kind=kind)


@rule(
    "no-localhost",
    match=r"_URL$",
    severity=Severity.error,
    fix=lambda var: var.value.replace("localhost", "host"),
)
def no_localhost(var: Var) -> object:
    if "localhost" in var.value:
        yield f"{var.name} points at localhost"


@rule("not-empty")
async def not_empty(var: Var) -> Finding | None:
    return None if var.value else Finding(f"{var.name} is empty", fix=Fix(None))


def test_rules_find_and_repair() -> None:
    with running(collect(no_localhost, not_empty)) as plugin:
        found = plugin.validate({"A_URL": "http://localhost/", "B": "localhost", "C": ""})

    assert [(f.rule, f.variable, f.severity) for f in found] == [
        ("no-localhost", "A_URL", Severity.error),
        ("not-empty", "C", Severity.warning),
    ]
    assert found[0].fix is not None
    assert found[0].fix.value == Secret("http://host/")
    assert found[1].fix == Fix(None)


def test_a_plugin_without_rules_says_so() -> None:
    with running(Tool) as plugin, pytest.raises(UnsupportedCommandError):
        plugin.validate({"A": "1"})


def test_the_context_asks_for_everything() -> None:
    environments = {"dev": {"A": "1"}, "prod": {"A": "2"}}
    with running(
        Tool, config={"x": 1}, secrets={"s": "t"}, environments=environments, denied=["variable.read prod:A"]
    ) as plugin:
        api = plugin.plugin.ctx.api
        api.environments.set("dev", "B", Secret("2"))
        api.environments.delete("dev", "A")
        assert api.environments.names() == ("dev", "prod")
        assert api.environments.get("dev", "B").value == "2"
        assert (api.configuration.get("x"), api.configuration.get("none")) == (1, None)
        assert api.configuration.get("s").value == "t"
        assert len(api.crypto.random(16)) == 16
        assert api.crypto.unseal(api.crypto.seal(b"data")) == b"data"
        with pytest.raises(PluginError):
            api.crypto.unseal(b"x" * 64)
        with pytest.raises(PermissionDeniedError):
            api.environments.get("prod", "A")
        with pytest.raises(PluginError, match="no variable dev:A"):
            api.environments.get("dev", "A")


def test_files_are_opened_by_the_host(tmp_path: object) -> None:
    with running(Tool) as plugin:
        files = plugin.plugin.ctx.api.files
        files.write_text(f"{tmp_path}/x", "grüße")
        assert files.read_text(f"{tmp_path}/x") == "grüße"
        with pytest.raises(PluginError, match="none of r, w, a"):
            files.open(f"{tmp_path}/x", "r+")


def test_secrets_do_not_show_themselves() -> None:
    secret = Secret("s3cr3t", "7")
    shown = f"{secret} {secret!r} {secret:>10} {[secret]} {Var('A', 's3cr3t')} {Fix(secret)} {Changes({'A': secret})}"

    assert "s3cr3t" not in shown
    assert (secret.value, secret.version) == ("s3cr3t", "7")
    assert secret == Secret("s3cr3t")
    assert len({secret, Secret("s3cr3t")}) == 1
    assert not Secret("")
    with pytest.raises(TypeError, match="not pickled"):
        __import__("pickle").dumps(secret)


def test_a_member_of_a_json_secret_can_be_selected() -> None:
    with running(Tool) as plugin:
        utilities = plugin.plugin.ctx.utilities
        assert utilities.select(Secret('{"a": "b", "n": 1}'), "a") == Secret("b")
        assert utilities.select(Secret('{"a": "b", "n": 1}'), "n") == Secret("1")
        with pytest.raises(PluginError):
            utilities.select(Secret("plain"), "a")


@pytest.mark.parametrize("mark", [lambda: rule("Bad Name"), lambda: command("a_b"), lambda: on("nodot")])
def test_names_are_checked_where_they_are_written(mark: object) -> None:
    with pytest.raises(SdkError):
        mark()  # type: ignore[operator]


def test_everything_public_is_there_and_loaded_on_use() -> None:
    for name in envcli_sdk.__all__:
        assert getattr(envcli_sdk, name) is not None
    with pytest.raises(AttributeError):
        _ = envcli_sdk.nothing
    assert set(envcli_sdk.__all__) == set(envcli_sdk._HOME_OF)


def test_hooks_are_named_by_verb_and_noun() -> None:
    from envcli_sdk import hookspecs

    hooks = [name for name in vars(hookspecs) if name.startswith("envcli_")]
    assert len(hooks) == 5
    assert all(re.fullmatch(r"envcli_[a-z]+_[a-z]+", name) for name in hooks)
    assert CustomCommand("x").kind == "command"


class Loops(Plugin):
    """Uses a real loop, keeps what it made in it, and calls back into the SDK from there."""

    async def initialize(self, ctx: Context) -> None:
        self.queue: asyncio.Queue[str] = asyncio.Queue()
        await self.queue.put("first")

    async def execute(self, command: Command) -> Result:
        await asyncio.sleep(0)
        return await super().execute(command)  # type: ignore[misc]

    @command("next")
    async def take(self) -> str:
        word = await asyncio.wait_for(self.queue.get(), 1)
        await self.queue.put(word * 2)
        return word

    @command("fail")
    async def fail(self) -> str:
        await asyncio.sleep(0)
        raise PluginError("no luck", tip="Try again")


def test_one_loop_serves_a_plugins_whole_life() -> None:
    with running(Loops) as plugin:
        assert [plugin.run("next").output for _ in range(3)] == ["first", "firstfirst", "first" * 4]
        with pytest.raises(PluginError, match=r"no luck\. Try again"):
            plugin.run("fail")


def test_a_plugin_without_async_needs_no_loop() -> None:
    code = (
        "import sys; from envcli_sdk.testing import running; from envcli_sdk import collect, command;"
        "p = collect(command('x')(lambda: 'done'));"
        "r = running(p).__enter__().run('x').output; print(r, 'asyncio' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "done False\n"
