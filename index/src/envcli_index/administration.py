"""The administrator's look at an index: what waits, what failed, whether tree, database and trust agree."""

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select

from envcli_index import database as db
from envcli_index.config import IndexConfig
from envcli_index.database import connect, read
from envcli_index.public.records import SHOWN, WITH_FILES
from envcli_index.public.render import Renderer
from envcli_index.releases import Release, releases_in

PROCESSES = ("timestamp", "gate", "worker")
HEARTBEAT_SECONDS = 10.0
CHUNK_BYTES = 1 << 20


def list_releases(data: Path, states: Sequence[str]) -> list[dict[str, Any]]:
    """Return every release, or those in some states, as plain values."""
    from envcli_policy.vetting import ReleaseState

    wanted = [str(state) for state in states] or [str(state) for state in ReleaseState]
    with read(connect(IndexConfig.load(data))) as connection:
        found = releases_in(connection, wanted)
    return [
        {
            "project": one.project,
            "version": one.version,
            "state": str(one.state),
            "reason": one.reason,
            "publisher": one.publisher.name,
            "uploaded": one.uploaded.isoformat(),
        }
        for one in found
    ]


def rebuild(data: Path) -> None:
    """Render every page anew from the database; the bytes of files stay."""
    config = IndexConfig.load(data)
    with read(connect(config)) as connection:
        Renderer(config).rebuild(connection)


def diagnose(data: Path) -> list[str]:
    """Return what is wrong with an index, one sentence each, with what helps."""
    config = IndexConfig.load(data)
    engine = connect(config)
    return [*_open_secrets(config), *_silent_processes(config), *_dead_jobs(engine)]


def _open_secrets(config: IndexConfig) -> Iterator[str]:
    secrets = [*config.keys.rglob("*.pem"), *config.credentials.glob("*"), config.devpi_dir / ".secret"]
    for path in secrets:
        if path.exists() and path.stat().st_mode & 0o077:
            yield f"{path} can be read by others. Run chmod 600 {path} and replace the key"


def _silent_processes(config: IndexConfig) -> Iterator[str]:
    for name in PROCESSES:
        path = config.run_dir / f"{name}.heartbeat"
        age = time.time() - path.stat().st_mtime if path.exists() else None
        if age is None or age > HEARTBEAT_SECONDS:
            since = "never" if age is None else f"{age:.0f} s ago"
            yield f"{name} gave its last sign of life {since}. Start envcli-index {name} --data {config.data}"


def _dead_jobs(engine: Engine) -> Iterator[str]:
    with read(engine) as connection:
        for row in connection.execute(select(db.job).where(db.job.c.state == "dead")):
            yield f"job {row.id} ({row.kind} {json.dumps(row.payload)}) was given up: {row.error}"


def verify_tree(data: Path) -> list[str]:
    """Compare the public tree with database and trust metadata; return every difference.

    Every served wheel must have the digest that its release has in the database and in the TUF target, every
    page must list it, and nothing else may lie among the files.
    """
    config = IndexConfig.load(data)
    with read(connect(config)) as connection:
        releases = releases_in(connection, [str(state) for state in SHOWN])
        dependencies = connection.execute(select(db.dependency.c.sha256, db.dependency.c.filename)).all()
    served = [one for one in releases if one.state in WITH_FILES]
    expected = {f"{file.sha256}/{file.filename}": file.sha256 for one in served for file in one.wheels}
    expected |= {f"{row.sha256}/{row.filename}": row.sha256 for row in dependencies}
    return [
        *_file_problems(config, expected),
        *_target_problems(config, releases),
        *_page_problems(config, served),
    ]


def _file_problems(config: IndexConfig, expected: dict[str, str]) -> Iterator[str]:
    root = config.public / "files"
    for name, sha256 in expected.items():
        path = root / name
        if not path.is_file():
            yield f"files/{name} is missing"
        elif _digest(path) != sha256:
            yield f"files/{name} has other content than its name says"
    for path in root.rglob("*"):
        name = str(path.relative_to(root))
        if path.is_file() and name.removesuffix(".metadata") not in expected:
            yield f"files/{name} should not be there"


def _target_problems(config: IndexConfig, releases: Sequence[Release]) -> Iterator[str]:
    from envcli_index.trust.tuf import TufPublisher

    tuf = TufPublisher(config)
    for release in releases:
        raw = tuf.read(f"releases/{release.project}/{release.version}.json")
        target = json.loads(raw) if raw else {}
        files = {file.filename: file.sha256 for file in release.wheels}
        if (target.get("files"), target.get("state")) != (files, str(release.state)):
            yield f"trust metadata of {release.label} differ from the database"


def _page_problems(config: IndexConfig, served: Sequence[Release]) -> Iterator[str]:
    for release in served:
        page = config.public / "simple" / release.project / "index.json"
        listed = json.loads(page.read_bytes())["files"] if page.is_file() else []
        digests = {file["filename"]: file["hashes"]["sha256"] for file in listed}
        for file in release.wheels:
            if digests.get(file.filename) != file.sha256:
                yield f"simple/{release.project} does not list {file.filename}"


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as content:
        while chunk := content.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
