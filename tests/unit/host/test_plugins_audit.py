"""The audit log is appended whole, readable by its owner only, and never half written."""

import json
import threading
from pathlib import Path

import pytest
from envcli_host.audit import MAX_LINE, AuditError, AuditLog, read_events


def test_events_carry_their_context(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "state" / "audit.jsonl", plugin="demo")
    log.record({"event": "a"})
    log.update(tier="hard")
    log.bound(instance="two").record({"event": "b", "subject": "x" * 10_000})
    first, second = read_events(tmp_path / "state" / "audit.jsonl")

    assert (first["plugin"], first["event"], "tier" in first) == ("demo", "a", False)
    assert (second["tier"], second["instance"], len(second["subject"])) == ("hard", "two", 500)
    assert first["session"] == second["session"]
    assert (tmp_path / "state" / "audit.jsonl").stat().st_mode & 0o777 == 0o600


def test_an_event_stays_one_line(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    log.record({"event": "a", "reason": "line\nbreak\r\u2028 {}"})
    log.record({"event": "b", "names": ["x" * 400] * 1000})
    lines = (tmp_path / "audit.jsonl").read_text().splitlines()

    assert len(lines) == 2
    assert json.loads(lines[1])["event"] == "audit.oversized"
    assert max(map(len, lines)) < MAX_LINE


def test_many_writers_do_not_mix_lines(tmp_path: Path) -> None:
    def write(number: int) -> None:
        log = AuditLog(tmp_path / "audit.jsonl", writer=number)
        for index in range(50):
            log.record({"event": f"e{index}", "subject": "x" * 300})

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = list(read_events(tmp_path / "audit.jsonl"))
    assert len(found) == 400
    assert all(event["event"].startswith("e") for event in found)


def test_what_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("")
    (tmp_path / "audit.jsonl").symlink_to(tmp_path / "real")
    with pytest.raises(AuditError, match="nothing was run"):
        AuditLog(tmp_path / "audit.jsonl").record({"event": "a"})


def test_unreadable_lines_are_shown_as_such(tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").write_text('{"event": "a"}\nnonsense\n[]\n')
    assert [event["event"] for event in read_events(tmp_path / "audit.jsonl")] == [
        "a",
        "audit.unreadable",
        "audit.unreadable",
    ]
    assert list(read_events(tmp_path / "none")) == []
