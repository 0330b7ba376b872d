"""Verifying one release on the user's machine, and checking that an installed tree is unchanged."""

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from envcli_host.config import HostPaths
from envcli_host.marketplace import indexes
from envcli_host.marketplace.evidence import verify_release
from envcli_host.marketplace.model import OfferFile
from envcli_host.marketplace.transport import Transport
from envcli_host.marketplace.trust import refresh
from envcli_host.plugins import integrity

from benchmarks.measure import Row, interleaved

ROUNDS = 15
TESTS = Path(__file__).resolve().parent.parent / "tests"


def run() -> list[Row]:
    """Measure and return the rows of the table."""
    with tempfile.TemporaryDirectory(prefix="envcli-bench-") as name:
        return [_release(Path(name)), _unchanged(Path(name))]


def _release(folder: Path) -> Row:
    """TUF refresh, VSA, capability, publish attestation and digests against an index in a process of its own."""
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("verification_index.py")), str(TESTS)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        if server.stdout is None:
            raise RuntimeError("the index has no standard output")
        url, project, version, filename, sha256 = server.stdout.readline().split()
        os.environ["ENVCLI_HOME"] = str(folder / "home")
        paths = HostPaths.from_environment()
        (median,) = interleaved(
            ROUNDS, _verifier(url, project, version, OfferFile(filename, sha256, url=""), paths)
        )
    finally:
        server.terminate()
        server.wait()
    return Row(
        "verify one release (TUF, VSA, attestation, digests), CPU",
        f"{median:.1f} ms",
        "absolute",
        median,
        20,
        " ms",
    )


def _verifier(
    url: str, project: str, version: str, wheel: OfferFile, paths: HostPaths
) -> Callable[[], float]:
    index = _pin(url, paths)

    def verify() -> float:
        started = time.process_time()
        with Transport(index.url, "benchmark") as transport:
            trust = refresh(index, paths, transport)
            verify_release(project, version, wheel, trust, transport)
        return (time.process_time() - started) * 1e3

    return verify


def _pin(url: str, paths: HostPaths) -> "indexes.IndexRecord":
    with Transport(url, "benchmark") as transport:
        root = transport.read("tuf/metadata/1.root.json", indexes.MAX_ROOT)
    index = indexes.IndexRecord("benchmark", url, hashlib.sha256(root).hexdigest())
    indexes.store_index(index, root, paths)
    return index


def _unchanged(folder: Path) -> Row:
    """The check before each run, on a tree of boto3's size."""
    release = folder / "release"
    target = release / integrity.TREE
    subprocess.run(
        [
            sys.executable,
            "-m",
            "uv",
            "pip",
            "install",
            "--quiet",
            "--python",
            sys.executable,
            "--target",
            target,
            "boto3",
        ],
        check=True,
    )
    tree = integrity.seal(release)
    integrity.sign(release)

    def check() -> float:
        started = time.process_time()
        assert integrity.verify_unchanged(release, tree)
        return (time.process_time() - started) * 1e3

    (median,) = interleaved(ROUNDS, check)
    files = sum(path.is_file() for path in target.rglob("*"))
    return Row(
        f"unchanged-install check, {files} files, CPU", f"{median:.1f} ms", "absolute", median, 15, " ms"
    )
