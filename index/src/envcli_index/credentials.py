"""Bearer tokens of the internal routes: each process has its own in a 0600 file, devpi knows their digests
only.
"""

import hashlib
import hmac
import secrets
from pathlib import Path

from envcli_index.errors import ConfigError
from envcli_index.trust.files import SECRET_MODE, write_whole

HOLDERS = ("gate", "worker")


def create_credentials(folder: Path) -> None:
    """Make the tokens that are missing."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for holder in HOLDERS:
        path = folder / f"{holder}.token"
        if not path.exists():
            token = secrets.token_urlsafe(32)
            write_whole(folder / f"{holder}.sha256", _digest(token).encode(), SECRET_MODE)
            write_whole(path, token.encode(), SECRET_MODE)


def read_token(folder: Path, holder: str) -> str:
    """Return a process' own token.

    Raises:
        ConfigError: the file is missing or readable by others.
    """
    path = folder / f"{holder}.token"
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"{path} is readable by others", remedy=f"Run chmod 600 {path}")
        return path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror}", remedy="Run envcli-index init again"
        ) from error


def holder_of(folder: Path, authorization: str | None) -> str | None:
    """Return which process an ``Authorization`` header belongs to, or ``None``.

    Args:
        folder: the credentials directory.
        authorization: the header's value.
    """
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        return None
    digest = _digest(token.strip())
    for holder in HOLDERS:
        path = folder / f"{holder}.sha256"
        if path.exists() and hmac.compare_digest(path.read_text(encoding="ascii").strip(), digest):
            return holder
    return None


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
