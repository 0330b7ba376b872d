"""The user's API token, and to whom it may be shown."""

import base64
import json
import os
import stat
from urllib.parse import urlsplit

from envcli_host.config import HostPaths
from envcli_host.errors import ConfigError
from envcli_host.files import read_bounded, write_atomically

TOKEN_VARIABLE = "ENVCLI_TOKEN"  # noqa: S105 - the name of a variable, not a token
PREFIX = "envcli-"
_MAX_TOKEN = 16 * 1024


def read_token(paths: HostPaths) -> str | None:
    """Return the API token from ``ENVCLI_TOKEN`` or from the token file, or None.

    Raises:
        ConfigError: the token file can be read by others.
    """
    if token := os.environ.get(TOKEN_VARIABLE, "").strip():
        return token
    try:
        mode = paths.token_file.stat().st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError(
                f"{paths.token_file} can be read by others", remedy=f"Run: chmod 600 {paths.token_file}"
            )
        return read_bounded(paths.token_file, _MAX_TOKEN).decode("ascii", "replace").strip() or None
    except FileNotFoundError:
        return None


def store_token(token: str, paths: HostPaths) -> str:
    """Keep ``token`` in the token file (mode 0600) and return the address of the site that issued it.

    Raises:
        ConfigError: it is no envcli API token.
    """
    issuer = issuer_of(token)
    if issuer is None:
        raise ConfigError(
            "this is no envcli API token", remedy="Create one on the site, under your account's tokens"
        )
    write_atomically(paths.token_file, token.encode() + b"\n")
    return issuer


def forget_token(paths: HostPaths) -> bool:
    """Delete the token file; return whether there was one."""
    try:
        paths.token_file.unlink()
    except FileNotFoundError:
        return False
    return True


def issuer_of(token: str) -> str | None:
    """Return the issuer that ``token`` names (unverified: it only decides where the token may be sent)."""
    parts = token.removeprefix(PREFIX).split(".")
    if not token.startswith(PREFIX) or len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        issuer = claims["iss"]
    except (ValueError, KeyError, TypeError):
        return None
    return issuer if isinstance(issuer, str) and urlsplit(issuer).scheme in {"http", "https"} else None
