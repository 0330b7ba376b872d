"""The plugin against OpenBao, in this process and in the sandbox."""

import hvac
import pytest
from envcli_host.workshop.testing import PluginHost
from envcli_sdk import Changes, Direction, EnvironmentSync, PluginError, Secret, SyncResult

TOKEN = Secret("root-of-the-tests")
BOTH = pytest.mark.parametrize("sandboxed", [False, True])
PULL = EnvironmentSync(Direction.pull, "prod")


def pulled(result: object) -> dict[str, str]:
    assert isinstance(result, SyncResult)
    return {name: secret.value for name, secret in result.variables.items()}


@BOTH
def test_round_trip(plugin_host: PluginHost, address: str, vault: hvac.Client, sandboxed: bool) -> None:
    changes = Changes({"API_KEY": Secret("changed"), "NEW": Secret("value")}, delete=("OLD", "NEVER_WAS"))
    with plugin_host(config={"endpoint_url": address, "token": TOKEN}, sandboxed=sandboxed) as plugin:
        before = pulled(plugin.execute(PULL))
        plugin.execute(EnvironmentSync(Direction.push, "prod", changes))
        after = pulled(plugin.execute(PULL))
    assert before == {"API_KEY": "k3y", "OLD": "going"}
    assert after == {"API_KEY": "changed", "NEW": "value"}
    stored = vault.secrets.kv.v2.read_secret_version("env-cli/prod", raise_on_deleted_version=False)
    assert stored["data"]["data"] == after


def test_an_environment_that_is_not_there_is_empty_and_can_be_made(
    plugin_host: PluginHost, address: str, vault: hvac.Client
) -> None:
    vault.secrets.kv.v2.delete_metadata_and_all_versions("env-cli/fresh")
    with plugin_host(config={"endpoint_url": address, "token": TOKEN}) as plugin:
        assert pulled(plugin.execute(EnvironmentSync(Direction.pull, "fresh"))) == {}
        plugin.execute(EnvironmentSync(Direction.push, "fresh", Changes({"A": Secret("1")})))
        assert pulled(plugin.execute(EnvironmentSync(Direction.pull, "fresh"))) == {"A": "1"}


def test_a_token_without_the_right_is_refused(
    plugin_host: PluginHost, address: str, vault: hvac.Client
) -> None:
    limited = vault.auth.token.create(policies=["default"], ttl="1m")["auth"]["client_token"]
    with (
        plugin_host(config={"endpoint_url": address, "token": Secret(limited)}) as plugin,
        pytest.raises(PluginError, match="refuses access") as raised,
    ):
        plugin.execute(PULL)
    assert limited not in str(raised.value)


@BOTH
def test_no_connection_without_the_grant(
    plugin_host: PluginHost, address: str, vault: hvac.Client, sandboxed: bool
) -> None:
    config = {"endpoint_url": address, "token": TOKEN}
    with (
        plugin_host(config=config, grants=(), sandboxed=sandboxed) as plugin,
        pytest.raises(PluginError, match="cannot be used"),
    ):
        plugin.execute(PULL)


def test_values_that_are_no_text_are_named(plugin_host: PluginHost, address: str, vault: hvac.Client) -> None:
    vault.secrets.kv.v2.create_or_update_secret("env-cli/prod", {"PORT": 80})
    with (
        plugin_host(config={"endpoint_url": address, "token": TOKEN}) as plugin,
        pytest.raises(PluginError, match="PORT, which is no text"),
    ):
        plugin.execute(PULL)
