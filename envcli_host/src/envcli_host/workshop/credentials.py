"""The publisher's API token, and its exchange for a short-lived token that only signing accepts."""

import base64
import binascii
import json
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from envcli_host.config import HostPaths
from envcli_host.workshop.errors import SigningError

TOKEN_VARIABLE = "ENVCLI_TOKEN"  # noqa: S105 - the name of a variable
TOKEN_PREFIX = "envcli-"  # noqa: S105 - what every token starts with
HTTP_SECONDS = 30.0
EXCHANGE_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a type of RFC 8693


@dataclass(frozen=True)
class ApiToken:
    """A publisher's API token. Its text never appears in ``repr``, logs or messages.

    Attributes:
        text: the credential.
        issuer: the site that issued it, as the token itself states; used only if the index names the same.
    """

    text: str = field(repr=False)
    issuer: str


def read_token(paths: HostPaths) -> ApiToken:
    """Take the token from ``ENVCLI_TOKEN`` or the token file, which only its owner may read.

    Raises:
        SigningError: no token, a readable-for-others file, or something that is no token.
    """
    text = os.environ.get(TOKEN_VARIABLE, "").strip() or _token_from_file(paths.token_file)
    if not text:
        raise SigningError(
            "no API token was found",
            remedy="Create one on the index' site under your account, then run envcli login"
            f" or set {TOKEN_VARIABLE}",
        )
    return ApiToken(text, _issuer_of(text))


def exchange_token(token: ApiToken, issuer: str) -> str:
    """Exchange ``token`` at ``issuer`` for an identity token with audience ``sigstore`` (RFC 8693).

    Args:
        issuer: the OpenID provider that the index' signed trust configuration names.

    Raises:
        SigningError: the token belongs to another site, or the site refused or did not answer.
    """
    if token.issuer != issuer.rstrip("/"):
        raise SigningError(
            f"the API token was issued by {token.issuer}, but this index trusts {issuer}",
            remedy="Use a token of the site that belongs to the index",
        )
    form = {
        "grant_type": EXCHANGE_GRANT,
        "subject_token": token.text,
        "subject_token_type": ACCESS_TOKEN_TYPE,
        "audience": "sigstore",
    }
    try:
        answer = httpx.post(
            f"{token.issuer}/oauth/token", data=form, timeout=HTTP_SECONDS, follow_redirects=False
        )
    except httpx.HTTPError as error:
        raise SigningError(
            f"cannot reach {token.issuer} to exchange the API token: {type(error).__name__}",
            remedy="Try again when the site answers",
        ) from error
    return _identity_token(answer)


def _identity_token(answer: httpx.Response) -> str:
    try:
        document = answer.json()
    except ValueError:
        document = {}
    identity = document.get("access_token") if isinstance(document, dict) else None
    if answer.status_code == httpx.codes.OK and isinstance(identity, str):
        return identity
    reason = _reason(document)
    if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
        raise SigningError(
            f"the site cannot exchange the API token at the moment (HTTP {answer.status_code}: {reason})",
            remedy="Try again later; if it lasts, tell the site's administrator",
        )
    raise SigningError(
        f"the site refused to exchange the API token (HTTP {answer.status_code}: {reason})",
        remedy="Check that the token is not revoked, may upload, and that your publisher profile exists",
    )


def _reason(document: object) -> str:
    """Return why the site refused, as RFC 6749 has it, in one line that a terminal can show."""
    given = document if isinstance(document, dict) else {}
    for name in ("error_description", "error"):
        text = given.get(name)
        if isinstance(text, str) and text:
            return "".join(letter if letter.isprintable() else " " for letter in text)[:200]
    return "no reason given"


def _token_from_file(file: Path) -> str:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise SigningError(
            f"cannot read {file}: {error.strerror}", remedy="Make it a plain file of mode 0600"
        ) from error
    with os.fdopen(descriptor, encoding="ascii", errors="replace") as stream:
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        if mode & 0o077:
            raise SigningError(
                f"{file} can be read by others (mode {mode:04o})",
                remedy=f"Run: chmod 600 {file}, and renew the token",
            )
        return stream.read().strip()


def _issuer_of(text: str) -> str:
    """Read the issuer claim unverified: site and index verify, here it only prevents a mix-up."""
    parts = text.removeprefix(TOKEN_PREFIX).split(".")
    try:
        padded = parts[1] + "=" * (-len(parts[1]) % 4)
        claims = json.loads(base64.urlsafe_b64decode(padded))
        issuer = claims["iss"]
    except (IndexError, binascii.Error, ValueError, KeyError, TypeError):
        issuer = None
    if not text.startswith(TOKEN_PREFIX) or not isinstance(issuer, str):
        raise SigningError("the API token is malformed", remedy="Copy it again from the index' site")
    return issuer.rstrip("/")
