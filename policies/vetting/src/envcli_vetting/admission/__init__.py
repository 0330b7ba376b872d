"""The upload gate's checks that need nothing but the file: the index runs them on every upload, authors before it.

What passes here is refused by the gate only for who uploads it, or for what the index already holds.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envcli_vetting.admission.archive import MAX_ARCHIVE_BYTES, SafeWheel
from envcli_vetting.admission.errors import AdmissionError
from envcli_vetting.admission.metadata import (
    FileIdentity,
    parse_core_metadata,
    parse_filename,
    read_manifest,
)
from envcli_vetting.admission.source import read_source_metadata
from envcli_vetting.observation import Observation, error

__all__ = ["MAX_ARCHIVE_BYTES", "AdmissionError", "AdmittedFile", "SafeWheel", "admit", "inspect"]


@dataclass(frozen=True)
class AdmittedFile:
    """A file that breaks none of the rules.

    Attributes:
        identity: project, version and kind.
        sha256: digest of the file, hexadecimal.
        metadata_sha256: digest of METADATA (PEP 714), or ``None`` for a source archive.
        core_metadata: the fields that pages show.
        manifest: ``plugin.toml`` verbatim; empty for a source archive.
    """

    identity: FileIdentity
    sha256: str
    metadata_sha256: str | None
    core_metadata: dict[str, Any]
    manifest: str


def admit(filename: str, content: bytes) -> AdmittedFile:
    """Check one file: name, size, archive, metadata, manifest.

    Args:
        filename: its name.
        content: its bytes.

    Raises:
        AdmissionError: a rule is broken.
    """
    identity = parse_filename(filename)
    is_wheel = identity.kind == "wheel"
    raw, manifest = (
        _open_wheel(content, filename) if is_wheel else (read_source_metadata(content, filename), "")
    )
    return AdmittedFile(
        identity=identity,
        sha256=hashlib.sha256(content).hexdigest(),
        metadata_sha256=hashlib.sha256(raw).hexdigest() if is_wheel else None,
        core_metadata=parse_core_metadata(raw, identity),
        manifest=manifest,
    )


def inspect(files: Sequence[Path]) -> tuple[Observation, ...]:
    """Return for every file the rule of the gate that it breaks first, as authors are told.

    Args:
        files: distribution files under their own names; one byte more than the limit is read at most.
    """
    found = []
    for path in files:
        try:
            with path.open("rb") as stream:
                admit(path.name, stream.read(MAX_ARCHIVE_BYTES + 1))
        except AdmissionError as broken:
            why = "The index would refuse the upload"
            found.append(error(broken.rule, broken.message, path=path.name, why=why, fix=broken.remedy))
    return tuple(found)


def _open_wheel(content: bytes, filename: str) -> tuple[bytes, str]:
    wheel = SafeWheel(content, filename)
    raw = wheel.read_text(f"{wheel.dist_info}/METADATA")
    if raw is None:
        raise AdmissionError("metadata-invalid", f"{filename} has no METADATA", remedy="Build it again")
    return raw, read_manifest(wheel)
