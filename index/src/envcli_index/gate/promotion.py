"""Promotion: from an approved release to one that users get. Every step can be repeated, so a crash resumes.

Order: layout, dependencies, verdict, devpi, files, trust metadata, state, pages. Trust metadata come before
the state and the pages, so that no host ever sees a release that trust metadata do not list.
"""

import hashlib

from envcli_policy.layout import verify_layout
from envcli_policy.release import ClosureFile, closure_digest, parse_summary
from envcli_policy.statements import PredicateKind, parse_statement
from envcli_policy.vetting import Action, ReleaseState
from envcli_vetting.admission import SafeWheel
from sqlalchemy import select

from envcli_index import database as db
from envcli_index.database import read, write
from envcli_index.dependencies import admit, read_wheel, stored_path
from envcli_index.gate.context import Gate, GateRefusalError, as_json
from envcli_index.gate.evidence import Evidence, collect, publish_statements
from envcli_index.gate.summary import kept_summary, summarise
from envcli_index.gate.transitions import move
from envcli_index.public.records import publisher_record
from envcli_index.releases import Release, load_release


def promote(gate: Gate, release: Release) -> None:
    """Promote an approved release.

    Raises:
        PolicyError: a step of the layout is missing or says no.
        GateRefusalError: the release was taken down, or a dependency is not the one that was vetted.
        IndexServiceError: devpi or the disk failed; repeat later.
    """
    _refuse_taken_down(gate, release)
    evidence = collect(gate, release)
    layout, raw_layout = gate.layout()
    verify_layout(layout, (*publish_statements(gate, release), *evidence.statements), release.all_subjects)
    _check_closure(evidence, release)
    _admit_closure(gate, evidence)
    vsa = summarise(gate, release, evidence, raw_layout)
    gate.devpi.promote(
        release.publisher.uuid,
        release.project,
        release.version,
        {one.filename: one.sha256 for one in release.files},
    )
    _put_wheels(gate, release)
    gate.tuf.publish(release_target(gate, release, vsa, ReleaseState.RELEASED))
    with write(gate.engine) as connection:
        move(gate, connection, release, Action.PROMOTE, "every step of the layout was performed")


def republish(gate: Gate, release: Release) -> None:
    """Make files and trust metadata of a promoted release what its state says; changes nothing when they
    are.
    """
    if release.state in {ReleaseState.RELEASED, ReleaseState.YANKED}:
        _put_wheels(gate, release)
    vsa = kept_summary(gate, release)
    if vsa is not None:
        gate.tuf.publish(release_target(gate, release, vsa, release.state))


def release_target(gate: Gate, release: Release, vsa_sha256: str, state: ReleaseState) -> dict[str, bytes]:
    """Return the TUF target of a release by its path.

    The publisher is the one whom the verdict names: hosts compare both, and a publisher may be called otherwise since.
    """
    publisher = parse_summary(parse_statement(gate.envelope(vsa_sha256))).publisher
    record = {
        "project": release.project,
        "project_uuid": release.project_uuid,
        "publisher": publisher_record(publisher),
        "version": release.version,
        "files": {file.filename: file.sha256 for file in release.wheels},
        "vsa_sha256": vsa_sha256,
        "state": str(state),
    }
    return {f"releases/{release.project}/{release.version}.json": as_json(record)}


def _refuse_taken_down(gate: Gate, release: Release) -> None:
    digests = {file.sha256 for file in release.files}
    with read(gate.engine) as connection:
        for row in connection.execute(select(db.takedown)):
            named = row.project == release.project and {"*", release.version} & set(row.versions)
            if named or digests & set(row.sha256):
                raise GateRefusalError(f"{release.label} was taken down: {row.reason}")


def _check_closure(evidence: Evidence, release: Release) -> None:
    """The closure in the database is the one that the vetting statement is signed over, no wheel more or less."""
    vetted = evidence.covering(PredicateKind.TEST_RESULT, release.all_subjects)
    said = {one.statement.predicate.get("envcli", {}).get("closure_sha256") for one in vetted}
    if said != {closure_digest(ClosureFile(**entry) for entry in evidence.closure)}:
        raise GateRefusalError(
            f"the dependencies of {release.label} are not those that were vetted", remedy="Run vetting again"
        )


def _admit_closure(gate: Gate, evidence: Evidence) -> None:
    """Store every dependency wheel that vetting listed in the curated index and in the tree."""
    names = set()
    for entry in evidence.closure:
        if publish_dependency(gate, entry["sha256"], entry["filename"]):
            names.add(entry["name"])


def publish_dependency(gate: Gate, sha256: str, filename: str) -> str:
    """Admit one kept wheel: devpi, then the tree, then the page that lists it. Return its project name.

    Raises:
        GateRefusalError: the kept file is another one.
        DependencyError: the wheel cannot be read, or another of that name was admitted.
    """
    wheel = read_wheel(stored_path(gate.config, sha256, filename))
    if wheel.sha256 != sha256:
        raise GateRefusalError(f"{filename} is not the file that was vetted", remedy="Run vetting again")
    gate.devpi.store_dependency(wheel)
    gate.renderer.put_wheel(wheel.filename, wheel.content, wheel.metadata)
    with write(gate.engine) as connection:
        admit(connection, wheel)
    with read(gate.engine) as connection:
        gate.renderer.render_dependency(connection, wheel.name)
    return wheel.name


def _put_wheels(gate: Gate, release: Release) -> None:
    for file in release.wheels:
        name = f"files/{file.sha256}/{file.filename}"
        if gate.renderer.files.path(name).exists() and gate.renderer.files.path(f"{name}.metadata").exists():
            continue
        content = gate.devpi.staged(release.project, release.version, file.filename)
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise GateRefusalError(f"{file.filename} in devpi is not the file that was uploaded")
        wheel = SafeWheel(content, file.filename)
        gate.renderer.put_wheel(file.filename, content, wheel.read_text(f"{wheel.dist_info}/METADATA"))


def render(gate: Gate, project: str) -> None:
    """Render everything that a change of one project concerns."""
    with read(gate.engine) as connection:
        gate.renderer.render_project(connection, project)
        gate.renderer.render_lists(connection)


def reload(gate: Gate, release_id: int) -> Release:
    """Return the release as it is now."""
    with read(gate.engine) as connection:
        return load_release(connection, release_id)
