"""The checks of one uploaded file in their order; the first that fails refuses the upload."""

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from envcli_vetting.admission import AdmissionError, AdmittedFile, admit
from envcli_vetting.admission.metadata import FileIdentity
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from envcli_index.config import IndexConfig
from envcli_index.upload.errors import GateError
from envcli_index.upload.tokens import Principal


@dataclass(frozen=True)
class UploadedFile:
    """One file as the form brought it.

    Attributes:
        filename: from the form's ``content`` part.
        content: the file.
        fields: the form's text fields, first value each.
        attestations: the form's field of that name, or ``None``.
    """

    filename: str
    content: bytes
    fields: Mapping[str, str]
    attestations: str | None


@dataclass(frozen=True)
class VerifiedFile:
    """A file that passed every check that needs no database.

    Attributes:
        identity: project, version and kind.
        filename: its name.
        content: its bytes.
        sha256: digest of the bytes, hexadecimal.
        metadata_sha256: digest of METADATA (PEP 714) or ``None`` for a source archive.
        core_metadata: the fields that pages show.
        manifest: ``plugin.toml`` verbatim; empty for a source archive.
        attestations: the PEP 740 list as uploaded.
    """

    identity: FileIdentity
    filename: str
    content: bytes
    sha256: str
    metadata_sha256: str | None
    core_metadata: dict[str, Any]
    manifest: str
    attestations: str


def verify_upload(upload: UploadedFile, who: Principal, config: IndexConfig) -> VerifiedFile:
    """Run every check on one file: name, size, digest, archive, metadata, manifest, attestations.

    Args:
        upload: what the form brought.
        who: the publisher that the token speaks for.
        config: the index.

    Raises:
        GateError: a rule is broken.
    """
    try:
        admitted = admit(upload.filename, upload.content)
    except AdmissionError as error:
        raise GateError(error.rule, error.message, remedy=error.remedy) from error
    _check_form(upload, admitted)
    return VerifiedFile(
        identity=admitted.identity,
        filename=upload.filename,
        content=upload.content,
        sha256=admitted.sha256,
        metadata_sha256=admitted.metadata_sha256,
        core_metadata=admitted.core_metadata,
        manifest=admitted.manifest,
        attestations=verify_publisher(upload, admitted.sha256, who, config),
    )


def _check_form(upload: UploadedFile, admitted: AdmittedFile) -> None:
    form, identity = upload.fields, admitted.identity
    try:
        told = (canonicalize_name(form.get("name", "")), str(Version(form.get("version", ""))))
    except InvalidVersion as error:
        raise GateError("metadata-mismatch", f"the form's version is none: {str(error)[:100]}") from error
    if told != (identity.project, identity.version):
        raise GateError("metadata-mismatch", f"the form says {told[0][:80]} {told[1]}, the file name another")
    _check_form_digest(upload, admitted.sha256)


def _check_form_digest(upload: UploadedFile, sha256: str) -> None:
    told = upload.fields.get("sha256_digest", "").lower()
    if told and not hmac.compare_digest(told.encode(), sha256.encode()):
        raise GateError(
            "metadata-mismatch",
            f"{upload.filename} arrived with another SHA-256 than the form says",
            remedy="Try again",
        )


def verify_publisher(upload: UploadedFile, sha256: str, who: Principal, config: IndexConfig) -> str:
    """Check that the publisher itself attested exactly this file; return the attestations.

    Raises:
        GateError: ``attestation-missing``, ``attestation-subject-mismatch``, ``attestation-identity`` or
            ``attestation-invalid``.
    """
    from envcli_policy.attestation import verify_attestations
    from envcli_policy.errors import MalformedError, PolicyError

    if not upload.attestations:
        raise GateError(
            "attestation-missing",
            f"{upload.filename} came without an attestation",
            remedy="Publish with envcli plugin publish, or sign and use twine upload --attestations",
        )
    try:
        verify_attestations(
            upload.attestations.encode(),
            filename=upload.filename,
            sha256=sha256,
            trusted_root=trusted_root(config),
            expected_identity=who.identity,
            expected_issuer=who.issuer,
        )
    except PolicyError as error:
        rule = "attestation-invalid" if isinstance(error, MalformedError) else error.rule
        raise GateError(rule, error.message, remedy=error.remedy) from error
    return upload.attestations


def trusted_root(config: IndexConfig) -> str:
    """Return the Sigstore trusted root of this index as JSON."""
    from envcli_index.trust.client_config import client_config

    return json.dumps(client_config(config)["trustedRoot"], sort_keys=True)
