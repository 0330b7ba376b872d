"""The plugin against moto's server, in this process and in the sandbox."""

from collections.abc import Iterator

import boto3
import pytest
from envcli_host.workshop.testing import PluginHost
from envcli_sdk import (
    Changes,
    CustomCommand,
    Direction,
    EnvironmentSync,
    PluginError,
    Secret,
    SyncResult,
    UnsupportedCommandError,
)
from moto.server import ThreadedMotoServer

KEY = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": Secret("wJalrXUtnFEMI")}
BOTH = pytest.mark.parametrize("sandboxed", [False, True])


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    yield f"http://{host}:{port}"
    moto.stop()


@pytest.fixture
def address(server: str) -> str:
    client = boto3.client(
        "secretsmanager",
        endpoint_url=server,
        region_name="us-east-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="wJalrXUtnFEMI",
    )
    for page in client.get_paginator("list_secrets").paginate(IncludePlannedDeletion=True):
        for entry in page["SecretList"]:
            client.delete_secret(SecretId=entry["ARN"], ForceDeleteWithoutRecovery=True)
    client.create_secret(Name="env-cli/prod/API_KEY", SecretString="k3y")
    client.create_secret(Name="env-cli/prod/OLD", SecretString="going")
    client.create_secret(Name="env-cli/production/API_KEY", SecretString="another environment")
    client.create_secret(Name="other/prod/API_KEY", SecretString="another prefix")
    return server


def pulled(result: object) -> dict[str, Secret]:
    assert isinstance(result, SyncResult)
    return dict(result.variables)


@BOTH
def test_round_trip(plugin_host: PluginHost, address: str, sandboxed: bool) -> None:
    changes = Changes({"API_KEY": Secret("changed"), "NEW": Secret("value")}, delete=("OLD", "NEVER_WAS"))
    with plugin_host(config={**KEY, "endpoint_url": address}, sandboxed=sandboxed) as plugin:
        before = pulled(plugin.execute(EnvironmentSync(Direction.pull, "prod")))
        plugin.execute(EnvironmentSync(Direction.push, "prod", changes))
        after = pulled(plugin.execute(EnvironmentSync(Direction.pull, "prod")))
    assert before == {"API_KEY": Secret("k3y"), "OLD": Secret("going")}
    assert after == {"API_KEY": Secret("changed"), "NEW": Secret("value")}


def test_a_removed_secret_can_come_back(plugin_host: PluginHost, address: str) -> None:
    with plugin_host(config={**KEY, "endpoint_url": address}) as plugin:
        plugin.execute(EnvironmentSync(Direction.push, "prod", Changes(delete=("OLD",))))
        plugin.execute(EnvironmentSync(Direction.push, "prod", Changes({"OLD": Secret("again")})))
        assert pulled(plugin.execute(EnvironmentSync(Direction.pull, "prod")))["OLD"] == Secret("again")


def test_a_dry_run_changes_nothing(plugin_host: PluginHost, address: str) -> None:
    with plugin_host(config={**KEY, "endpoint_url": address}) as plugin:
        plugin.execute(EnvironmentSync(Direction.push, "prod", Changes(delete=("OLD",)), dry_run=True))
        assert "OLD" in pulled(plugin.execute(EnvironmentSync(Direction.pull, "prod")))


def test_more_than_one_page(plugin_host: PluginHost, address: str) -> None:
    many = Changes({f"NAME_{number}": Secret(str(number)) for number in range(130)})
    with plugin_host(config={**KEY, "endpoint_url": address}) as plugin:
        plugin.execute(EnvironmentSync(Direction.push, "stage", many))
        assert len(pulled(plugin.execute(EnvironmentSync(Direction.pull, "stage")))) == 130


@BOTH
def test_no_connection_without_the_grant(plugin_host: PluginHost, address: str, sandboxed: bool) -> None:
    with (
        plugin_host(config={**KEY, "endpoint_url": address}, grants=(), sandboxed=sandboxed) as plugin,
        pytest.raises(PluginError, match="AWS cannot be used"),
    ):
        plugin.execute(EnvironmentSync(Direction.pull, "prod"))


def test_the_users_own_credentials_are_not_looked_at(
    plugin_host: PluginHost, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "a-profile-that-is-not-configured")
    with plugin_host(config={**KEY, "endpoint_url": address}) as plugin:
        assert pulled(plugin.execute(EnvironmentSync(Direction.pull, "prod")))


def test_an_endpoint_in_another_region_is_refused(plugin_host: PluginHost) -> None:
    with (
        pytest.raises(PluginError, match="not in region"),
        plugin_host(config={**KEY, "region": "eu-west-1"}),
    ):
        pass


def test_other_commands_are_not_supported(plugin_host: PluginHost, address: str) -> None:
    with (
        plugin_host(config={**KEY, "endpoint_url": address}) as plugin,
        pytest.raises(UnsupportedCommandError),
    ):
        plugin.execute(CustomCommand("anything"))
