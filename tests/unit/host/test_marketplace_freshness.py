"""How old trust may be, and what the clock may do."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from envcli_host.config import HostPaths
from envcli_host.errors import StaleTrustError, TakenDownError, VerificationError
from envcli_host.marketplace.freshness import FreshnessWarning, check_run, observe_clock, record_standing
from envcli_host.marketplace.indexes import IndexRecord, store_index

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DIGEST = "a" * 64


@pytest.fixture
def paths(tmp_path: Path) -> HostPaths:
    return HostPaths.below(tmp_path)


def takedowns(**changes: object) -> bytes:
    """A list with one takedown, of another project unless told otherwise."""
    entry = {
        "id": "TD-1",
        "project": "envcli-plugin-other",
        "versions": ["1.0"],
        "sha256": [],
        "reason": "bad",
        "severity": "high",
        "issued": "2026-01-01T00:00:00Z",
        "advisory": None,
    }
    return json.dumps({"version": 1, "takedowns": [entry | changes]}).encode()


def refreshed(paths: HostPaths, at: datetime, content: bytes | None = None) -> None:
    """Record a refresh at which the index had just signed its timestamp."""
    record_standing(at, at + timedelta(hours=24), content or takedowns(), "main", paths)


def check(
    paths: HostPaths, *, strict: bool = False, closure: tuple[str, ...] = ()
) -> FreshnessWarning | None:
    """Check a run now."""
    return check_run("envcli-plugin-demo", "1.0", DIGEST, "main", paths, NOW, strict=strict, closure=closure)


@pytest.mark.parametrize(
    ("age", "strict", "outcome"),
    [
        (timedelta(0), False, "runs"),
        (timedelta(days=2, hours=23), False, "runs"),
        (timedelta(days=3), False, "warns"),
        (timedelta(days=29, hours=23), False, "warns"),
        (timedelta(days=30), False, "refuses"),
        (timedelta(hours=23), True, "runs"),
        (timedelta(days=1), True, "warns"),
        (timedelta(days=7), True, "refuses"),
    ],
)
def test_old_trust_warns_and_then_refuses(
    paths: HostPaths, age: timedelta, strict: bool, outcome: str
) -> None:
    refreshed(paths, NOW - age)

    if outcome == "refuses":
        with pytest.raises(StaleTrustError, match="envcli index refresh main"):
            check(paths, strict=strict)
    else:
        assert (check(paths, strict=strict) is not None) == (outcome == "warns")


def test_a_warning_tells_age_and_remedy(paths: HostPaths) -> None:
    refreshed(paths, NOW - timedelta(days=5))

    warning = check(paths)

    assert warning is not None
    assert "is 5 days old" in warning.message
    assert warning.remedy == "Run: envcli index refresh main"


def test_trust_signed_in_the_future_is_refused(paths: HostPaths) -> None:
    refreshed(paths, NOW + timedelta(hours=1))

    with pytest.raises(StaleTrustError):
        check(paths)


def test_a_clock_that_went_back_is_refused_and_small_steps_are_not(paths: HostPaths) -> None:
    observe_clock(paths, NOW + timedelta(minutes=4))
    refreshed(paths, NOW)
    assert check(paths) is None

    observe_clock(paths, NOW + timedelta(days=1))

    with pytest.raises(StaleTrustError, match="clock went backwards"):
        check(paths)


def test_the_latest_time_seen_survives_a_run_in_the_past(paths: HostPaths) -> None:
    observe_clock(paths, NOW)
    with pytest.raises(StaleTrustError):
        observe_clock(paths, NOW - timedelta(days=1))
    with pytest.raises(StaleTrustError):
        observe_clock(paths, NOW - timedelta(hours=12))


@pytest.mark.parametrize(
    ("changes", "hit"),
    [
        ({"project": "envcli-plugin-demo", "versions": ["*"]}, True),
        ({"project": "envcli-plugin-demo", "versions": ["1.0"]}, True),
        ({"project": "envcli-plugin-demo", "versions": ["2.0"]}, False),
        ({"sha256": [DIGEST]}, True),
        ({"sha256": ["b" * 64]}, True),
        ({"sha256": ["c" * 64]}, False),
    ],
)
def test_takedowns_by_name_version_and_digest(
    paths: HostPaths, changes: dict[str, object], hit: bool
) -> None:
    refreshed(paths, NOW, takedowns(**changes))

    if hit:
        with pytest.raises(TakenDownError, match="bad"):
            check(paths, closure=("b" * 64,))
    else:
        assert check(paths, closure=("b" * 64,)) is None


def test_a_takedown_counts_on_stale_trust_too(paths: HostPaths) -> None:
    refreshed(paths, NOW - timedelta(days=90), takedowns(project="envcli-plugin-demo", versions=["*"]))

    with pytest.raises(TakenDownError):
        check(paths)


def test_an_index_never_verified_is_refused(paths: HostPaths) -> None:
    store_index(IndexRecord("main", "https://x.example/", "0" * 64), b"", paths)
    with pytest.raises(StaleTrustError, match="never been verified"):
        check(paths)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"refreshed": 1}', "\x00"])
def test_a_damaged_record_is_refused(paths: HostPaths, content: str) -> None:
    refreshed(paths, NOW)
    (paths.indexes_dir / "main" / "freshness.json").write_text(content)

    with pytest.raises(StaleTrustError, match="is damaged"):
        check(paths)


@pytest.mark.parametrize("content", ["", "yesterday", "2026-01-01T00:00:00"])
def test_a_damaged_clock_record_is_refused(paths: HostPaths, content: str) -> None:
    paths.state.mkdir()
    (paths.state / "clock").write_text(content)

    with pytest.raises(StaleTrustError, match="is damaged"):
        observe_clock(paths, NOW)


def test_a_malformed_list_of_takedowns_is_not_recorded(paths: HostPaths) -> None:
    with pytest.raises(VerificationError):
        refreshed(paths, NOW, b'{"version": 1}')
    with pytest.raises(StaleTrustError, match="no longer trusted"):
        check(paths)


def test_a_run_imports_no_cryptography_unless_concerned(paths: HostPaths) -> None:
    import subprocess
    import sys

    refreshed(paths, datetime.now(UTC))
    script = (
        "import sys; from pathlib import Path; from datetime import datetime, UTC\n"
        "from envcli_host.config import HostPaths\n"
        "from envcli_host.marketplace.freshness import check_run\n"
        f"check_run('envcli-plugin-demo', '1.0', '{DIGEST}', 'main', HostPaths.below(Path(sys.argv[1])),"
        " datetime.now(UTC))\n"
        "print([m for m in sys.modules if m in {'cryptography', 'tuf', 'httpx', 'sigstore'}])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(paths.data.parent)], capture_output=True, text=True, check=True
    )

    assert done.stdout == "[]\n"
