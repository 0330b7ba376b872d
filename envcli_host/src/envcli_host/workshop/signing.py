"""Keyless signatures: two PEP 740 attestations beside every file of a release.

A fresh key is certified for minutes by the index' certificate authority, signs, and is forgotten; the
transparency log keeps the proof. sigstore's client does all of it.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from envcli_host.files import write_atomically
from envcli_host.workshop.building import BuildRecord, load_record, release_files
from envcli_host.workshop.credentials import ApiToken, exchange_token
from envcli_host.workshop.errors import SigningError
from envcli_host.workshop.project import PluginProject
from envcli_host.workshop.provenance import provenance_predicate

if TYPE_CHECKING:
    from pypi_attestations import Attestation
    from requests import Response
    from sigstore.sign import Signer

PUBLISH_SUFFIX = ".publish.attestation"
PROVENANCE_SUFFIX = ".provenance.attestation"
SIGNING_CERTIFICATE = "/api/v2/signingCert"


def sign_release(
    project: PluginProject, token: ApiToken, trust_config: str, progress: Callable[[str], None]
) -> tuple[Path, ...]:
    """Sign the wheel and the source archive of the last build.

    Args:
        trust_config: sigstore's ``ClientTrustConfig`` (JSON) of the index, verified through its pinned root.
        progress: told what happens.

    Returns:
        The attestation files written: per release file one for publishing, one for its provenance.

    Raises:
        BuildError: the files are not those that were built.
        SigningError: the token, the authority or the log refused; nothing was written.
    """
    record = load_record(project)
    attestations: dict[Path, str] = {}
    with _signer(token, trust_config) as signer:
        for path in release_files(project):
            progress(f"signing {path.name}")
            for suffix, attestation in _attest(signer, path, record).items():
                attestations[path.with_name(path.name + suffix)] = attestation.model_dump_json()
    for path, text in attestations.items():
        write_atomically(path, text.encode(), mode=0o644)
    return tuple(attestations)


def _attest(signer: "Signer", path: Path, record: BuildRecord) -> "dict[str, Attestation]":
    from pypi_attestations import Attestation, AttestationError, Distribution
    from sigstore.errors import Error

    try:
        distribution = Distribution.from_file(path)
        bundle = signer.sign_dsse(_provenance_statement(distribution.name, distribution.digest, record))
        return {
            PUBLISH_SUFFIX: Attestation.sign(signer, distribution),
            PROVENANCE_SUFFIX: Attestation.from_bundle(bundle),
        }
    except (AttestationError, Error) as error:
        raise SigningError(f"cannot sign {path.name}: {error}", remedy="Try again in a minute") from error


def _provenance_statement(name: str, sha256: str, record: BuildRecord) -> Any:
    from pypi_attestations import AttestationType
    from sigstore.dsse import DigestSet, StatementBuilder, Subject

    return (
        StatementBuilder()
        .subjects([Subject(name=name, digest=DigestSet(root={"sha256": sha256}))])
        .predicate_type(AttestationType.SLSA_PROVENANCE_V1.value)
        .predicate(provenance_predicate(record))
        .build()
    )


@contextmanager
def _signer(token: ApiToken, trust_config: str) -> "Iterator[Signer]":
    from sigstore.errors import Error
    from sigstore.models import ClientTrustConfig
    from sigstore.oidc import ExpiredIdentity, IdentityToken
    from sigstore.sign import SigningContext

    logging.getLogger("sigstore").setLevel(logging.ERROR)
    try:
        config = ClientTrustConfig.from_json(trust_config)
        identity = IdentityToken(exchange_token(token, config.signing_config.get_oidc_url()))
        with SigningContext.from_trust_config(config).signer(identity, cache=True) as signer:
            yield signer
    except SigningError:
        raise
    except Exception as error:  # the clients of authority and log raise errors without a public base
        unanswered = _unanswered(error)
        if unanswered is None and not isinstance(error, (Error, ExpiredIdentity, OSError, ValueError)):
            raise
        raise SigningError(
            unanswered or f"the index' certificate authority or log did not sign: {_first_line(error)}",
            remedy="Nothing was signed. Try again in a minute; if it stays so, tell the index' operator",
        ) from error


def _unanswered(error: BaseException) -> str | None:
    """Name the service whose answer is missing or no success, or return None when no request failed."""
    from requests import RequestException

    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, RequestException):
        cause = cause.__cause__ or cause.__context__
    if cause is None or cause.request is None or not cause.request.url:
        return None
    parts = urlsplit(str(cause.request.url))
    title = "certificate authority" if parts.path.endswith(SIGNING_CERTIFICATE) else "transparency log"
    service = f"the index' {title} at {parts.scheme}://{parts.netloc}"
    if cause.response is None:
        return f"{service} does not answer"
    return f"{service} answers HTTP {cause.response.status_code}{_reason(cause.response)}"


def _reason(answer: "Response") -> str:
    try:
        document = answer.json()
    except ValueError:
        return ""
    message = document.get("message") if isinstance(document, dict) else None
    if not isinstance(message, str) or not message:
        return ""
    return ": " + "".join(character if character.isprintable() else "?" for character in message)[:200]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
