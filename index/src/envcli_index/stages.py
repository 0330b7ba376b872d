"""Publishers' indexes in devpi: who has which, and how files come and go.

Every publisher has a devpi user named by its uuid with two indexes, ``staging`` and ``release``;
``root/deps`` holds the curated dependencies. No index holds everybody's projects, because devpi rewrites an
index's whole set of names with each new one. Functions here run inside a devpi transaction and touch nothing
else.
"""

import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from devpi_server.model import BaseStageCustomizer

from envcli_index.attestations import reflinks
from envcli_index.errors import IndexServiceError

INDEX_TYPE = "envcli"
STAGING, RELEASE = "staging", "release"
DEPS_USER, DEPS_INDEX = "root", "deps"


class StageError(IndexServiceError):
    """devpi does not hold what was asked for, or holds something else under that name."""


class ClosedStage(BaseStageCustomizer):
    """An index that nobody may read, change or delete by devpi's own routes, whoever they are."""

    def _nobody(self, restrict_modify: Any = None) -> list[str]:  # noqa: ARG002 devpi's signature
        return []

    get_principals_for_pkg_read = _nobody
    get_principals_for_upload = _nobody
    get_principals_for_toxresult_upload = _nobody
    get_principals_for_index_delete = _nobody
    get_principals_for_index_modify = _nobody
    get_principals_for_del_entry = _nobody
    get_principals_for_del_project = _nobody
    get_principals_for_del_verdata = _nobody


@dataclass(frozen=True)
class StoredFile:
    """A file that devpi holds.

    Attributes:
        project: normalized name.
        version: version.
        filename: name.
        sha256: digest, hexadecimal.
        relpath: devpi's path.
    """

    project: str
    version: str
    filename: str
    sha256: str
    relpath: str


def stage_of(model: Any, user: str, index: str) -> Any:
    """Return an index, made with its user when it is missing.

    Args:
        model: devpi's root model, within a write transaction.
        user: publisher uuid or ``root``.
        index: ``staging``, ``release`` or ``deps``.
    """
    owner = model.get_user(user)
    if owner is None:
        # nobody ever logs in as this user: tokens are verified by signature, devpi's login is closed
        owner = model.create_user(user, secrets.token_urlsafe(32))
    stage = owner.getstage(index)
    if stage is None:
        closed = {"acl_upload": (), "acl_toxresult_upload": ()}
        stage = owner.create_stage(index=index, type=INDEX_TYPE, volatile=False, bases=(), **closed)
    return stage


def store(stage: Any, project: str, version: str, filename: str, content: bytes) -> Any:
    """Store a file and return devpi's link; the same file again is accepted, other content is not.

    Raises:
        StageError: the name is taken by other content.
    """
    store_of = _version_store(stage, project, version)
    sha256 = hashlib.sha256(content).hexdigest()
    for link in store_of.get_links(rel="releasefile", basename=filename):
        if link.hashes.get("sha256") != sha256:
            raise StageError(f"{stage.name} holds another {filename}", remedy="Raise the version number")
        return link
    link = stage.store_releasefile(project, version, filename, content, hashes=_hashes(content))
    link.add_log("upload", stage.username, dst=stage.name)
    return link


def discard_other(stage: Any, project: str, version: str, filename: str, sha256: str) -> None:
    """Delete a stored file of this name whose content is another, and its attestation with it."""
    for link in _version_store(stage, project, version).get_links(rel="releasefile", basename=filename):
        if link.hashes.get("sha256") != sha256:
            stage.del_entry(link.entry, cleanup=False)


def attach_attestation(stage: Any, project: str, version: str, link: Any, provenance: bytes) -> None:
    """Keep a provenance object beside a stored file."""
    reflinks.attach(stage.get_mutable_linkstore_perstage(project, version), link, provenance)


def promote(source: Any, target: Any, project: str, version: str, files: dict[str, str]) -> list[str]:
    """Copy files with their attestations from one index to another; files already there are left alone.

    Args:
        source: the staging index.
        target: the release index.
        project: normalized name.
        version: version.
        files: expected SHA-256 (hexadecimal) by file name.

    Returns:
        devpi's paths in the target, in the order of ``files``.

    Raises:
        StageError: a file is missing in the source or differs from what was expected.
    """
    origin = source.get_linkstore_perstage(project, version)
    paths = []
    for filename, sha256 in files.items():
        content, link = read(source, project, version, filename)
        if hashlib.sha256(content).hexdigest() != sha256:
            raise StageError(f"{filename} in {source.name} is not the file that was vetted")
        copy = store(target, project, version, filename, content)
        attach_attestation(target, project, version, copy, reflinks.read(origin, link))
        paths.append(copy.relpath)
    return paths


def read(stage: Any, project: str, version: str, filename: str) -> tuple[bytes, Any]:
    """Return a file's bytes and link.

    Raises:
        StageError: there is no such file.
    """
    if stage is None or not stage.get_versiondata_perstage(project, version):
        raise StageError(f"there is no {project} {version} in staging")
    links = stage.get_linkstore_perstage(project, version).get_links(rel="releasefile", basename=filename)
    if len(links) != 1 or not links[0].entry.file_exists():
        raise StageError(f"there is no file {filename}")
    return links[0].entry.file_get_content(), links[0]


def staged_files(model: Any) -> Iterator[StoredFile]:
    """Yield every file of every staging index."""
    for user in model.get_userlist():
        stage = user.getstage(STAGING)
        if stage is None:
            continue
        for project in sorted(stage.list_projects_perstage()):
            for version in sorted(stage.list_versions_perstage(project)):
                for link in stage.get_linkstore_perstage(project, version).get_links(rel="releasefile"):
                    sha256 = link.hashes.get("sha256", "")
                    yield StoredFile(project, version, link.basename, sha256, link.relpath)


def remove(model: Any, path: str) -> None:
    """Delete the file at a devpi path, and its attestation with it."""
    user, index, _ = path.split("/", 2)
    stage = model.getstage(user, index)
    link = stage.get_link_from_entrypath(path)
    if link is not None:
        stage.del_entry(link.entry)


def _version_store(stage: Any, project: str, version: str) -> Any:
    if not stage.get_versiondata_perstage(project, version):
        stage.set_versiondata({"name": project, "version": version})
    return stage.get_mutable_linkstore_perstage(project, version)


def _hashes(content: bytes) -> Any:
    from devpi_server.filestore import get_hashes

    return get_hashes(content)
