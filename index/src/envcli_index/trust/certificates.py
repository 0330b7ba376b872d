"""X.509 certificates of the private Sigstore authority: root, intermediate and the ten-minute leaf.

The leaf follows Fulcio's certificate specification: an empty subject, the identity as a critical subject
alternative name, and the issuer of the token in the extensions 1.3.6.1.4.1.57264.1.1 (raw) and .8 (DER
UTF8String).
"""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

ORGANIZATION = "envcli"
AUTHORITY_LIFETIME = timedelta(days=3650)
LEAF_LIFETIME = timedelta(minutes=10)
CLOCK_SKEW = timedelta(minutes=1)
ISSUER_OID = ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
ISSUER_V2_OID = ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
POISON_OID = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.3")
SCT_LIST_OID = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_DER_NULL = b"\x05\x00"
_UTF8_STRING = 0x0C
_OCTET_STRING = 0x04


def root_certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """Return a self-signed root certificate for ``key``, valid for ten years."""
    name = _name("envcli certificate authority root")
    builder = _authority_builder(name, name, key.public_key(), key.public_key(), path_length=1)
    return builder.sign(key, hashes.SHA256())


def intermediate_certificate(
    root: x509.Certificate, root_key: ec.EllipticCurvePrivateKey, public: ec.EllipticCurvePublicKey
) -> x509.Certificate:
    """Return the certificate of the issuing authority, signed by the root and limited to code signing.

    Args:
        root: the root's certificate.
        root_key: the root's private key.
        public: the key of the issuing authority.
    """
    subject = _name("envcli certificate authority")
    builder = _authority_builder(subject, root.subject, public, root_key.public_key(), path_length=0)
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
    return builder.add_extension(usage, critical=False).sign(root_key, hashes.SHA256())


def leaf_builder(
    authority: x509.Certificate, public: ec.EllipticCurvePublicKey, identity: str, issuer: str, now: datetime
) -> x509.CertificateBuilder:
    """Return the unsigned leaf for ``identity``, valid for ten minutes from ``now``.

    Args:
        authority: the certificate that will issue it.
        public: the signer's ephemeral key.
        identity: the URI of the publisher.
        issuer: the OIDC issuer that vouches for it.
        now: the start of validity, in UTC.
    """
    start = now.replace(microsecond=0)
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (
        (_key_usage(signing=True), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False),
        (x509.SubjectKeyIdentifier.from_public_key(public), False),
        (_authority_key(authority), False),
        (x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)]), True),
        (x509.UnrecognizedExtension(ISSUER_OID, issuer.encode()), False),
        (x509.UnrecognizedExtension(ISSUER_V2_OID, der_value(_UTF8_STRING, issuer.encode())), False),
    )
    builder = _builder(x509.Name([]), authority.subject, public, start, start + LEAF_LIFETIME)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder


def poisoned(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
    """Return ``builder`` as a precertificate: with the critical poison extension of RFC 6962 section 3.1."""
    return builder.add_extension(x509.UnrecognizedExtension(POISON_OID, _DER_NULL), critical=True)


def with_sct_list(builder: x509.CertificateBuilder, sct_list: bytes) -> x509.CertificateBuilder:
    """Return ``builder`` with a SignedCertificateTimestampList of RFC 6962 section 3.3 embedded."""
    value = der_value(_OCTET_STRING, sct_list)
    return builder.add_extension(x509.UnrecognizedExtension(SCT_LIST_OID, value), critical=False)


def der_value(tag: int, content: bytes) -> bytes:
    """Return ``content`` as one DER element with a one-byte ``tag`` (X.690 section 8.1)."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )


def _authority_builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePublicKey,
    path_length: int,
) -> x509.CertificateBuilder:
    start = datetime.now(UTC).replace(microsecond=0) - CLOCK_SKEW
    return (
        _builder(subject, issuer, public, start, start + AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(signing=False), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _authority_key(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _key_usage(*, signing: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signing,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=not signing,
        crl_sign=not signing,
        encipher_only=False,
        decipher_only=False,
    )
