"""What every step of the gate works with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from envcli_policy.layout import Layout
from envcli_policy.statements import KeyRing
from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]
from sqlalchemy import Engine

from envcli_index.config import IndexConfig
from envcli_index.devpi_client import DevpiClient
from envcli_index.errors import IndexServiceError
from envcli_index.public.render import Renderer
from envcli_index.trust.tuf import KEYS_TARGET, TAKEDOWNS_TARGET, TufPublisher

LAYOUT_TARGET = "trust/layout.json"

__all__ = ["KEYS_TARGET", "LAYOUT_TARGET", "TAKEDOWNS_TARGET", "Gate", "GateRefusalError"]


class GateRefusalError(IndexServiceError):
    """A release may not be promoted as it is; trying again changes nothing."""


@dataclass(frozen=True)
class Gate:
    """The gate's means.

    Attributes:
        config: the index.
        engine: its database.
        signer: the key that signs verdicts, transitions and events.
        tuf: publishes trust metadata.
        renderer: writes the public tree.
        devpi: the write path.
    """

    config: IndexConfig
    engine: Engine
    signer: CryptoSigner
    tuf: TufPublisher
    renderer: Renderer
    devpi: DevpiClient

    def layout(self) -> tuple[Layout, bytes]:
        """Return the layout in force, parsed and as signed.

        Raises:
            GateRefusalError: trust metadata hold none.
        """
        raw = self.tuf.read(LAYOUT_TARGET)
        if raw is None:
            raise GateRefusalError("trust metadata hold no layout", remedy="Run envcli-index init again")
        return Layout.from_json(raw), raw

    def keys(self) -> KeyRing:
        """Return the keys that trust metadata pin."""
        return KeyRing.from_json(self.tuf.read(KEYS_TARGET) or b"")

    def envelope(self, sha256: str) -> bytes:
        """Return a kept statement."""
        return (self.config.statements / sha256).read_bytes()


def as_json(value: Mapping[str, Any]) -> bytes:
    """Return the one JSON form in which the gate writes targets."""
    import json

    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
