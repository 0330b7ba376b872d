"""What a decision is worth: by whom, on which evidence, once, and nothing that can be made of it afterwards."""

import base64
import dataclasses
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from common.index_server import IndexServer, Plugin, automatic_layout, index_server, plugin_wheel
from envcli_index import database as db
from envcli_index import queue
from envcli_index.database import connect, read, utc_now, write
from envcli_index.enrolment import EnrolmentError, enrol, enrolled_keys, retire
from envcli_index.releases import statements_of
from envcli_index.reviewer_tools import ServerError, decide, keygen
from envcli_index.reviewers import sign_decision, sign_takedown
from envcli_index.trust.keys import load_signer
from envcli_index.trust.tuf import KEYS_TARGET, TufPublisher
from envcli_policy.statements import parse_statement, sign_statement
from sqlalchemy import func, insert, select

__all__ = ["index_server"]


def waiting_release(server: IndexServer, publisher: str | None = None) -> tuple[Plugin, dict[str, Any]]:
    """A release that waits for a person, and its record as reviewers get it."""
    plugin = plugin_wheel()
    answer = server.upload(plugin, **({"publisher": publisher} if publisher else {}))
    assert answer.status_code == 200, answer.text
    server.vet(plugin)
    return plugin, record_of(server, plugin)


def record_of(server: IndexServer, plugin: Plugin, state: str = "needs-human") -> dict[str, Any]:
    """The published evidence, once the release is in this state."""
    path = f"/vetting/{plugin.project}/{plugin.version}.json"
    server.wait_for(lambda: (server.get_json(path) or {}).get("state") == state)
    found = server.get_json(path)
    assert found is not None
    return found


def reviewer(server: IndexServer, tmp_path: Path, *publishers: str) -> tuple[Path, str]:
    """A further reviewer: the private key's path and the key id."""
    key = tmp_path / f"{uuid4().hex}.pem"
    keyid, public = keygen(key)
    enrol(connect(server.config), "Rudi", public.read_text(), publishers=publishers)
    server.wait_for(lambda: keyid in (TufPublisher(server.config).read(KEYS_TARGET) or b"").decode())
    return key, keyid


def post(server: IndexServer, envelope: bytes, what: str = "decisions") -> httpx.Response:
    """Send an envelope to the write path."""
    return httpx.post(f"{server.config.devpi_url}/_/{what}", content=envelope)


def approval(server: IndexServer, record: dict[str, Any], *, approve: bool = True) -> bytes:
    """A decision by the enrolled reviewer."""
    signer = load_signer(server.reviewer_key)
    return sign_decision(record, approve=approve, reason="because", rules=[], signer=signer)


def respelled(envelope: bytes) -> bytes:
    """The same signature over the same payload in other JSON."""
    return json.dumps(json.loads(envelope), indent=7).encode() + b"\n" * 5000


@contextmanager
def gate_paused(server: IndexServer) -> Iterator[None]:
    """Nothing is judged while the body runs."""
    server.stop("gate")
    try:
        yield
    finally:
        server.start("gate")


def test_reviewer_who_belongs_to_the_publisher_cannot_decide(
    index_server: IndexServer, tmp_path: Path
) -> None:
    publisher = str(uuid4())
    plugin, record = waiting_release(index_server, publisher)
    key, _ = reviewer(index_server, tmp_path, str(uuid4()), publisher)
    wanted = f"{plugin.project}=={plugin.version}"
    with pytest.raises(ServerError, match="belongs to the publisher"):
        decide(index_server.config.public_url, key, wanted, approve=True, reason="mine", rules=[])
    assert post(index_server, approval(index_server, record)).status_code == 202
    index_server.wait_state(plugin, "released")


def test_affiliation_must_be_a_uuid_and_is_published(index_server: IndexServer, tmp_path: Path) -> None:
    _, public = keygen(tmp_path / "k.pem")
    with pytest.raises(EnrolmentError, match="uuid"):
        enrol(connect(index_server.config), "Rudi", public.read_text(), publishers=["Ada's tools"])
    publisher = str(uuid4())
    _, keyid = reviewer(index_server, tmp_path, publisher)
    pinned = json.loads(TufPublisher(index_server.config).read(KEYS_TARGET) or b"")["keys"]
    assert [entry["publishers"] for entry in pinned if entry["keyid"] == keyid] == [[publisher]]


def test_decision_does_not_outlive_the_evidence_it_was_made_on(index_server: IndexServer) -> None:
    plugin, record = waiting_release(index_server)
    old = approval(index_server, record)
    with gate_paused(index_server):
        add_to_closure(index_server, plugin)
        index_server.vet(plugin)  # another closure, so another vetting statement
        answer = post(index_server, old)
        assert (answer.status_code, "vetting" in answer.text) == (400, True)
    assert index_server.release(plugin).state == "needs-human"


