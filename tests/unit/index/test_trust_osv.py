"""Advisories: which versions they affect, how they are loaded, and what the OSV API answers."""

import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from envcli_index.trust.advisories import OWN_SOURCE, AdvisoryDatabase, load_advisories
from envcli_index.trust.errors import AdvisoryError
from envcli_index.trust.osv import MAX_QUERIES, handler
from envcli_index.trust.ranges import is_affected
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

VERSIONS = st.builds(
    lambda release, suffix: Version(".".join(map(str, release)) + suffix),
    st.lists(st.integers(0, 12), min_size=1, max_size=3),
    st.sampled_from(["", "a1", "b2", "rc1", ".post1", ".dev3"]),
)


def advisory(*events: dict[str, str], versions: tuple[str, ...] = (), **fields: Any) -> dict[str, Any]:
    """An advisory on the project ``example``."""
    affected = {
        "package": {"ecosystem": "PyPI", "name": "Example"},
        "ranges": [{"type": "ECOSYSTEM", "events": list(events)}],
        "versions": list(versions),
    }
    return {"id": "TEST-1", "modified": "2026-01-01T00:00:00Z", "affected": [affected], **fields}


def affects(document: dict[str, Any], version: str | Version) -> bool:
    return is_affected(document, "example", Version(str(version)))


@given(VERSIONS, VERSIONS, VERSIONS)
def test_introduced_and_fixed_bound_a_half_open_interval(
    start: Version, end: Version, asked: Version
) -> None:
    document = advisory({"introduced": f"0!{start}"}, {"fixed": f"0!{end}"})
    if start < end:
        assert affects(document, asked) == (start <= asked < end)


@given(VERSIONS, VERSIONS)
def test_zero_comes_before_every_version(end: Version, asked: Version) -> None:
    assert affects(advisory({"introduced": "0"}, {"fixed": str(end)}), asked) == (asked < end)


@given(VERSIONS, VERSIONS)
def test_last_affected_is_affected_itself(last: Version, asked: Version) -> None:
    assert affects(advisory({"introduced": "0"}, {"last_affected": str(last)}), asked) == (asked <= last)


