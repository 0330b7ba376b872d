"""Running tools and checks in processes of their own, with an end to their time, memory and output.

A check reads hostile bytes. Should a parser crash, hang or swell, it takes only its own process along.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from envcli_vetting.errors import CheckError

MAX_OUTPUT_BYTES = 16 << 20
MEMORY_BYTES = 1 << 30
OPEN_FILES = 256


@dataclass(frozen=True, slots=True)
class Done:
    """A finished process: exit status, standard output, and the last line of standard error."""

    status: int
    stdout: bytes
    message: str


def run_tool(arguments: Sequence[str], scratch: Path, seconds: float, *, stdin: bytes = b"") -> Done:
    """Run this Python with `arguments`, isolated from the user's environment and settings.

    Args:
        arguments: What follows ``python -I``.
        scratch: Working folder, home and temporary folder of the process.
        seconds: Wall-clock limit; afterwards the whole process group is killed.
        stdin: Its standard input.

    Raises:
        CheckError: It took too long, died of a signal, or printed more than ``MAX_OUTPUT_BYTES``.
    """
    with tempfile.TemporaryFile(dir=scratch) as out, tempfile.TemporaryFile(dir=scratch) as err:
        process = subprocess.Popen(
            [sys.executable, "-I", "-B", *arguments],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=err,
            cwd=scratch,
            env=_environment(scratch),
            start_new_session=True,
        )
        try:
            process.communicate(stdin, timeout=seconds)
        except subprocess.TimeoutExpired as late:
            raise CheckError(f"{arguments[1]} took longer than {seconds:.0f} s") from late
        finally:
            _end_group(process)
        out.seek(0)
        err.seek(0)
        stdout, message = out.read(MAX_OUTPUT_BYTES + 1), _last_line(err.read(1 << 20))
    if process.returncode < 0:
        name = signal.Signals(-process.returncode).name
        raise CheckError(f"{arguments[1]} was ended by {name}: its memory or time ran out")
    if len(stdout) > MAX_OUTPUT_BYTES:
        raise CheckError(f"{arguments[1]} printed more than {MAX_OUTPUT_BYTES} bytes")
    return Done(process.returncode, stdout, message)


def limit_resources(seconds: float) -> None:
    """Bound this process and what it starts: memory, processor time, file size, open files, no core dump."""
    processor = int(seconds) + 5
    for what, limit in (
        (resource.RLIMIT_DATA, MEMORY_BYTES),
        (resource.RLIMIT_CPU, processor),
        (resource.RLIMIT_FSIZE, MAX_OUTPUT_BYTES * 4),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        bound = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(what, (bound, bound))


def _environment(scratch: Path) -> dict[str, str]:
    names = ("PATH", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    return {**kept, "HOME": str(scratch), "TMPDIR": str(scratch), "LC_ALL": "C.UTF-8", "NO_COLOR": "1"}


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill whatever the process left behind in its own session, and reap it."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        process.wait()


def _last_line(text: bytes) -> str:
    lines = text.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:300] if lines else ""
