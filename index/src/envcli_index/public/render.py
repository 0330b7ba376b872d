"""Renders the part of the public tree that one change concerns, from the database and the statement store.

Everything here can be called again at any time with the same result; a crash in the middle is mended by the next call.
The bytes of distribution files are put in place by the gate before the page that lists them.
"""

import base64
import hashlib
import json
from typing import Any

from packaging.version import Version
from sqlalchemy import Connection, select

from envcli_index import database as db
from envcli_index.attestations.bundles import publish_bundle
from envcli_index.attestations.provenance import provenance_object
from envcli_index.config import IndexConfig
from envcli_index.public import records, simple
from envcli_index.public.tree import PublicFiles
from envcli_index.releases import (
    Release,
    ReleaseFile,
    StoredStatement,
    observations_of,
    project_releases,
    releases_in,
    statements_of,
    takedown_of,
)
from envcli_index.trust.client_config import client_config

WAITING = ("submitted", "checking", "auto-approved", "needs-human", "approved")
VSA_NAME = "vsa"


class Renderer:
    """Writes pages below one public tree.

    Args:
        config: the index's settings.
    """

    def __init__(self, config: IndexConfig) -> None:
        self._config = config
        self._base = config.public_url
        self.files = PublicFiles(config.public)

    def put_wheel(self, filename: str, content: bytes, core_metadata: bytes | None) -> None:
        """Put a distribution file and its core metadata (PEP 658) in place."""
        name = f"files/{hashlib.sha256(content).hexdigest()}/{filename}"
        if core_metadata is not None:
            self.files.put_new(f"{name}.metadata", core_metadata)
        self.files.put_new(name, content)

    def render_project(self, connection: Connection, project: str) -> None:
        """Render every page about one plugin project, and drop the files that users may no longer get."""
        releases = project_releases(connection, project)
        for release in releases:
            if release.wheels:  # a source archive alone is no release yet
                self.render_vetting(connection, release)
        shown = [release for release in releases if release.state in records.SHOWN]
        if not shown:
            return
        served = [release for release in shown if release.state in records.WITH_FILES]
        for release in shown:
            self._render_files(release, keep=release in served)
        takedowns = {
            release.version: order for release in shown if (order := takedown_of(connection, release))
        }
        reason = records.status_reason(shown[-1], takedowns.get(shown[-1].version))
        page = self._project_page(shown, served, reason)
        self.files.put(f"simple/{project}/index.json", simple.render_json(page))
        self.files.put(f"simple/{project}/index.html", simple.render_html(page))
        verdicts = {release.version: self._verdict(connection, release) for release in shown}
        record = records.project_record(shown, {key: one for key, one in verdicts.items() if one}, takedowns)
        self.files.put(f"projects/{project}.json", _dump(record))

    def render_vetting(self, connection: Connection, release: Release) -> None:
        """Render the evidence page and the statements of one release."""
        listed = [
            self._render_statement(release, statement) for statement in statements_of(connection, release.id)
        ]
        place = f"{release.project}/{release.version}"
        self.files.put(f"statements/{place}/index.json", _dump({"statements": listed}))
        observed = observations_of(connection, release.id)
        record = records.vetting_record(release, listed, observed, takedown_of(connection, release))
        record["write_url"] = self._config.devpi_url  # where a reviewer sends the decision
        self.files.put(f"vetting/{place}.json", _dump(record))

    def render_dependency(self, connection: Connection, name: str) -> None:
        """Render the simple page of one curated dependency."""
        rows = connection.execute(select(db.dependency).where(db.dependency.c.name == name)).mappings().all()
        files = tuple(
            simple.SimpleFile(
                filename=row["filename"],
                url=self._file_url(row["sha256"], row["filename"]),
                sha256=row["sha256"],
                size=row["size"],
                uploaded=row["uploaded"],
                metadata_sha256=row["metadata_sha256"],
                requires_python=row["requires_python"],
            )
            for row in sorted(rows, key=lambda row: (Version(row["version"]), row["filename"]))
        )
        versions = tuple(
            dict.fromkeys(row["version"] for row in sorted(rows, key=lambda r: Version(r["version"])))
        )
        page = simple.SimplePage(name=name, versions=versions, files=files)
        self.files.put(f"simple/{name}/index.json", simple.render_json(page))
        self.files.put(f"simple/{name}/index.html", simple.render_html(page))

    def render_lists(self, connection: Connection) -> None:
        """Render the list of projects for pip, for the catalog, and the vetting queue."""
        shown = select(db.project.c.name).join(db.release).where(db.release.c.state.in_(records.SHOWN))
        plugins = sorted(set(connection.execute(shown).scalars()))
        dependencies = connection.execute(select(db.dependency.c.name).distinct()).scalars()
        names = {*plugins, *dependencies}
        self.files.put("simple/index.json", simple.render_list_json(names))
        self.files.put("simple/index.html", simple.render_list_html(names))
        known = (self.files.read(f"projects/{name}.json") for name in plugins)
        summaries = [records.summary_record(json.loads(record)) for record in known if record]
        self.files.put("projects/index.json", _dump({"projects": summaries}))
        self.render_queue(connection)
        self.files.put("trust/client-trust-config.json", _dump(client_config(self._config)))

    def render_queue(self, connection: Connection) -> None:
        """Render the releases that wait for checks, people or the gate."""
        waiting = [release for release in releases_in(connection, WAITING) if release.wheels]
        self.files.put("vetting/queue.json", _dump({"releases": records.queue_record(waiting)}))

    def rebuild(self, connection: Connection) -> None:
        """Render every page anew."""
        for name in connection.execute(select(db.project.c.name)).scalars().all():
            self.render_project(connection, name)
        for name in connection.execute(select(db.dependency.c.name).distinct()).scalars().all():
            self.render_dependency(connection, name)
        self.render_lists(connection)

    def _render_files(self, release: Release, *, keep: bool) -> None:
        """Put provenance beside the wheels of a served release, or take wheels and provenance away."""
        for wheel in release.wheels:
            place = f"integrity/{release.project}/{release.version}/{wheel.filename}"
            provenance, bundle = f"{place}/provenance", f"{place}/publish.sigstore.json"
            if keep:
                self.files.put(provenance, _provenance(release, wheel))
                self._put_bundle(bundle, wheel)
                continue
            served = f"files/{wheel.sha256}/{wheel.filename}"
            for name in (served, f"{served}.metadata", provenance, bundle):
                self.files.remove(name)

    def _put_bundle(self, name: str, wheel: ReleaseFile) -> None:
        bundle = publish_bundle(wheel.attestations)
        if bundle is not None:
            self.files.put(name, bundle)

    def _project_page(
        self, shown: list[Release], served: list[Release], reason: str | None
    ) -> simple.SimplePage:
        newest = shown[-1]
        return simple.SimplePage(
            name=newest.project,
            versions=tuple(release.version for release in served),
            files=tuple(self._simple_file(release, wheel) for release in served for wheel in release.wheels),
            status=newest.project_status,
            status_reason=reason,
        )

    def _simple_file(self, release: Release, wheel: ReleaseFile) -> simple.SimpleFile:
        place = f"{release.project}/{release.version}/{wheel.filename}"
        return simple.SimpleFile(
            filename=wheel.filename,
            url=self._file_url(wheel.sha256, wheel.filename),
            sha256=wheel.sha256,
            size=wheel.size,
            uploaded=wheel.uploaded,
            metadata_sha256=wheel.metadata_sha256,
            requires_python=release.core_metadata.get("requires_python"),
            provenance=f"{self._base}/integrity/{place}/provenance",
            yanked=release.yanked,
        )

    def _render_statement(self, release: Release, statement: StoredStatement) -> dict[str, Any]:
        name = f"statements/{release.project}/{release.version}/{records.statement_name(statement)}"
        self.files.put(name, (self._config.statements / statement.sha256).read_bytes())
        return {
            "name": statement.name,
            "predicateType": statement.predicate_type,
            "url": f"{self._base}/{name}",
            "sha256": statement.sha256,
            "keyid": statement.keyid,
            "created": records.instant(statement.created),
        }

    def _verdict(self, connection: Connection, release: Release) -> dict[str, Any] | None:
        """Return what the signed VSA of a release says, read back from the statement itself."""
        found = [one for one in statements_of(connection, release.id) if one.name == VSA_NAME]
        if not found:
            return None
        envelope = json.loads((self._config.statements / found[0].sha256).read_bytes())
        predicate = json.loads(base64.b64decode(envelope["payload"]))["predicate"]
        rules = {one["rule"] for one in observations_of(connection, release.id)}
        return {
            "result": predicate["verificationResult"],
            "reviewed_by": predicate["envcli"]["reviewed_by"],
            "time": predicate["timeVerified"],
            "levels": predicate["verifiedLevels"],
            "rules": sorted(rules),
            "statement": f"{self._base}/statements/{release.project}/{release.version}/{VSA_NAME}.dsse.json",
        }

    def _file_url(self, sha256: str, filename: str) -> str:
        return f"{self._base}/files/{sha256}/{filename}"


def _provenance(release: Release, wheel: ReleaseFile) -> bytes:
    publisher = release.publisher
    return provenance_object(
        wheel.attestations, publisher=publisher.uuid, identity=publisher.identity, issuer=publisher.issuer
    )


def _dump(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
