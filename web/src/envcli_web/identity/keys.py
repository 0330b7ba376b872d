"""The signing keys of the provider: one JWK set file that only this process may read.

The first key signs; further keys (older ones) still verify, so that keys can be rotated. Source: RFC 7517.
"""

import json
import secrets
from pathlib import Path

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

from envcli_web.errors import ConfigurationError
from envcli_web.files import private_directory, write_private

OIDC_KEYS = "oidc.json"
FORM_SECRET = "form-secret"  # noqa: S105 - a file name
CURVE = "P-256"
ALGORITHM = "ES256"


def create_keys(directory: Path) -> None:
    """Create the provider's key and the secret that protects forms, unless they exist.

    Args:
        directory: becomes mode 0700; the files in it 0600.
    """
    private_directory(directory)
    if not (directory / OIDC_KEYS).exists():
        key = ECKey.generate_key(CURVE, {"use": "sig", "alg": ALGORITHM}, private=True)
        key.ensure_kid()
        content = json.dumps(KeySet([key]).as_dict(private=True), indent=2)
        write_private(directory / OIDC_KEYS, content.encode())
    if not (directory / FORM_SECRET).exists():
        write_private(directory / FORM_SECRET, secrets.token_urlsafe(48).encode())


def _read_private(path: Path) -> str:
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigurationError(f"{path} can be read by others", remedy=f"Run: chmod 600 {path}")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error}", remedy="Run: envcli-web init") from error


def load_keys(directory: Path) -> KeySet:
    """Read the provider's keys.

    Raises:
        ConfigurationError: the file is missing, unreadable, open to others or not a JWK set with a private key.
    """
    path = directory / OIDC_KEYS
    try:
        found = KeySet.import_key_set(json.loads(_read_private(path)))
    except (ValueError, KeyError, JoseError) as error:
        raise ConfigurationError(f"{path} is not a JWK set", remedy="Restore it from a backup") from error
    if not found.keys or not all(isinstance(key, ECKey) and key.is_private for key in found.keys):
        raise ConfigurationError(f"{path} holds no private {CURVE} key", remedy="Restore it from a backup")
    return found


def load_form_secret(directory: Path) -> str:
    """Read the secret that signs form tokens.

    Raises:
        ConfigurationError: the file is missing, unreadable or open to others.
    """
    return _read_private(directory / FORM_SECRET).strip()