@given(st.lists(VERSIONS, min_size=2, max_size=8, unique=True), VERSIONS, st.randoms())
def test_order_of_events_does_not_matter(bounds: list[Version], asked: Version, random: Any) -> None:
    ordered = sorted(bounds)[: len(bounds) // 2 * 2]
    events = [{"introduced" if i % 2 == 0 else "fixed": f"0!{bound}"} for i, bound in enumerate(ordered)]
    expected = any(a <= asked < b for a, b in zip(ordered[::2], ordered[1::2], strict=True))
    random.shuffle(events)
    assert affects(advisory(*events), asked) == expected


@pytest.mark.parametrize(
    ("document", "version", "expected"),
    [
        (advisory(versions=("1.0",)), "1.0.0", True),
        (advisory(versions=("1.0",)), "1.1", False),
        (advisory({"introduced": "1"}, {"last_affected": "1"}), "1", True),
        (advisory({"introduced": "1"}, {"last_affected": "1"}), "1.1", False),
        (advisory({"introduced": "0"}, {"fixed": "1"}, {"introduced": "1"}, {"fixed": "2"}), "1", True),
        (advisory({"introduced": "0"}, {"fixed": "not-a-version"}), "99", True),
        (advisory({"introduced": "not-a-version"}, {"fixed": "2"}), "1", True),
        (advisory({"introduced": "0"}, {"limit": "2"}), "2", False),
        (advisory({"introduced": "0"}, {"limit": "2"}), "1", True),
        (advisory({"introduced": "0"}), "0.dev0", True),
    ],
)
def test_edges(document: dict[str, Any], version: str, expected: bool) -> None:
    assert affects(document, version) == expected


@pytest.fixture
def config(tmp_path: Path) -> Any:
    return SimpleNamespace(data=tmp_path)


def query(config: Any, name: str, version: str) -> Any:
    body = {"package": {"name": name, "ecosystem": "PyPI"}, "version": version}
    status, answer = handler(config)("POST", "/v1/query", json.dumps(body).encode())
    return status, json.loads(answer)


def test_new_database_knows_its_seed_and_says_how_old_it_is(config: Any) -> None:
    status, answer = handler(config)("GET", "/v1/status", b"")
    described = json.loads(answer)
    assert status == 200
    assert [source["name"] for source in described["sources"]] == ["seed"]
    assert described["age_seconds"] > 86400
    assert query(config, "Requests", "2.19.0")[1]["vulns"][0]["id"] == "PYSEC-2018-28"
    assert query(config, "requests", "2.20.0") == (200, {})


def test_snapshot_takes_the_place_of_the_seed_and_of_its_older_self(config: Any, tmp_path: Path) -> None:
    folder = tmp_path / "snapshot" / "example"
    folder.mkdir(parents=True)
    (folder / "one.json").write_text(json.dumps(advisory({"introduced": "0"}, {"fixed": "2"})))
    loaded = load_advisories(tmp_path / "snapshot", config)
    assert (loaded.advisories, loaded.newest) == (1, datetime(2026, 1, 1, tzinfo=UTC))
    assert query(config, "requests", "2.19.0") == (200, {})
    assert query(config, "example", "1.0")[1]["vulns"]
    (folder / "one.json").write_text(json.dumps(advisory({"introduced": "3"}, id="TEST-2")))
    load_advisories(tmp_path / "snapshot", config)
    assert query(config, "example", "1.0") == (200, {})


def test_own_advisories_stand_beside_a_snapshot_and_do_not_make_it_look_fresh(
    config: Any, tmp_path: Path
) -> None:
    own = advisory({"introduced": "0"}, id="ENVCLI-2026-0001", modified="2099-01-01T00:00:00Z")
    (tmp_path / "own.json").write_text(json.dumps([own]))
    load_advisories(tmp_path / "own.json", config, OWN_SOURCE)
    assert query(config, "example", "1.0")[1]["vulns"][0]["id"] == "ENVCLI-2026-0001"
    assert query(config, "requests", "2.19.0")[1]["vulns"]
    assert json.loads(handler(config)("GET", "/v1/status", b"")[1])["generated"].startswith("2021")


def test_archive_is_loaded(config: Any, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("TEST-1.json", json.dumps(advisory({"introduced": "0"})))
        archive.writestr("readme.txt", "not an advisory")
    assert load_advisories(tmp_path / "all.zip", config).advisories == 1


def test_withdrawn_advisory_is_silent_but_can_be_read(config: Any, tmp_path: Path) -> None:
    gone = advisory({"introduced": "0"}, withdrawn="2026-02-01T00:00:00Z")
    (tmp_path / "one.json").write_text(json.dumps(gone))
    load_advisories(tmp_path / "one.json", config)
    assert query(config, "example", "1") == (200, {})
    assert handler(config)("GET", "/v1/vulns/TEST-1", b"")[0] == 200


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b"[1]",
        b'{"id": "X"}',
        b'{"id": "X", "modified": "yesterday"}',
        b'{"id": "X", "modified": "2026-01-01T00:00:00Z", "affected": [1]}',
        json.dumps(advisory(3)).encode(),  # type: ignore[arg-type]
    ],
)
def test_unreadable_snapshot_changes_nothing(config: Any, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.json").write_bytes(content)
    with pytest.raises(AdvisoryError):
        load_advisories(tmp_path / "bad.json", config)
    assert query(config, "requests", "2.19.0")[1]["vulns"]


def test_empty_database_answers_nothing_rather_than_harmless(config: Any) -> None:
    database = AdvisoryDatabase(config.data / "osv.db")
    answer = handler(config)
    with database._writing() as connection:
        connection.execute("DELETE FROM source")
    body = b'{"package": {"name": "requests", "ecosystem": "PyPI"}, "version": "2.19.0"}'
    assert answer("POST", "/v1/query", body)[0] == 503


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/query", b"{"),
        ("/v1/query", b"[]"),
        ("/v1/query", b"{}"),
        ("/v1/query", b'{"package": "requests"}'),
        ("/v1/query", b'{"package": {"name": 1, "ecosystem": "PyPI"}}'),
        ("/v1/query", b'{"package": {"name": "requests", "ecosystem": "PyPI"}, "version": "x y"}'),
        ("/v1/query", b'{"package": {"name": "requests", "ecosystem": "PyPI"}, "version": 1}'),
        ("/v1/query", b"[" * 100_000),
        ("/v1/querybatch", b'{"queries": 1}'),
        ("/v1/querybatch", json.dumps({"queries": [{}] * (MAX_QUERIES + 1)}).encode()),
        ("/v1/query", b'{"package": {"name": "\\ud800", "ecosystem": "PyPI"}, "version": "1"}'),
        ("/v1/query", b'{"package": {"name": "../x", "ecosystem": "PyPI"}, "version": "1"}'),
    ],
)
def test_malformed_question_is_refused(config: Any, path: str, body: bytes) -> None:
    status, answer = handler(config)("POST", path, body)
    assert status == 400
    assert json.loads(answer)["message"]


def test_batch_answers_in_order(config: Any) -> None:
    queries = [
        {"package": {"name": "jinja2", "ecosystem": "PyPI"}, "version": "2.0"},
        {"package": {"name": "jinja2", "ecosystem": "npm"}, "version": "not PEP 440"},
        {"package": {"name": "jinja2", "ecosystem": "PyPI"}},
    ]
    _, answer = handler(config)("POST", "/v1/querybatch", json.dumps({"queries": queries}).encode())
    results = json.loads(answer)["results"]
    assert [bool(result) for result in results] == [True, False, True]
    assert set(results[0]["vulns"][0]) == {"id", "modified"}


def test_unknown_address(config: Any) -> None:
    assert handler(config)("GET", "/v1/query", b"")[0] == 404
    assert handler(config)("GET", "/v1/vulns/none", b"")[0] == 404
