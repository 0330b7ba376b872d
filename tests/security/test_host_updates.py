"""An update brings no other publisher, index or older code without a person who says so."""

from pathlib import Path

import pytest
from common.index_simulator import ISSUER, PUBLISHER, IndexSimulator, serve_index
from common.plugin_host import host, sigstore
from common.plugin_market import NAME, Host, manifest, plugin_wheel
from common.private_sigstore import PrivateSigstore
from envcli_host.cli.main import main

__all__ = ["host", "sigstore"]

CODE = "from envcli_sdk import Plugin\n\nclass Demo(Plugin):\n    pass\n"
OTHER = {
    "uuid": "00000000-2f63-4f0a-9d68-0e8fbb0f1c11",
    "name": PUBLISHER["name"],
    "identity": f"{ISSUER}/publishers/00000000-2f63-4f0a-9d68-0e8fbb0f1c11",
    "issuer": ISSUER,
}


@pytest.fixture
def installed(host: Host) -> Host:
    host.release(CODE, manifest(("variable:read", "prod:*")), version="2.0.0")
    assert host.install() == 0
    return host


def version_of(host: Host) -> object:
    return host.registry()[NAME]["version"]


def test_yes_never_agrees_to_another_publisher(
    installed: Host, sigstore: PrivateSigstore, capsys: pytest.CaptureFixture[str]
) -> None:
    text = manifest(("variable:read", "prod:*"))
    installed.index.attest = lambda name, sha256: sigstore.provenance(name, sha256, OTHER["identity"], ISSUER)
    installed.index.release(plugin_wheel(CODE, text, version="2.1.0"), manifest=text, publisher=OTHER)
    before = installed.store_state()
    capsys.readouterr()

    assert installed.install() != 0
    shown = capsys.readouterr().err
    assert "CHANGED: its publisher was Example Publisher" in shown
    assert PUBLISHER["uuid"] in shown
    assert installed.store_state() == before


def test_yes_never_agrees_to_another_index(
    installed: Host, sigstore: PrivateSigstore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    second = IndexSimulator(installed.index.attest, sigstore.trusted_root)
    text = manifest(("variable:read", "prod:*"))
    with serve_index(second) as index:
        main(["index", "add", index.url, "--root-sha256", index.root_sha256, "--name", "second"])
        index.release(plugin_wheel(CODE, text, version="2.1.0"), manifest=text)

        assert installed.install("--index", "second") != 0
    assert "CHANGED: it came from index test before" in capsys.readouterr().err
    assert version_of(installed) == "2.0.0"


def test_an_index_that_hides_the_newest_release_downgrades_nobody(
    installed: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    installed.release(CODE, manifest(("variable:read", "prod:*")), version="1.0.0")
    listing = installed.index.projects[NAME]
    listing["releases"] = [each for each in listing["releases"] if each["version"] == "1.0.0"]
    installed.index.publish()

    assert installed.install() != 0
    assert "CHANGED: 2.0.0 is installed, which is newer" in capsys.readouterr().err
    assert version_of(installed) == "2.0.0"
    assert installed.install(name=f"{NAME}==1.0.0") == 0
    assert version_of(installed) == "1.0.0"


def test_an_index_cannot_make_a_release_look_old(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.release(CODE, manifest())
    for each in host.index.projects[NAME]["releases"]:
        each["uploaded"] = "2020-01-01T00:00:00+00:00"
    host.index.publish()
    capsys.readouterr()

    assert host.install() == 0
    assert "younger than the cooldown" in capsys.readouterr().err


def test_no_id_is_the_project_of_another_plugin(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    name = "envcli-plugin-other"
    host.release(CODE, manifest(plugin_id="envcli-plugin-demo"), name=name, plugin_id="envcli-plugin-demo")
    host.release(CODE, manifest(name="demo2"))
    assert host.install(name=name) == 0

    assert host.install() == 1
    assert "is taken by envcli-plugin-other" in capsys.readouterr().err
