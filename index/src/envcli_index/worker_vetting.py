"""Vetting one release: fetch its files, resolve its closure, run the checks, sign and store what they say."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from envcli_policy.release import ClosureFile
from envcli_policy.statements import (
    CAPABILITY,
    TEST_RESULT,
    VULNS,
    Statement,
    parse_statement,
    sign_statement,
)
from envcli_policy.vetting import ReleaseState
from envcli_sdk import PermissionRequest, parse_manifest
from envcli_vetting.observation import Observation, error
from envcli_vetting.report import Verdict, VettedFile, VettingReport
from envcli_vetting.runner import VettingContext, run_checks
from envcli_vetting.tree import Pin
from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]
from sqlalchemy import Connection, Engine, delete, insert

from envcli_index import database as db
from envcli_index import queue
from envcli_index.config import IndexConfig
from envcli_index.credentials import read_token
from envcli_index.errors import IndexServiceError
from envcli_index.releases import (
    Release,
    ReleaseFile,
    add_statement,
    load_release,
    project_releases,
    save_envelope,
    statements_of,
)
from envcli_index.worker_closure import Closure, ClosureError, ClosureWheel, resolve_closure

FETCH_SECONDS = 60
UNCHECKED = frozenset({ReleaseState.SUBMITTED, ReleaseState.CHECKING})
VETTABLE = UNCHECKED | {ReleaseState.AUTO_APPROVED, ReleaseState.NEEDS_HUMAN}
NAMES = {TEST_RESULT: "vetting", CAPABILITY: "capability", VULNS: "vulns"}


class InconclusiveError(IndexServiceError):
    """A required check could not speak; the job is tried again and approves nothing meanwhile."""


class FetchError(IndexServiceError):
    """A staged file could not be fetched, or is not the one that was accepted."""


@dataclass(frozen=True)
class _Signed:
    name: str
    predicate_type: str
    sha256: str
    keyid: str


class ReleaseVetting:
    """Vets releases with one vetting key.

    Args:
        config: The index's settings.
        engine: From `database.connect`.
        signer: The vetting key.
    """

    def __init__(self, config: IndexConfig, engine: Engine, signer: CryptoSigner) -> None:
        self._config = config
        self._engine = engine
        self._signer = signer

    def vet(self, job: queue.Job) -> str:
        """Do one ``vet`` job; doing it again leads to the same state.

        Returns:
            What happened, in one line.

        Raises:
            IndexServiceError: Something failed that may pass; nothing was stated about the release.
        """
        with db.read(self._engine) as connection:
            release = load_release(connection, int(job.payload["release"]))
            earlier = project_releases(connection, release.project)
        if not self._is_open(release):
            queue.complete(self._engine, job)
            return f"{release.label}: nothing to vet ({release.state})"
        with TemporaryDirectory(prefix="envcli-worker-") as name:
            report, closure = self._examine(release, earlier, Path(name))
            if report.verdict is Verdict.INCONCLUSIVE:
                self._store_observations(release, report)
                raise InconclusiveError(f"{release.label}: {report.problems[0]}", remedy="It is tried again")
            for wheel in closure.wheels:
                self._keep_wheel(wheel)
        vetted = [ClosureFile(one.name, one.version, one.filename, one.sha256) for one in closure.wheels]
        signed = [self._sign(statement) for statement in report.statements(vetted)]
        self._store(job, release, report, closure, signed)
        return f"{release.label}: {report.verdict}, {len(report.observations)} observations"

    def _is_open(self, release: Release) -> bool:
        """Whether there is something to say that was not said: checks under way, or a file added since."""
        if release.state not in VETTABLE or not release.wheels:
            return False
        if release.state in UNCHECKED:
            return True
        with db.read(self._engine) as connection:
            said = [one.sha256 for one in statements_of(connection, release.id) if one.name == "vetting"]
        envelopes = [(self._config.statements / sha256).read_bytes() for sha256 in said]
        covered = [set(parse_statement(envelope).subjects) for envelope in envelopes]
        return set(release.all_subjects) not in covered

    def _examine(
        self, release: Release, earlier: Sequence[Release], folder: Path
    ) -> tuple[VettingReport, Closure]:
        files = [self._fetch(release, file, folder) for file in release.files]
        wheels = [path for path in files if path.suffix == ".whl"]
        work = folder / "closure"
        work.mkdir()
        closure, problems = self._resolve(wheels, work)
        promoted = [one for one in earlier if one.promoted is not None and one.id != release.id]
        newest = max(promoted, key=lambda one: (one.promoted is not None, one.promoted), default=None)
        context = VettingContext(
            closure=None if problems else tuple(Pin(wheel.name, wheel.version) for wheel in closure.wheels),
            osv_url=self._config.audit_url,
            first_release=newest is None,
            previous=_permissions(newest),
            observations=problems,
        )
        return run_checks(files, context), closure

    def _resolve(self, wheels: Sequence[Path], work: Path) -> tuple[Closure, tuple[Observation, ...]]:
        upstream, first_party = self._config.upstream_index, self._config.first_party
        try:
            return resolve_closure(wheels, work, upstream=upstream, first_party=first_party), ()
        except ClosureError as broken:
            problem = error(
                broken.rule,
                str(broken.args[0]),
                path="METADATA",
                why="Users could not install the plugin, or would get something that nobody vetted",
                fix=broken.remedy,
            )
            return Closure((), ()), (problem,)

    def _fetch(self, release: Release, file: ReleaseFile, folder: Path) -> Path:
        """Fetch a staged file and compare it with what the upload gate accepted."""
        url = f"{self._config.devpi_url}/_/staged/{release.project}/{release.version}/{file.filename}"
        token = read_token(self._config.credentials, "worker")
        target = folder / file.filename
        try:
            headers = {"Authorization": f"Bearer {token}"}
            answer = httpx.get(url, headers=headers, timeout=FETCH_SECONDS, trust_env=False)
            answer.raise_for_status()
        except httpx.HTTPError as broken:
            raise FetchError(
                f"cannot fetch {file.filename}: {type(broken).__name__}", remedy="See whether devpi runs"
            ) from broken
        target.write_bytes(answer.content)
        if VettedFile.of(target).sha256 != file.sha256:
            raise FetchError(
                f"{file.filename} is not the file that was accepted", remedy="Check devpi's storage"
            )
        return target

    def _sign(self, statement: Statement) -> _Signed:
        envelope = sign_statement(statement, self._signer)
        digest = hashlib.sha256(envelope).hexdigest()
        save_envelope(self._config.statements, digest, envelope)
        keyid = str(self._signer.public_key.keyid)
        return _Signed(NAMES[statement.predicate_type], statement.predicate_type, digest, keyid)

    def _keep_wheel(self, wheel: ClosureWheel) -> None:
        """Put a dependency's wheel where the gate finds it: content-addressed, complete or absent."""
        folder = self._config.closure / wheel.sha256
        target = folder / wheel.filename
        if target.exists():
            return
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = folder / f".{wheel.filename}.{os.getpid()}"
        try:
            with part.open("wb") as out:
                out.write(wheel.path.read_bytes())
                out.flush()
                os.fsync(out.fileno())
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def _store(
        self,
        job: queue.Job,
        release: Release,
        report: VettingReport,
        closure: Closure,
        signed: Sequence[_Signed],
    ) -> None:
        """Everything in one transaction, and only if this process still holds the job."""
        with db.write(self._engine) as connection:
            if not queue.complete_in(connection, job):
                raise IndexServiceError(f"{release.label}: another worker took the job over")
            if load_release(connection, release.id).state not in VETTABLE:
                return  # decided meanwhile: what was decided on must not change any more
            for one in signed:
                add_statement(connection, release.id, one.name, one.predicate_type, one.sha256, one.keyid)
            _replace_observations(connection, release.id, report)
            _replace_closure(connection, release.id, closure)
            queue.enqueue(connection, "gate", {"release": release.id}, f"release-{release.id}")

    def _store_observations(self, release: Release, report: VettingReport) -> None:
        with db.write(self._engine) as connection:
            _replace_observations(connection, release.id, report)


def _permissions(release: Release | None) -> tuple[PermissionRequest, ...]:
    return parse_manifest(release.manifest).permissions if release is not None else ()


def _replace_observations(connection: Connection, release_id: int, report: VettingReport) -> None:
    connection.execute(delete(db.observation).where(db.observation.c.release == release_id))
    rows = [
        {
            **one.to_json(),
            "release": release_id,
            "check_id": result.check,
            "check_version": result.version,
            "line": one.line or None,
        }
        for result in report.results
        for one in result.observations
    ]
    if rows:
        connection.execute(insert(db.observation), rows)


def _replace_closure(connection: Connection, release_id: int, closure: Closure) -> None:
    connection.execute(delete(db.closure).where(db.closure.c.release == release_id))
    rows = [
        {
            "release": release_id,
            "name": wheel.name,
            "version": wheel.version,
            "filename": wheel.filename,
            "sha256": wheel.sha256,
        }
        for wheel in closure.wheels
    ]
    if rows:
        connection.execute(insert(db.closure), rows)
