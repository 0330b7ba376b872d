"""Whatever is sent, the parsers of the trust services refuse it in their own words; nothing else escapes them."""

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from common.oidc_issuer import OidcIssuer
from common.sigstore_instance import new_index
from cryptography import x509
from envcli_index.trust.authority import _proven_key
from envcli_index.trust.ct import CertificateLog
from envcli_index.trust.errors import CertificateRequestError, EntryError, LogUnavailableError, TokenError
from envcli_index.trust.jwks import IssuerKeys
from envcli_index.trust.keys import AUTHORITY_INTERMEDIATE
from envcli_index.trust.osv import handler
from envcli_index.trust.rekor import parse_entry
from envcli_index.trust.sct import SignedTimestamp
from envcli_index.trust.tokens import TokenVerifier
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FIELDS = [
    "apiVersion",
    "kind",
    "spec",
    "data",
    "hash",
    "algorithm",
    "value",
    "signature",
    "content",
    "publicKey",
    "proposedContent",
    "envelope",
    "verifiers",
    "chain",
    "sct_version",
    "id",
    "timestamp",
    "extensions",
    "certificateSigningRequest",
    "publicKeyRequest",
    "proofOfPossession",
    "package",
    "name",
    "ecosystem",
    "version",
    "queries",
]
VALUES = ("hashedrekord", "dsse", "0.0.1", "sha256", "00" * 32, "AAAA", "{}", "PyPI", "requests", "1.0")
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(VALUES) | st.text(max_size=8)
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=12,
)
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = new_index(tmp_path_factory.mktemp("fuzz") / "index", "http://127.0.0.1:1").data
    (folder / "log").mkdir()
    return folder


@pytest.fixture(scope="module")
def authority(data: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((data / "keys" / AUTHORITY_INTERMEDIATE).read_bytes())


@QUICK
@given(DOCUMENTS)
def test_log_entries(authority: x509.Certificate, spec: Any) -> None:
    for kind in ("hashedrekord", "dsse"):
        document = {"kind": kind, "apiVersion": "0.0.1", "spec": spec}
        for raw in (json.dumps(document), json.dumps(spec)):
            with pytest.raises(EntryError):
                parse_entry(raw.encode(), authority, datetime.now(UTC))


@QUICK
@given(st.binary(max_size=64))
def test_log_entries_of_bytes(authority: x509.Certificate, raw: bytes) -> None:
    with pytest.raises(EntryError):
        parse_entry(raw, authority, datetime.now(UTC))


@QUICK
@given(DOCUMENTS)
def test_certificate_chains(data: Path, document: Any) -> None:
    config: Any = SimpleNamespace(data=data)
    for raw in (json.dumps(document), json.dumps({"chain": document})):
        with pytest.raises(EntryError):
            CertificateLog(config).add(raw.encode())


@QUICK
@given(DOCUMENTS)
def test_answers_of_the_certificate_log(document: Any) -> None:
    with pytest.raises(LogUnavailableError):
        SignedTimestamp.from_json(document)


@QUICK
@given(st.dictionaries(st.sampled_from(FIELDS), DOCUMENTS, max_size=4))
def test_certificate_requests(document: dict[str, Any]) -> None:
    with pytest.raises(CertificateRequestError):
        _proven_key(document, "subject")


@QUICK
@given(DOCUMENTS)
def test_questions_to_the_advisories(data: Path, document: Any) -> None:
    answer = handler(SimpleNamespace(data=data))  # type: ignore[arg-type]
    for path in ("/v1/query", "/v1/querybatch"):
        for body in (document, {"package": document}, {"queries": document}):
            status, content = answer("POST", path, json.dumps(body).encode())
            assert status in {200, 400}
            json.loads(content)


@QUICK
@given(st.dictionaries(st.sampled_from(("iss", "aud", "sub", "iat", "exp", "nbf")), DOCUMENTS))
def test_claims(tmp_path: Path, claims: dict[str, Any]) -> None:
    issuer = OidcIssuer("http://127.0.0.1:1")
    keys = IssuerKeys(issuer.url, tmp_path)
    keys._keys, keys._fetched = {"keys": [issuer.key.as_dict(private=False)]}, datetime.now(UTC).timestamp()
    token = issuer.signed({"iss": issuer.url, **claims})
    with pytest.raises(TokenError):
        TokenVerifier((keys,)).verify(token)
