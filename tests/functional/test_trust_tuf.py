"""python-tuf's client follows the repository that the publisher and the timestamp process write."""

import json
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from common.sigstore_instance import new_index, start_service, stop_service
from envcli_index.config import IndexConfig
from envcli_index.trust.repository import Repository, load_role_signer
from envcli_index.trust.timestamp import TimestampSigner
from envcli_index.trust.tuf import TufPublisher, create_repository, renew_root
from tuf.api.exceptions import BadVersionNumberError, DownloadHTTPError, ExpiredMetadataError, RepositoryError
from tuf.ngclient import FetcherInterface, Updater

RELEASE = "releases/envcli-plugin-example/1.0.0.json"


class FileFetcher(FetcherInterface):  # type: ignore[misc]
    """Reads the public tree from disk as a web server would."""

    def _fetch(self, url: str) -> Iterator[bytes]:
        path = Path(url.removeprefix("file:"))
        if not path.is_file():
            raise DownloadHTTPError("not found", 404)
        yield path.read_bytes()


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IndexConfig]:
    made = new_index(tmp_path_factory.mktemp("tuf") / "index", "http://127.0.0.1:1")
    create_repository(made)
    process = start_service("timestamp", made, 0)
    yield made
    assert stop_service(process) == 0


def client(public: Path, home: Path) -> Updater:
    """A client that pinned the first root."""
    home.mkdir(exist_ok=True)
    return Updater(
        str(home / "metadata"),
        f"file:{public}/tuf/metadata/",
        target_base_url=f"file:{public}/tuf/targets/",
        target_dir=str(home),
        fetcher=FileFetcher(),
        bootstrap=(public / "tuf/metadata/1.root.json").read_bytes(),
    )


def download(updater: Updater, path: str) -> bytes | None:
    """Refresh and fetch one target."""
    updater.refresh()
    info = updater.get_targetinfo(path)
    return Path(updater.download_target(info)).read_bytes() if info else None


def test_client_sees_a_publication_as_soon_as_it_returns(config: IndexConfig, tmp_path: Path) -> None:
    publisher = TufPublisher(config)
    home = tmp_path / "client"
    publisher.publish({RELEASE: b'{"state": "released"}', "takedowns.json": b'{"version": 1}'})
    assert download(client(config.public, home), RELEASE) == b'{"state": "released"}'
    start = time.monotonic()
    publisher.publish({RELEASE: b'{"state": "yanked"}'})
    assert time.monotonic() - start < 2
    assert download(client(config.public, home), RELEASE) == b'{"state": "yanked"}'
    assert download(client(config.public, home), "takedowns.json") == b'{"version": 1}'
    publisher.publish({}, [RELEASE])
    assert download(client(config.public, home), RELEASE) is None


def test_publishers_at_the_same_time_lose_nothing(config: IndexConfig) -> None:
    paths = [f"releases/envcli-plugin-{number}/1.0.0.json" for number in range(8)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda path: TufPublisher(config).publish({path: path.encode()}), paths))
    publisher = TufPublisher(config)
    assert [publisher.read(path) for path in paths] == [path.encode() for path in paths]


def test_root_is_renewed_before_its_year_is_over(config: IndexConfig, tmp_path: Path) -> None:
    home = tmp_path / "client"
    client(config.public, home).refresh()
    version = renew_root(config)
    client(config.public, home).refresh()
    assert json.loads((home / "metadata/root.json").read_bytes())["signed"]["version"] == version == 2
    TufPublisher(config).publish({"takedowns.json": b'{"after": "renewal"}'})
    assert download(client(config.public, home), "takedowns.json") == b'{"after": "renewal"}'


def test_lifetimes_are_those_that_hosts_expect(config: IndexConfig, tmp_path: Path) -> None:
    files = {"root": 365, "targets": 90, "snapshot": 7, "timestamp": 1}
    for role, days in files.items():
        path = max(config.public.glob(f"tuf/metadata/*{role}.json"))
        expires = datetime.fromisoformat(json.loads(path.read_bytes())["signed"]["expires"])
        assert days - 1 < (expires - datetime.now(UTC)).total_seconds() / 86400 + 0.5 <= days + 0.5


def test_heartbeat_is_younger_than_two_seconds(config: IndexConfig) -> None:
    heartbeat = config.run_dir / "timestamp.heartbeat"
    deadline = time.monotonic() + 10
    while not heartbeat.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    first = heartbeat.stat().st_mtime
    time.sleep(2.5)
    assert time.time() - heartbeat.stat().st_mtime < 2
    assert heartbeat.stat().st_mtime > first


def test_rollback_is_detected(config: IndexConfig, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(config.public / "tuf", old / "tuf")
    TufPublisher(config).publish({"takedowns.json": b'{"version": 1, "takedowns": ["new"]}'})
    home = tmp_path / "client"
    client(config.public, home).refresh()
    with pytest.raises(BadVersionNumberError):
        client(old, home).refresh()


def test_freeze_is_detected(config: IndexConfig, tmp_path: Path) -> None:
    frozen = tmp_path / "frozen"
    shutil.copytree(config.public / "tuf", frozen / "tuf")
    repository = Repository(config)
    timestamp = repository.read_timestamp().signed
    timestamp.expires = datetime(2020, 1, 1, tzinfo=UTC)
    repository.metadata = frozen / "tuf/metadata"
    repository.write(timestamp, load_role_signer(config.keys / "timestamp/timestamp.pem"), "timestamp")
    with pytest.raises(ExpiredMetadataError):
        client(frozen, tmp_path / "client").refresh()


def test_half_written_publication_is_not_served(config: IndexConfig, tmp_path: Path) -> None:
    repository = Repository(config)
    newest = repository.pointer().version
    for name in (f"{newest + 1}.snapshot.json", f"{newest + 1}.targets.json"):
        (repository.metadata / name).write_bytes(b"{")
    client(config.public, tmp_path / "client").refresh()
    assert TufPublisher(config).publish({"takedowns.json": b"{}"}) == newest + 1
    assert download(client(config.public, tmp_path / "client"), "takedowns.json") == b"{}"


def test_changed_target_is_refused(config: IndexConfig, tmp_path: Path) -> None:
    TufPublisher(config).publish({"takedowns.json": b'{"right": 1}'})
    copied = tmp_path / "copied"
    shutil.copytree(config.public / "tuf", copied / "tuf")
    for path in (copied / "tuf/targets").glob("*takedowns.json"):
        path.write_bytes(b'{"wrong": 1}')
    with pytest.raises(RepositoryError):
        download(client(copied, tmp_path / "client"), "takedowns.json")


def test_timestamp_is_renewed_before_it_runs_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = new_index(tmp_path / "index", "http://127.0.0.1:1")
    create_repository(made)
    signer = TimestampSigner(made)
    assert not signer.update()
    repository = Repository(made)
    timestamp = repository.read_timestamp().signed
    timestamp.expires = timestamp.expires.replace(year=2020)
    repository.write(timestamp, load_role_signer(made.keys / "timestamp/timestamp.pem"), "timestamp")
    assert signer.update()
    client(made.public, tmp_path / "client").refresh()
