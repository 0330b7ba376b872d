"""Certificates that our authority would never issue: made by a thief of its key, they must not break anything."""

import base64
import json
from pathlib import Path

import pytest
from common.private_sigstore import PrivateSigstore
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from envcli_index.trust import certificates
from envcli_policy.attestation import verify_attestations
from envcli_policy.errors import PolicyError

FILENAME, SHA256 = "envcli_plugin_a-1.0-py3-none-any.whl", "a" * 64
IDENTITY, ISSUER = "https://web.example.org/publishers/1", "https://web.example.org"


class CarelessSigstore(PrivateSigstore):
    """Writes ``value`` where the certificate's issuer should stand.

    Attributes:
        oid: the extension that is replaced.
        value: its bytes.
    """

    oid: x509.ObjectIdentifier
    value: bytes

    def _certificate(self, public: ec.EllipticCurvePublicKey, identity: str, issuer: str) -> x509.Certificate:
        good = super()._certificate(public, identity, issuer)
        builder = x509.CertificateBuilder(
            issuer_name=good.issuer,
            subject_name=good.subject,
            public_key=public,
            serial_number=good.serial_number,
            not_valid_before=good.not_valid_before_utc,
            not_valid_after=good.not_valid_after_utc,
        )
        for extension in good.extensions:
            value: x509.ExtensionType = extension.value
            if extension.oid == self.oid:
                value = x509.UnrecognizedExtension(self.oid, self.value)
            if extension.oid != certificates.SCT_LIST_OID:
                builder = builder.add_extension(value, extension.critical)
        return self._logged(builder)

    def _logged(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        poisoned = certificates.poisoned(builder).sign(self._authority_key, hashes.SHA256())
        chain = {"chain": [base64.b64encode(poisoned.public_bytes(Encoding.DER)).decode()]}
        promise = self._certificates.add(json.dumps(chain).encode())
        return certificates.with_sct_list(builder, promise.to_list()).sign(
            self._authority_key, hashes.SHA256()
        )


@pytest.mark.parametrize("oid", [certificates.ISSUER_OID, certificates.ISSUER_V2_OID])
@pytest.mark.parametrize(
    "value", [b"\x0c\x7fshort", b"\x0c", b"\x30\x80", b"\xff" * 40, b"\x0c\x02\xff\xfe", b"\x05\x00"]
)
def test_damaged_issuer_is_refused_in_order(tmp_path: Path, oid: x509.ObjectIdentifier, value: bytes) -> None:
    sigstore = CarelessSigstore(tmp_path)
    sigstore.oid, sigstore.value = oid, value
    attestation = sigstore.attest(FILENAME, SHA256, IDENTITY, ISSUER)
    with pytest.raises(PolicyError):
        verify_attestations(
            json.dumps([attestation]).encode(),
            filename=FILENAME,
            sha256=SHA256,
            trusted_root=json.dumps(sigstore.trusted_root),
            expected_identity=IDENTITY,
            expected_issuer=ISSUER,
        )