def test_decision_kept_from_before_a_new_vetting_does_not_count(index_server: IndexServer) -> None:
    plugin, record = waiting_release(index_server)
    with gate_paused(index_server):
        assert post(index_server, approval(index_server, record)).status_code == 202
        add_to_closure(index_server, plugin)
        index_server.vet(plugin)
    judged = queue_is_empty(index_server)
    index_server.wait_for(judged)
    assert index_server.release(plugin).state == "needs-human"


def queue_is_empty(server: IndexServer) -> Callable[[], bool]:
    """Tells whether the gate has nothing left to do."""

    def is_empty() -> bool:
        with read(connect(server.config)) as connection:
            where = (db.job.c.kind == "gate", db.job.c.state.in_(["ready", "leased"]))
            waiting = select(func.count()).select_from(db.job).where(*where)
            return connection.execute(waiting).scalar_one() == 0

    return is_empty


def add_to_closure(server: IndexServer, plugin: Plugin) -> None:
    """Write a dependency into the database that no statement speaks about."""
    row = {"name": "evil", "version": "1", "filename": "evil-1-py3-none-any.whl", "sha256": "e" * 64}
    with write(connect(server.config)) as connection:
        connection.execute(insert(db.closure).values(row | {"release": server.release(plugin).id}))


def test_dependency_that_nobody_vetted_stops_the_promotion(index_server: IndexServer) -> None:
    plugin, record = waiting_release(index_server)
    add_to_closure(index_server, plugin)
    assert post(index_server, approval(index_server, record)).status_code == 202
    release = index_server.wait_state(plugin, "rejected", "released")
    assert (release.state, "not those that were vetted" in str(release.reason)) == ("rejected", True)


def test_older_decision_cannot_take_the_place_of_a_newer_one(index_server: IndexServer) -> None:
    plugin, record = waiting_release(index_server)
    approved, rejected = approval(index_server, record), approval(index_server, record, approve=False)
    approved = redated(index_server, approved, later=False)
    with gate_paused(index_server):
        assert post(index_server, rejected).status_code == 202
        assert post(index_server, approved).status_code == 400
    index_server.wait_state(plugin, "rejected")


def redated(server: IndexServer, envelope: bytes, *, later: bool) -> bytes:
    """The decision signed some seconds earlier or an hour later."""
    from datetime import timedelta

    statement = parse_statement(envelope)
    moment = utc_now() + (timedelta(hours=1) if later else timedelta(seconds=-5))
    predicate = dict(statement.predicate) | {"time": moment.strftime("%Y-%m-%dT%H:%M:%SZ")}
    return sign_statement(
        dataclasses.replace(statement, predicate=predicate), load_signer(server.reviewer_key)
    )


def test_decision_from_the_future_is_refused(index_server: IndexServer) -> None:
    _, record = waiting_release(index_server)
    answer = post(index_server, redated(index_server, approval(index_server, record), later=True))
    assert (answer.status_code, "key did not count" in answer.text) == (400, True)


def test_other_spellings_of_a_decision_are_the_same_decision(index_server: IndexServer) -> None:
    plugin, record = waiting_release(index_server)
    decision = approval(index_server, record)
    kept = index_server.config.statements
    with gate_paused(index_server):
        assert post(index_server, decision).status_code == 202
        before = {path.name for path in kept.iterdir()}
        assert post(index_server, respelled(decision)).status_code == 202
        assert {path.name for path in kept.iterdir()} == before
    index_server.wait_state(plugin, "released")


def test_decision_on_a_settled_release_changes_nothing(index_server: IndexServer) -> None:
    plugin, record = waiting_release(index_server)
    decision = approval(index_server, record)
    assert post(index_server, decision).status_code == 202
    released = index_server.wait_state(plugin, "released")
    with read(connect(index_server.config)) as connection:
        before = statements_of(connection, released.id)
    for envelope in (decision, approval(index_server, record, approve=False)):
        assert post(index_server, envelope).status_code == 400
    with read(connect(index_server.config)) as connection:
        assert statements_of(connection, released.id) == before


def test_decision_for_another_release_is_refused(index_server: IndexServer) -> None:
    _, first = waiting_release(index_server)
    second, record = waiting_release(index_server)
    for name in ("project", "version", "files", "statements"):
        mixed = approval(index_server, record | {name: first[name] if name != "version" else "9"})
        assert post(index_server, mixed).status_code in {400, 404}
    assert index_server.release(second).state == "needs-human"


def test_retired_key_decides_nothing_more(index_server: IndexServer, tmp_path: Path) -> None:
    plugin, record = waiting_release(index_server)
    key, keyid = reviewer(index_server, tmp_path)
    decision = sign_decision(record, approve=True, reason="late", rules=[], signer=load_signer(key))
    with gate_paused(index_server):
        assert post(index_server, decision).status_code == 202
        retire(connect(index_server.config), keyid)
        assert "signature-invalid" in post(index_server, decision).text
        with pytest.raises(EnrolmentError):
            retire(connect(index_server.config), keyid)
    index_server.wait_for(lambda: _ended(index_server, keyid))
    index_server.wait_for(queue_is_empty(index_server))
    assert index_server.release(plugin).state == "needs-human"
    envelope = sign_decision(
        waiting_release(index_server)[1], approve=True, reason="x", rules=[], signer=load_signer(key)
    )
    assert "signature-invalid" in post(index_server, envelope).text


