"""A reviewer's commands: make a key, look up a release, sign a decision or takedown, send it.

They need nothing of the index but its addresses, and run on the reviewer's own machine, where the key stays.
"""

from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from envcli_policy.statements import keyid_of
from packaging.utils import canonicalize_name

from envcli_index.errors import IndexServiceError
from envcli_index.reviewers import DecisionError, sign_decision, sign_takedown
from envcli_index.trust.files import SECRET_MODE, write_whole
from envcli_index.trust.keys import load_signer

TIMEOUT_SECONDS = 30.0
MAX_ANSWER = 500
KEY_REMEDY = "give the private key that `envcli-index reviewer keygen` made"


class ServerError(IndexServiceError):
    """The index could not be reached, or refused."""


def keygen(out: Path) -> tuple[str, Path]:
    """Make an Ed25519 key pair.

    Args:
        out: where the private key goes (0600); the public one goes beside it with the ending ``.pub``.

    Returns:
        The key id and the path of the public key.

    Raises:
        DecisionError: a file is there already.
    """
    public_path = out.with_name(f"{out.name}.pub")
    if out.exists() or public_path.exists():
        raise DecisionError(f"{out} exists", remedy="Choose another name; a key is never overwritten")
    key = Ed25519PrivateKey.generate()
    public = key.public_key()
    out.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(out, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), SECRET_MODE)
    write_whole(public_path, public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return keyid_of(public), public_path


def decide(server: str, key: Path, wanted: str, *, approve: bool, reason: str, rules: list[str]) -> str:
    """Sign a decision over every file of a release and send it; return what the index answered.

    Args:
        server: the public index or its write path.
        key: the reviewer's private key.
        wanted: ``NAME==VERSION``.
        approve: or reject.
        reason: why.
        rules: ids of the rules judged.

    Raises:
        ServerError: the index cannot be reached or refuses.
    """
    project, version = _parse(wanted)
    if version is None:
        raise DecisionError("a decision is about one version", remedy="Write NAME==VERSION")
    signer = load_signer(key, KEY_REMEDY)
    record = _record(server, project, version)
    envelope = sign_decision(record, approve=approve, reason=reason, rules=rules, signer=signer)
    lines = [f"  {file['sha256']}  {file['filename']}" for file in record["files"]]
    answer = _send(record, server, "decisions", envelope)
    return "\n".join([f"{'approved' if approve else 'rejected'} {project} {version}:", *lines, answer])


def take_down(
    server: str,
    key: Path,
    wanted: str,
    *,
    reason: str,
    severity: str,
    advisory: str | None,
    remove: bool,
) -> str:
    """Sign a takedown and send it; return what the index answered.

    Args:
        server: the public index or its write path.
        key: the reviewer's private key.
        wanted: ``NAME==VERSION``, or ``NAME`` for every version.
        reason: shown to users.
        severity: ``low`` to ``critical``.
        advisory: id of an advisory or ``None``.
        remove: for good; otherwise quarantine.

    Raises:
        ServerError: the index cannot be reached or refuses.
    """
    project, version = _parse(wanted)
    signer = load_signer(key, KEY_REMEDY)
    versions = [version] if version else _versions(server, project)
    records = [_record(server, project, one) for one in versions]
    envelope = sign_takedown(
        records,
        versions=[version] if version else ["*"],
        reason=reason,
        severity=severity,
        advisory=advisory,
        remove=remove,
        signer=signer,
    )
    return f"{project}: {_send(records[0], server, 'takedowns', envelope)}"


def _parse(wanted: str) -> tuple[str, str | None]:
    name, separator, version = wanted.partition("==")
    if not name or (separator and not version):
        raise DecisionError(f"{wanted!r} names no release", remedy="Write NAME==VERSION")
    return canonicalize_name(name), version or None


def _record(server: str, project: str, version: str) -> dict[str, Any]:
    path = f"vetting/{quote(project)}/{quote(version)}.json"
    record = _get(server, path, f"release {project} {version}")
    if (record.get("project"), record.get("version")) != (project, version):
        raise ServerError(f"{server} answered with another release", remedy="Check the server's address")
    return record


def _versions(server: str, project: str) -> list[str]:
    record = _get(server, f"projects/{quote(project)}.json", f"project {project}")
    return [str(release["version"]) for release in record["releases"]]


def _get(server: str, path: str, what: str) -> dict[str, Any]:
    try:
        response = httpx.get(f"{server.rstrip('/')}/{path}", timeout=TIMEOUT_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _unreachable(server, error) from error
    if response.status_code == HTTPStatus.NOT_FOUND:
        raise ServerError(f"{server} knows no {what}", remedy="Check the name, the version and the server")
    if response.status_code != HTTPStatus.OK:
        raise ServerError(
            f"{server} answered about {what} with HTTP {response.status_code}",
            remedy="Check that the server is the index, and try again",
        )
    try:
        document: dict[str, Any] = response.json()
    except ValueError as error:
        raise ServerError(
            f"{server} answered about {what} with something that is no JSON",
            remedy="Give the address of the index, not of the site",
        ) from error
    return document


def _unreachable(server: str, error: Exception) -> ServerError:
    cause = _one_line(str(error)) or type(error).__name__
    return ServerError(f"{server} cannot be reached: {cause}", remedy="Check the address, or start the index")


def _one_line(text: str) -> str:
    """Return an answer of a server as one line that a terminal can show."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(shown.split())[:MAX_ANSWER]


def _send(record: dict[str, Any], server: str, what: str, envelope: bytes) -> str:
    base = str(record.get("write_url") or server).rstrip("/")
    try:
        response = httpx.post(
            f"{base}/_/{what}",
            content=envelope,
            headers={"Content-Type": "application/json"},
            timeout=TIMEOUT_SECONDS,
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _unreachable(base, error) from error
    if response.status_code != HTTPStatus.ACCEPTED:
        raise ServerError(f"the index refused: {_refusal(response)}")
    return _one_line(response.text)


def _refusal(response: httpx.Response) -> str:
    """Return why the index refused; what is no plain text comes from something else than the index."""
    said = (
        _one_line(response.text) if response.headers.get("Content-Type", "").startswith("text/plain") else ""
    )
    return said or f"HTTP {response.status_code} without a reason. See the log of the write path (devpi)"
