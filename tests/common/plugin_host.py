"""Fixtures for tests of a whole host: import them with ``from common.plugin_host import host, sigstore``."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from common.index_simulator import serve_index
from common.plugin_market import Host, new_host, new_simulator
from common.private_sigstore import PrivateSigstore


@pytest.fixture(scope="session")
def sigstore(tmp_path_factory: pytest.TempPathFactory) -> PrivateSigstore:
    """A private Sigstore, shared by the tests of one process."""
    return PrivateSigstore(tmp_path_factory.mktemp("sigstore"))


@pytest.fixture
def host(sigstore: PrivateSigstore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """A host with an index and a project, which is the working folder."""
    monkeypatch.setenv("ENVCLI_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ENVCLI_TOKEN", raising=False)
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    with serve_index(new_simulator(sigstore)) as index:
        yield new_host(index, tmp_path / "project")
