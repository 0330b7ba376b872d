"""The Sigstore ClientTrustConfig that tells a client whom this index trusts and where to sign.

The document is what ``sigstore --trust-config FILE`` reads; its fields are those of Sigstore's protobuf
messages ``ClientTrustConfig``, ``TrustedRoot`` and ``SigningConfig`` 0.2.
"""

import base64
import json
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from envcli_index.trust.certificates import ORGANIZATION
from envcli_index.trust.errors import KeyFileError, TrustError
from envcli_index.trust.keys import (
    AUTHORITY_INTERMEDIATE,
    AUTHORITY_ROOT,
    CT_PUBLIC_KEY,
    LOG_PUBLIC_KEY,
    key_id,
)
from envcli_index.trust.settings import TrustSettings

FURTHER_ROOTS = "trusted-roots"
_TRUSTED_ROOT_TYPE = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
_SIGNING_CONFIG_TYPE = "application/vnd.dev.sigstore.signingconfig.v0.2+json"
_CLIENT_CONFIG_TYPE = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"
_ROOT_PARTS = ("tlogs", "certificateAuthorities", "ctlogs", "timestampAuthorities")


def client_config(config: TrustSettings) -> dict[str, Any]:
    """Return the ClientTrustConfig of this index.

    Every ``*.json`` file in ``DIR/trusted-roots`` (each a Sigstore TrustedRoot, for example that of the
    public good instance) is merged into the trusted root, so that signatures made there can be verified too.

    Args:
        config: where the index lives and which addresses its services have.

    Raises:
        TrustError: a public key file or a further trusted root is missing or malformed.
    """
    return {
        "mediaType": _CLIENT_CONFIG_TYPE,
        "trustedRoot": _merged(_own_root(config), _further_roots(config.data / FURTHER_ROOTS)),
        "signingConfig": _signing_config(config),
    }


def ct_log_url(config: TrustSettings) -> str:
    """Return the base address of the certificate transparency log, which the log process serves."""
    return f"{config.log_url}/ct"


def _own_root(config: TrustSettings) -> dict[str, Any]:
    keys = config.data / "keys"
    chain = [_certificate(keys / AUTHORITY_INTERMEDIATE), _certificate(keys / AUTHORITY_ROOT)]
    valid_for = {"start": chain[-1].not_valid_before_utc.strftime("%Y-%m-%dT%H:%M:%SZ")}
    return {
        "mediaType": _TRUSTED_ROOT_TYPE,
        "tlogs": [_log_instance(config.log_url, keys / LOG_PUBLIC_KEY, valid_for)],
        "certificateAuthorities": [_authority(config.authority_url, chain, valid_for)],
        "ctlogs": [_log_instance(ct_log_url(config), keys / CT_PUBLIC_KEY, valid_for)],
        "timestampAuthorities": [],
    }


def _certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise KeyFileError(f"{path} is not a certificate ({error}); run `envcli-index init` again") from error


def _log_instance(url: str, key_file: Path, valid_for: dict[str, str]) -> dict[str, Any]:
    try:
        public = load_pem_public_key(key_file.read_bytes())
    except (OSError, ValueError) as error:
        raise KeyFileError(
            f"{key_file} is not a public key ({error}); run `envcli-index init` again"
        ) from error
    return {
        "baseUrl": url,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": _base64(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)),
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            "validFor": valid_for,
        },
        "logId": {"keyId": _base64(key_id(public))},
    }


def _authority(url: str, chain: list[x509.Certificate], valid_for: dict[str, str]) -> dict[str, Any]:
    certificates = [{"rawBytes": _base64(certificate.public_bytes(Encoding.DER))} for certificate in chain]
    subject = {"organization": ORGANIZATION, "commonName": "envcli certificate authority"}
    return {
        "subject": subject,
        "uri": url,
        "certChain": {"certificates": certificates},
        "validFor": valid_for,
    }


def _signing_config(config: TrustSettings) -> dict[str, Any]:
    start = _certificate(config.data / "keys" / AUTHORITY_ROOT).not_valid_before_utc

    def service(url: str) -> list[dict[str, Any]]:
        valid_for = {"start": start.strftime("%Y-%m-%dT%H:%M:%SZ")}
        return [{"url": url, "majorApiVersion": 1, "validFor": valid_for, "operator": ORGANIZATION}]

    return {
        "mediaType": _SIGNING_CONFIG_TYPE,
        "caUrls": service(config.authority_url),
        "oidcUrls": service(config.web_url),
        "rekorTlogUrls": service(config.log_url),
        "tsaUrls": [],
        "rekorTlogConfig": {"selector": "ANY"},
        "tsaConfig": {"selector": "ANY"},
    }


def _further_roots(folder: Path) -> list[dict[str, Any]]:
    roots = []
    for path in sorted(folder.glob("*.json")):
        try:
            root = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise TrustError(
                f"{path} is not JSON ({error}); replace it by a Sigstore trusted_root.json"
            ) from error
        if not isinstance(root, dict) or not str(root.get("mediaType", "")).startswith(
            _TRUSTED_ROOT_TYPE[:42]
        ):
            raise TrustError(f"{path} is no Sigstore TrustedRoot; replace it by a trusted_root.json")
        roots.append(root)
    return roots


def _merged(root: dict[str, Any], further: list[dict[str, Any]]) -> dict[str, Any]:
    for other in further:
        for part in _ROOT_PARTS:
            root[part] = [*root[part], *other.get(part, [])]
    return root


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
