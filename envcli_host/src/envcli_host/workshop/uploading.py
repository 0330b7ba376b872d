"""Upload release files to the index: the legacy upload API with PEP 740 attestations."""

import json
import re
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from packaging.metadata import RawMetadata, parse_email

from envcli_host.workshop.building import sha256_of
from envcli_host.workshop.credentials import ApiToken
from envcli_host.workshop.errors import UploadError
from envcli_host.workshop.signing import PROVENANCE_SUFFIX, PUBLISH_SUFFIX

UPLOAD_SECONDS = 300.0
METADATA_LIMIT = 1024 * 1024
RULE_LINE = re.compile(r"\A(?P<rule>[a-z][a-z0-9]*(?:-[a-z0-9]+)+): (?P<text>.+)\Z", re.DOTALL)


@dataclass(frozen=True)
class UploadFile:
    """One file of a release with everything the upload form says about it."""

    path: Path
    filetype: str
    pyversion: str
    metadata: RawMetadata
    attestations: str


def load_upload(path: Path) -> UploadFile:
    """Read the core metadata inside ``path`` and its attestations beside it.

    Raises:
        UploadError: the file has no readable metadata or is not signed.
    """
    is_wheel = path.suffix == ".whl"
    metadata, _unparsed = parse_email(_wheel_metadata(path) if is_wheel else _sdist_metadata(path))
    tags = path.name.removesuffix(".whl").split("-")
    return UploadFile(
        path=path,
        filetype="bdist_wheel" if is_wheel else "sdist",
        pyversion=tags[-3] if is_wheel else "source",
        metadata=metadata,
        attestations=_attestations(path),
    )


def upload_file(file: UploadFile, upload_url: str, token: ApiToken) -> None:
    """POST one file.

    Raises:
        UploadError: with the rule id the index named, if it refused.
    """
    try:
        with file.path.open("rb") as stream:
            answer = httpx.post(
                upload_url,
                data=_form(file),
                files={"content": (file.path.name, stream, "application/octet-stream")},
                auth=httpx.BasicAuth("__token__", token.text),
                timeout=UPLOAD_SECONDS,
                follow_redirects=False,
            )
    except httpx.HTTPError as error:
        raise UploadError(
            f"cannot reach {upload_url}: {type(error).__name__}",
            remedy="Nothing was published; run the same command again when the index answers",
        ) from error
    if not answer.is_success:
        raise _refusal(file.path.name, answer)


def _form(file: UploadFile) -> dict[str, Any]:
    fields: dict[str, Any] = {
        ":action": "file_upload",
        "protocol_version": "1",
        "filetype": file.filetype,
        "pyversion": file.pyversion,
        "sha256_digest": sha256_of(file.path),
        "attestations": file.attestations,
    }
    return fields | _metadata_fields(file.metadata)


def _metadata_fields(metadata: RawMetadata) -> dict[str, Any]:
    """Name the metadata as the legacy form does: lists keep their plural names but for these."""
    renamed = {"license_files": "license_file", "dynamic": "dynamic", "import_names": "import_name"}
    fields: dict[str, Any] = {}
    for key, value in metadata.items():
        if key == "project_urls" and isinstance(value, Mapping):
            fields["project_urls"] = [f"{label}, {url}" for label, url in value.items()]
        elif key == "keywords" and isinstance(value, list):
            fields["keywords"] = ",".join(value)
        elif isinstance(value, str | list):
            fields[renamed.get(key, key)] = value
    return fields


def _attestations(path: Path) -> str:
    try:
        found = [
            json.loads(path.with_name(path.name + suffix).read_bytes())
            for suffix in (PUBLISH_SUFFIX, PROVENANCE_SUFFIX)
        ]
    except FileNotFoundError:
        raise UploadError(f"{path.name} is not signed", remedy="Sign it with: envcli plugin sign") from None
    except (OSError, ValueError) as error:
        raise UploadError(
            f"an attestation of {path.name} is unreadable: {error}", remedy="Sign again"
        ) from error
    return json.dumps(found)


def _wheel_metadata(path: Path) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)]
            with archive.open(names[0]) as stream:
                return _bounded(stream.read(METADATA_LIMIT + 1), path)
    except (OSError, zipfile.BadZipFile, IndexError) as error:
        raise UploadError(
            f"{path.name} has no readable METADATA: {error}", remedy="Build it again"
        ) from error


def _sdist_metadata(path: Path) -> bytes:
    inside = f"{path.name.removesuffix('.tar.gz')}/PKG-INFO"
    try:
        with tarfile.open(path, "r:gz") as archive:
            stream = archive.extractfile(inside)
            content = stream.read(METADATA_LIMIT + 1) if stream else b""
    except (OSError, tarfile.TarError, KeyError, EOFError) as error:
        raise UploadError(
            f"{path.name} has no readable PKG-INFO: {error}", remedy="Build it again"
        ) from error
    return _bounded(content, path)


def _bounded(content: bytes, path: Path) -> bytes:
    if len(content) > METADATA_LIMIT:
        raise UploadError(
            f"the metadata of {path.name} is larger than {METADATA_LIMIT} bytes", remedy="Shorten it"
        )
    return content


def _refusal(filename: str, answer: httpx.Response) -> UploadError:
    """Find the line ``rule-id: message. Remedy`` in the body or in the reason phrase."""
    candidates = [*answer.text[:4000].splitlines(), answer.reason_phrase]
    for line in candidates:
        found = RULE_LINE.match(line.strip())
        if found:
            message = f"the index refused {filename}: {found['text'].strip().rstrip('.')} [{found['rule']}]"
            return UploadError(message, rule=found["rule"])
    return UploadError(
        f"the index refused {filename} with HTTP {answer.status_code} {answer.reason_phrase}"[:300],
        remedy="Check the upload address and the token",
    )
