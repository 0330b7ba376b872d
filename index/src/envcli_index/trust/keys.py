"""Key files of the index: one private key a file, readable by its owner alone, each folder for one process.

========== ============================ ==========================================================
folder     files                        held by
========== ============================ ==========================================================
root       root, authority-root         the administrator; may be taken offline after ``init``
authority  intermediate                 the certificate authority
log        log, ct                      the transparency log
timestamp  timestamp                    the timestamp process
gate       gate, targets, snapshot      the gate
vetting    vetting                      the vetting worker
========== ============================ ==========================================================

What others need to verify lies beside them in ``public``: it holds no secret.
"""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from securesystemslib.signer import CryptoSigner, SSlibKey  # type: ignore[attr-defined]

from envcli_index.trust.certificates import intermediate_certificate, root_certificate
from envcli_index.trust.errors import KeyFileError
from envcli_index.trust.files import SECRET_MODE, write_whole

ED25519_KEYS = (
    "root/root",
    "timestamp/timestamp",
    "gate/gate",
    "gate/targets",
    "gate/snapshot",
    "vetting/vetting",
)
ECDSA_KEYS = ("root/authority-root", "authority/intermediate", "log/log", "log/ct")

AUTHORITY_ROOT = "public/authority-root.crt"
AUTHORITY_INTERMEDIATE = "public/authority-intermediate.crt"
LOG_PUBLIC_KEY = "public/log.pub"
CT_PUBLIC_KEY = "public/ct.pub"
RESTORE = "restore it from the backup"


def create_keys(keys_dir: Path) -> None:
    """Make every private key that is missing, and the public files that belong to them.

    Existing keys stay as they are, so a second call after an interruption completes the first.

    Args:
        keys_dir: the folder of all keys, ``DIR/keys`` of an index; made with mode 0700 if it is missing.

    Raises:
        KeyFileError: an existing key file cannot be read.
    """
    for name in (*ED25519_KEYS, *ECDSA_KEYS):
        _create_key(keys_dir / f"{name}.pem", Ed25519PrivateKey if name in ED25519_KEYS else None)
    _make_folder(keys_dir / "public")
    _publish_certificates(keys_dir)
    for source, target in (("log/log", LOG_PUBLIC_KEY), ("log/ct", CT_PUBLIC_KEY)):
        public = load_ecdsa_key(keys_dir / f"{source}.pem").public_key()
        write_whole(keys_dir / target, public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def load_signer(path: Path, remedy: str = RESTORE) -> CryptoSigner:
    """Read an Ed25519 private key as a signer whose key id is the SHA-256 of its SubjectPublicKeyInfo.

    Args:
        path: a PEM file in PKCS#8, for example ``DIR/keys/gate/gate.pem``.
        remedy: what its holder can do when the file cannot be read.

    Raises:
        KeyFileError: the file is missing, readable by others, or holds another kind of key.
    """
    private = load_ed25519_key(path, remedy)
    public = private.public_key()
    return CryptoSigner(private, SSlibKey.from_crypto(public, keyid=key_id(public).hex()))


def load_ed25519_key(path: Path, remedy: str = RESTORE) -> Ed25519PrivateKey:
    """Read an Ed25519 private key, the kind that statements and TUF metadata are signed with.

    Args:
        path: a PEM file in PKCS#8.
        remedy: what its holder can do when the file cannot be read.

    Raises:
        KeyFileError: the file is missing, readable by others, or holds another kind of key.
    """
    private = _load_private_key(path, remedy)
    if not isinstance(private, Ed25519PrivateKey):
        raise KeyFileError(f"{path} holds no Ed25519 key; make one with `envcli-index reviewer keygen`")
    return private


def load_ecdsa_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Read a P-256 private key, the kind that the authority and the logs sign with.

    Args:
        path: a PEM file in PKCS#8.

    Raises:
        KeyFileError: the file is missing, readable by others, or holds another kind of key.
    """
    private = _load_private_key(path)
    if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(private.curve, ec.SECP256R1):
        raise KeyFileError(f"{path} holds no P-256 key; {RESTORE}")
    return private


def pinned_entry(signer: CryptoSigner, role: str, name: str) -> dict[str, Any]:
    """Return the entry that pins ``signer`` in the TUF target ``trust/keys.json``.

    Args:
        signer: whose public key is pinned, as from :func:`load_signer`.
        role: what its statements are accepted as: ``gate``, ``vetting`` or ``reviewer``.
        name: how people call its holder.
    """
    return {
        "keyid": signer.public_key.keyid,
        "scheme": "ed25519",
        "public": public_pem(signer),
        "role": role,
        "name": name,
        "valid_from": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "valid_until": None,
    }


def public_pem(signer: CryptoSigner) -> str:
    """Return the public key of ``signer`` as PEM SubjectPublicKeyInfo."""
    private = load_pem_private_key(signer.private_bytes, None)
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def key_id(public: PublicKeyTypes) -> bytes:
    """Return the SHA-256 of the DER SubjectPublicKeyInfo: the key id of RFC 6962 and of our statements."""
    return hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


def _create_key(path: Path, kind: type[Ed25519PrivateKey] | None) -> None:
    _make_folder(path.parent)
    if path.exists():
        _load_private_key(path)
        return
    private = kind.generate() if kind else ec.generate_private_key(ec.SECP256R1())
    write_whole(path, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), SECRET_MODE)


def _make_folder(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)


def _load_private_key(path: Path, remedy: str = RESTORE) -> Any:
    try:
        if path.stat().st_mode & 0o077:
            raise KeyFileError(
                f"{path} is readable by others; correct it with `chmod 600 {path}` and replace the key"
            )
        return load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise KeyFileError(f"the key {path} cannot be read: {error.strerror}; {remedy}") from error
    except (ValueError, TypeError) as error:
        raise KeyFileError(f"{path} holds no private key in PEM; {remedy}") from error


def _publish_certificates(keys_dir: Path) -> None:
    root, intermediate = keys_dir / AUTHORITY_ROOT, keys_dir / AUTHORITY_INTERMEDIATE
    if root.exists() and intermediate.exists():
        return
    root_key = load_ecdsa_key(keys_dir / "root/authority-root.pem")
    issuer = root_certificate(root_key)
    child = intermediate_certificate(
        issuer, root_key, load_ecdsa_key(keys_dir / "authority/intermediate.pem").public_key()
    )
    write_whole(root, issuer.public_bytes(Encoding.PEM))
    write_whole(intermediate, child.public_bytes(Encoding.PEM))
