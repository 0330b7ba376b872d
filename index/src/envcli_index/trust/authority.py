"""The certificate authority: Fulcio's API version 2 for the identities of this index's site.

It alone holds the intermediate key. A certificate is issued for an identity token that
:mod:`envcli_index.trust.tokens` accepts and a key whose possession the request proves; it lives ten
minutes, and the certificate log has promised to publish it before it is handed out.
"""

import base64
import json
import logging
from datetime import UTC, datetime
from typing import Any

import httpx
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_public_key
from flask import Flask, request

from envcli_index.trust.certificates import leaf_builder, poisoned, with_sct_list
from envcli_index.trust.client_config import ct_log_url
from envcli_index.trust.errors import (
    CertificateRequestError,
    IssuerUnavailableError,
    LogUnavailableError,
    TokenError,
)
from envcli_index.trust.jwks import IssuerKeys
from envcli_index.trust.keys import AUTHORITY_INTERMEDIATE, AUTHORITY_ROOT, CT_PUBLIC_KEY, load_ecdsa_key
from envcli_index.trust.sct import SignedTimestamp
from envcli_index.trust.serving import problem, serve, service
from envcli_index.trust.settings import TrustSettings
from envcli_index.trust.tokens import Identity, TokenVerifier

MAX_REQUEST = 1 << 16
_LOG_TIMEOUT = 10.0
_log = logging.getLogger(__name__)


class Authority:
    """Issues certificates."""

    def __init__(self, config: TrustSettings) -> None:
        """Load the intermediate key and the certificates.

        Raises:
            KeyFileError: the key is missing or not acceptable.
        """
        keys = config.data / "keys"
        self._key = load_ecdsa_key(keys / "authority" / "intermediate.pem")
        self._intermediate = x509.load_pem_x509_certificate((keys / AUTHORITY_INTERMEDIATE).read_bytes())
        self._root = x509.load_pem_x509_certificate((keys / AUTHORITY_ROOT).read_bytes())
        self._log = _LogClient(config)

    def issue(self, identity: Identity, public: ec.EllipticCurvePublicKey) -> list[str]:
        """Return a new certificate for ``identity`` and its chain up to the root, as PEM.

        Raises:
            LogUnavailableError: the certificate log does not promise to publish it.
        """
        now = datetime.now(UTC)
        builder = leaf_builder(self._intermediate, public, identity.subject, identity.issuer, now)
        tbs = builder.sign(self._key, hashes.SHA256()).tbs_certificate_bytes
        precertificate = poisoned(builder).sign(self._key, hashes.SHA256())
        timestamp = self._log.submit([precertificate, *self._chain()])
        timestamp.verify(self._log.key, self._intermediate, tbs)
        leaf = with_sct_list(builder, timestamp.to_list()).sign(self._key, hashes.SHA256())
        return [_pem(certificate) for certificate in (leaf, *self._chain())]

    def trust_bundle(self) -> dict[str, Any]:
        """Return the chain that issued certificates end in."""
        return {"chains": [{"certificates": [_pem(certificate) for certificate in self._chain()]}]}

    def _chain(self) -> tuple[x509.Certificate, x509.Certificate]:
        return self._intermediate, self._root


class _LogClient:
    """The certificate log, seen from the authority."""

    def __init__(self, config: TrustSettings) -> None:
        self._url = f"{ct_log_url(config)}/v1/add-pre-chain"
        key = load_pem_public_key((config.data / "keys" / CT_PUBLIC_KEY).read_bytes())
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise LogUnavailableError("the certificate log's key is not ECDSA; run `envcli-index init` again")
        self.key = key
        self._client = httpx.Client(timeout=_LOG_TIMEOUT, follow_redirects=False, trust_env=False)

    def submit(self, chain: list[x509.Certificate]) -> SignedTimestamp:
        """Return the log's promise for the precertificate at the head of ``chain``."""
        encoded = [base64.b64encode(certificate.public_bytes(Encoding.DER)).decode() for certificate in chain]
        try:
            answer = self._client.post(self._url, json={"chain": encoded})
            answer.raise_for_status()
            document = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise LogUnavailableError(
                f"the transparency log at {self._url} does not answer ({type(error).__name__})"
            ) from error
        return SignedTimestamp.from_json(document)


def create_app(config: TrustSettings, issuers: tuple[str, ...] = ()) -> Flask:
    """Return the WSGI application of the authority.

    Args:
        config: the index; its keys must exist.
        issuers: trusted token issuers; the site of this index alone unless given.

    Raises:
        KeyFileError: the authority's key is missing or not acceptable.
    """
    cache = config.data / "cache"
    cache.mkdir(mode=0o700, exist_ok=True)
    verifier = TokenVerifier(tuple(IssuerKeys(issuer, cache) for issuer in issuers or (config.web_url,)))
    app = service("authority", MAX_REQUEST)
    _add_routes(app, Authority(config), verifier)
    return app


def run(config: TrustSettings, host: str, port: int) -> int:
    """Serve the authority until SIGTERM and return the exit status 0."""
    return serve(create_app(config), host, port)


def _add_routes(app: Flask, authority: Authority, verifier: TokenVerifier) -> None:
    @app.post("/api/v2/signingCert")
    def signing_certificate() -> Any:
        try:
            document = _parsed(request.get_data())
            identity = verifier.verify(_token(document))
            chain = authority.issue(identity, _proven_key(document, identity.subject))
        except TokenError as error:
            return problem(401, str(error))
        except CertificateRequestError as error:
            return problem(400, str(error))
        except (IssuerUnavailableError, LogUnavailableError) as error:
            _log.warning("no certificate issued: %s", error)
            return problem(503, str(error))
        return {"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}}, 201

    @app.get("/api/v2/trustBundle")
    def trust_bundle() -> dict[str, Any]:
        return authority.trust_bundle()


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise CertificateRequestError("the request is not JSON") from error
    if not isinstance(document, dict):
        raise CertificateRequestError("the request is no JSON object")
    return document


def _token(document: dict[str, Any]) -> str:
    """Return the token of the Authorization header, or else of the request's credentials."""
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and bearer:
        return bearer.strip()
    credentials = document.get("credentials")
    token = credentials.get("oidcIdentityToken") if isinstance(credentials, dict) else None
    if not isinstance(token, str):
        raise TokenError("the request carries no identity token; send it as a bearer token")
    return token


def _proven_key(document: dict[str, Any], subject: str) -> ec.EllipticCurvePublicKey:
    try:
        public = _request_key(document, subject)
    except InvalidSignature as error:
        raise CertificateRequestError("the request does not prove possession of its key") from error
    except (KeyError, TypeError, ValueError, AttributeError, UnsupportedAlgorithm) as error:
        raise CertificateRequestError(f"the request is malformed ({type(error).__name__})") from error
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
        raise CertificateRequestError("the request's key is not P-256; make an ECDSA key on that curve")
    return public


def _request_key(document: dict[str, Any], subject: str) -> Any:
    """Return the key of a certificate signing request, or of a public key with a signature over the subject."""
    encoded = document.get("certificateSigningRequest")
    if encoded:
        csr = x509.load_pem_x509_csr(base64.b64decode(encoded, validate=True))
        if not csr.is_signature_valid:
            raise InvalidSignature
        return csr.public_key()
    asked = document["publicKeyRequest"]
    public = load_pem_public_key(asked["publicKey"]["content"].encode())
    if isinstance(public, ec.EllipticCurvePublicKey):
        proof = base64.b64decode(asked["proofOfPossession"], validate=True)
        public.verify(proof, subject.encode(), ec.ECDSA(hashes.SHA256()))
    return public


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()