def _ended(server: IndexServer, keyid: str) -> bool:
    pinned = json.loads(TufPublisher(server.config).read(KEYS_TARGET) or b"")["keys"]
    return any(entry["keyid"] == keyid and entry["valid_until"] for entry in pinned)


def test_no_row_makes_a_key_of_the_index_own_roles(index_server: IndexServer, tmp_path: Path) -> None:
    keyid, public = keygen(tmp_path / "intruder.pem")
    row = {"keyid": keyid, "name": "gate", "public": public.read_text(), "valid_from": utc_now()}
    with write(connect(index_server.config)) as connection:
        connection.execute(insert(db.reviewer_key).values(row | {"role": "gate", "publishers": []}))
    try:
        with read(connect(index_server.config)) as connection:
            assert keyid not in [entry["keyid"] for entry in enrolled_keys(connection)]
    finally:
        with write(connect(index_server.config)) as connection:
            connection.execute(db.reviewer_key.delete().where(db.reviewer_key.c.keyid == keyid))


@pytest.mark.parametrize(
    "change",
    [
        {"advisory": "A" * 600},
        {"versions": ["1.0"] * 1001},
        {"versions": ["9" * 300]},
        {"project": "x" * 300},
        {"time": "yesterday"},
        {"time": "2026-01-01T00:00:00"},
    ],
)
def test_takedown_that_hosts_could_not_read_is_refused(
    index_server: IndexServer, change: dict[str, Any]
) -> None:
    _, record = waiting_release(index_server)
    signer = load_signer(index_server.reviewer_key)
    good = sign_takedown(
        [record], versions=["1.0"], reason="r", severity="low", advisory=None, remove=False, signer=signer
    )
    statement = parse_statement(good)
    bad = sign_statement(dataclasses.replace(statement, predicate=dict(statement.predicate) | change), signer)
    assert post(index_server, bad, "takedowns").status_code == 400


def test_other_spellings_of_a_takedown_are_the_same_takedown(index_server: IndexServer) -> None:
    _, record = waiting_release(index_server)
    envelope = sign_takedown(
        [record],
        versions=["1.0"],
        reason="r",
        severity="low",
        advisory=None,
        remove=False,
        signer=load_signer(index_server.reviewer_key),
    )
    ids = {post(index_server, one, "takedowns").text for one in (envelope, respelled(envelope))}
    assert len(ids) == 1


def test_name_of_a_publisher_does_not_part_release_and_verdict(index_server: IndexServer) -> None:
    publisher = str(uuid4())
    plugin = plugin_wheel()
    index_server.publish(plugin, publisher)
    released = index_server.release(plugin)
    renamed = index_server.token(publisher, publisher_name="Another name")
    assert index_server.upload(plugin_wheel(), token=renamed, publisher=publisher).status_code == 200
    assert index_server.release(plugin).publisher.name == "Another name"
    with write(connect(index_server.config)) as connection:
        queue.enqueue(connection, "gate", {"release": released.id}, f"release-{released.id}")
    index_server.wait_for(queue_is_empty(index_server))
    tuf = TufPublisher(index_server.config)
    target = json.loads(tuf.read(f"releases/{plugin.project}/{plugin.version}.json") or b"")
    with read(connect(index_server.config)) as connection:
        vsa = next(one for one in statements_of(connection, released.id) if one.name == "vsa")
    envelope = json.loads((index_server.config.statements / vsa.sha256).read_bytes())
    verdict = json.loads(base64.b64decode(envelope["payload"]))["predicate"]
    assert target["publisher"] == verdict["envcli"]["publisher"]


def source_archive(plugin: Plugin) -> Plugin:
    """A source archive of the same version."""
    name = f"{plugin.project.replace('-', '_')}-{plugin.version}"
    metadata = f"Metadata-Version: 2.1\nName: {plugin.project}\nVersion: {plugin.version}\n".encode()
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        info = tarfile.TarInfo(f"{name}/PKG-INFO")
        info.size = len(metadata)
        archive.addfile(info, io.BytesIO(metadata))
    return dataclasses.replace(plugin, filename=f"{name}.tar.gz", content=stream.getvalue())


def test_source_archive_that_came_after_the_checks_is_checked_too(index_server: IndexServer) -> None:
    plugin = plugin_wheel()
    with gate_paused(index_server):
        assert index_server.upload(plugin).status_code == 200
        index_server.vet(plugin, "PASSED")
        late = index_server.upload(source_archive(plugin), form={"filetype": "sdist"})
        assert late.status_code == 200, late.text
    index_server.wait_for(queue_is_empty(index_server))
    assert index_server.release(plugin).state == "checking"
    with automatic_layout(index_server):
        index_server.vet(plugin, "PASSED")
        index_server.wait_state(plugin, "released")
