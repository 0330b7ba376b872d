"""Publication into the TUF repository: incremental, crash-safe, and only on top of what is ours."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from common.sigstore_instance import new_index
from envcli_index.config import IndexConfig
from envcli_index.trust import files
from envcli_index.trust.edition import Edition
from envcli_index.trust.errors import KeyFileError, RepositoryError, TimestampPendingError
from envcli_index.trust.keys import create_keys
from envcli_index.trust.repository import Repository
from envcli_index.trust.timestamp import TimestampSigner
from envcli_index.trust.tuf import CLIENT_CONFIG_TARGET, KEYS_TARGET, TufPublisher, create_repository

RELEASE = "releases/envcli-plugin-example/1.0.0.json"


@pytest.fixture
def config(tmp_path: Path) -> IndexConfig:
    made = new_index(tmp_path / "index", "http://127.0.0.1:1")
    create_repository(made)
    return made


def publish(config: IndexConfig, targets: dict[str, bytes], remove: tuple[str, ...] = ()) -> int:
    """Publish, and sign the timestamp as its process would."""
    publisher = TufPublisher(config, timeout=0)
    try:
        publisher.publish(targets, remove)
    except TimestampPendingError:
        TimestampSigner(config).update()
    return publisher.publish(targets, remove)


def metadata_files(config: IndexConfig) -> set[str]:
    return {path.name for path in Repository(config).metadata.iterdir()}


def test_first_targets_and_fingerprint(config: IndexConfig) -> None:
    publisher = TufPublisher(config)
    keys = json.loads(publisher.read(KEYS_TARGET) or b"")["keys"]
    assert [key["role"] for key in keys] == ["gate", "vetting"]
    assert json.loads(publisher.read(CLIENT_CONFIG_TARGET) or b"")["trustedRoot"]
    assert len(create_repository(config)) == 64


def test_second_creation_changes_nothing(config: IndexConfig) -> None:
    before = {name: (Repository(config).metadata / name).read_bytes() for name in metadata_files(config)}
    create_repository(config)
    assert before == {name: (Repository(config).metadata / name).read_bytes() for name in before}


def test_interrupted_creation_is_completed(config: IndexConfig) -> None:
    (Repository(config).metadata / "timestamp.json").unlink()
    create_repository(config)
    assert publish(config, {RELEASE: b"{}"}) == 2


def test_one_release_signs_one_bin(config: IndexConfig) -> None:
    before = metadata_files(config)
    assert publish(config, {RELEASE: b"{}"}) == 2
    new = metadata_files(config) - before
    assert len(new) == 2
    assert "2.snapshot.json" in new
    assert TufPublisher(config).read(RELEASE) == b"{}"


def test_repeated_publication_signs_nothing(config: IndexConfig) -> None:
    assert publish(config, {RELEASE: b"{}"}) == 2
    assert publish(config, {RELEASE: b"{}"}) == 2
    assert publish(config, {}, (RELEASE,)) == 3
    assert publish(config, {}, (RELEASE,)) == 3
    assert TufPublisher(config).read(RELEASE) is None


def test_waiting_for_the_timestamp_is_bounded(config: IndexConfig) -> None:
    start = time.monotonic()
    with pytest.raises(TimestampPendingError, match="envcli-index timestamp"):
        TufPublisher(config, timeout=0.1).publish({RELEASE: b"{}"})
    assert time.monotonic() - start < 5


def crash_points(config: IndexConfig, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Let the n-th file write of a publication fail, for n from 0 until one succeeds."""
    real = files.write_whole
    for point in range(20):
        written = 0

        def failing(path: Path, data: bytes, mode: int = files.PUBLIC_MODE, point: int = point) -> None:
            nonlocal written
            if written == point:
                raise OSError(28, "No space left on device")
            written += 1
            real(path, data, mode)

        monkeypatch.setattr("envcli_index.trust.repository.write_whole", failing)
        yield point
        monkeypatch.setattr("envcli_index.trust.repository.write_whole", real)


