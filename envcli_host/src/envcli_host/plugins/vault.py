"""Cryptography for plugins with keys that they never see: one random key per plugin, kept by the host."""

import base64
import hmac
import os
import secrets
from pathlib import Path

from envcli_host.config import HostPaths
from envcli_host.files import read_bounded, write_atomically

KEY_BYTES = 32
MAX_DATA = 512 * 1024
MAX_RANDOM = 1024


class PluginVault:
    """Signs and seals for one plugin."""

    def __init__(self, project: str, paths: HostPaths) -> None:
        self._file = key_file(project, paths)

    def sign(self, data: bytes) -> bytes:
        """HMAC-SHA256 under the plugin's signing key."""
        return hmac.digest(self._derived(b"sign"), data, "sha256")

    def seal(self, data: bytes) -> bytes:
        """Encrypt with authentication (Fernet)."""
        from cryptography.fernet import Fernet

        return Fernet(base64.urlsafe_b64encode(self._derived(b"seal"))).encrypt(data)

    def unseal(self, sealed: bytes) -> bytes:
        """Undo `seal`.

        Raises:
            ValueError: it was not sealed with this key, or was changed.
        """
        from cryptography.fernet import Fernet, InvalidToken

        try:
            return Fernet(base64.urlsafe_b64encode(self._derived(b"seal"))).decrypt(sealed)
        except InvalidToken:
            raise ValueError("the data was not sealed by this plugin on this host, or was changed") from None

    def _derived(self, purpose: bytes) -> bytes:
        return hmac.digest(self._key(), purpose, "sha256")

    def _key(self) -> bytes:
        try:
            key = read_bounded(self._file, KEY_BYTES)
        except FileNotFoundError:
            key = secrets.token_bytes(KEY_BYTES)
            write_atomically(self._file, key)
        if len(key) != KEY_BYTES:
            raise ValueError("the plugin's key file is damaged")
        return key


def key_file(project: str, paths: HostPaths) -> Path:
    """Where a plugin's key lies (mode 0600)."""
    return paths.data / "keys" / f"{project}.key"


def random_bytes(size: int) -> bytes:
    """``size`` bytes from the operating system."""
    return os.urandom(size)
