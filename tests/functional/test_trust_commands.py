"""The administrator's commands for trust data, on a real index folder."""

import json
from pathlib import Path

import pytest
from envcli_index.cli import main
from envcli_index.trust.osv import handler

URLS = ("public-url", "devpi-url", "authority-url", "log-url", "web-url")
ADVISORY = {
    "schema_version": "1.6.0",
    "id": "ENVCLI-2026-0001",
    "modified": "2026-11-01T00:00:00Z",
    "affected": [{"package": {"ecosystem": "PyPI", "name": "envcli-plugin-sample"}, "versions": ["1.0"]}],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a fresh index."""
    folder = tmp_path_factory.mktemp("index") / "data"
    urls = [part for name in URLS for part in (f"--{name}", f"http://127.0.0.1:1/{name}")]
    assert main(["init", "--data", str(folder), *urls]) == 0
    return folder


def test_loaded_advisories_are_answered(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from envcli_index.config import IndexConfig

    (tmp_path / "one.json").write_text(json.dumps(ADVISORY))
    command = ["osv", "load", "--data", str(data), "--source", "own", "--json", str(tmp_path)]
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out)["advisories"] == 1
    question = {"package": {"ecosystem": "PyPI", "name": "envcli-plugin-sample"}, "version": "1.0"}
    status, body = handler(IndexConfig.load(data))("POST", "/v1/query", json.dumps(question).encode())
    assert (status, json.loads(body)["vulns"][0]["id"]) == (200, "ENVCLI-2026-0001")


def test_what_is_no_advisory_is_refused_and_changes_nothing(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one.json").write_text("{}")
    assert main(["osv", "load", "--data", str(data), "--source", "other", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_the_root_is_renewed_and_needs_its_key(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["root", "renew", "--data", str(data)]) == 0
    assert "root version 2" in capsys.readouterr().out
    assert (data / "public/tuf/metadata/2.root.json").is_file()
    key = data / "keys/root/root.pem"
    key.rename(data / "root.pem")
    assert main(["root", "renew", "--data", str(data)]) == 1
    assert "root" in capsys.readouterr().err