def test_publication_interrupted_anywhere_is_invisible_and_can_be_repeated(
    config: IndexConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    for point in crash_points(config, monkeypatch):
        targets = {RELEASE: b"release %d" % point, "takedowns.json": b"takedowns %d" % point}
        try:
            TufPublisher(config, timeout=0).publish(targets)
        except OSError:
            assert not TimestampSigner(config).update(), point
            assert TufPublisher(config).read(RELEASE) is None
        except TimestampPendingError:
            break
    monkeypatch.undo()
    assert point == 6, "two targets, two lists, the snapshot and the pointer are written"
    assert TimestampSigner(config).update()
    assert TufPublisher(config).publish(targets) == 2


def test_refresh_signs_what_has_lived_half_its_life(
    config: IndexConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = TufPublisher(config, timeout=0)
    assert not publisher.refresh()
    monkeypatch.setattr("envcli_index.trust.edition._is_due", lambda signed, role: True)
    with pytest.raises(TimestampPendingError):
        publisher.refresh()
    TimestampSigner(config).update()
    assert {"2.targets.json", "2.releases-00.json", "2.snapshot.json"} <= metadata_files(config)


def test_refresh_deletes_what_is_superseded_and_old(config: IndexConfig) -> None:
    publish(config, {RELEASE: b"one"})
    publish(config, {RELEASE: b"two"})
    repository = Repository(config)
    for path in (*repository.metadata.iterdir(), *repository.targets.rglob("*")):
        os.utime(path, (0, 0))
    TufPublisher(config).refresh()
    assert {"1.root.json", "timestamp.json", "3.snapshot.json"} <= metadata_files(config)
    assert not {"1.snapshot.json", "2.snapshot.json"} & metadata_files(config)
    contents = {path.read_bytes() for path in repository.targets.rglob("*.json")}
    assert b"two" in contents
    assert b"one" not in contents


@pytest.mark.parametrize(
    "path", ["../secret", "/etc/passwd", "a/../../b", "", ".", "a//b", "a/", "./a", "a\0b"]
)
def test_unsafe_target_path_is_refused(config: IndexConfig, path: str) -> None:
    with pytest.raises(RepositoryError, match="no target path"):
        TufPublisher(config).publish({path: b""})


def resigned(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()


@pytest.mark.parametrize("name", ["1.targets.json", "1.snapshot.json"])
def test_publisher_does_not_build_upon_changed_metadata(config: IndexConfig, name: str) -> None:
    path = Repository(config).metadata / name
    document = json.loads(path.read_bytes())
    document["signed"]["expires"] = "2099-01-01T00:00:00Z"
    path.write_bytes(resigned(document))
    with pytest.raises(RepositoryError):
        TufPublisher(config).publish({"takedowns.json": b"{}"})


def test_changed_target_is_noticed(config: IndexConfig) -> None:
    publish(config, {RELEASE: b"right"})
    (path,) = (Repository(config).targets / "releases").rglob("*.json")
    path.write_bytes(b"wrong")
    with pytest.raises(RepositoryError, match="changed on disk"):
        TufPublisher(config).read(RELEASE)


def test_timestamp_refuses_an_older_snapshot(config: IndexConfig) -> None:
    repository = Repository(config)
    old = repository.pointer_file.read_bytes()
    publish(config, {RELEASE: b"{}"})
    repository.pointer_file.write_bytes(old)
    with pytest.raises(RepositoryError, match="older"):
        TimestampSigner(config).update()


def test_timestamp_refuses_a_snapshot_that_the_gate_did_not_sign(config: IndexConfig, tmp_path: Path) -> None:
    stranger = new_index(tmp_path / "stranger", "http://127.0.0.1:1")
    create_repository(stranger)
    with pytest.raises(TimestampPendingError):
        TufPublisher(stranger, timeout=0).publish({RELEASE: b"evil"})
    theirs, ours = Repository(stranger), Repository(config)
    (ours.metadata / "2.snapshot.json").write_bytes((theirs.metadata / "2.snapshot.json").read_bytes())
    ours.pointer_file.write_bytes(theirs.pointer_file.read_bytes())
    with pytest.raises(RepositoryError, match="not signed by the gate"):
        TimestampSigner(config).update()


def test_damaged_pointer_is_named(config: IndexConfig) -> None:
    Repository(config).pointer_file.write_bytes(b"{")
    with pytest.raises(RepositoryError, match=r"snapshot\.json is damaged"):
        TufPublisher(config).publish({RELEASE: b"{}"})


def test_keys_are_private_and_each_in_its_folder(config: IndexConfig) -> None:
    keys = config.data / "keys"
    for path in keys.rglob("*"):
        mode = path.stat().st_mode & 0o777
        assert mode == (0o700 if path.is_dir() else 0o600 if path.suffix == ".pem" else 0o644), path
    before = {path: path.read_bytes() for path in keys.rglob("*.pem")}
    create_keys(keys)
    assert before == {path: path.read_bytes() for path in before}


def test_key_readable_by_others_is_refused(config: IndexConfig) -> None:
    (config.data / "keys" / "gate" / "snapshot.pem").chmod(0o644)
    with pytest.raises(KeyFileError, match="chmod 600"):
        TufPublisher(config)


def test_edition_keeps_its_version_until_commit(config: IndexConfig) -> None:
    publisher = TufPublisher(config)
    with Repository(config).locked():
        edition = Edition(Repository(config), publisher._targets_signer, publisher._snapshot_signer)
        edition.put(RELEASE, b"{}")
        assert edition.version == 1
