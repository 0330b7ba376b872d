"""What the marketplace client hands to the rest of the host: verified facts only."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

Progress: TypeAlias = Callable[[str, int, int | None], None]
"""Called as ``progress(label, bytes_done, bytes_total_or_None)`` while something is fetched."""


@dataclass(frozen=True)
class OfferFile:
    """One wheel, pinned by digest.

    Attributes:
        filename: PEP 427 file name.
        sha256: hexadecimal digest that the bytes must have.
        url: where the index serves it.
        size: bytes that the index announces, or None where it does not.
    """

    filename: str
    sha256: str
    url: str
    size: int | None = None


@dataclass(frozen=True)
class Publisher:
    """Who made the release, as the index' gate signed it and the publish attestation confirms it.

    Attributes:
        uuid: immutable identifier of the publisher.
        name: display name; not an identity.
        identity: URI in the signing certificate.
        issuer: OpenID provider that vouched for the identity.
    """

    uuid: str
    name: str
    identity: str
    issuer: str


@dataclass(frozen=True)
class ObservedUse:
    """One permission that vetting saw the code use, with the places (``path``, ``line``)."""

    permission: str
    evidence: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Capability:
    """The signed comparison of what the manifest asks for with what the code was seen to do."""

    manifest_sha256: str
    observed: tuple[ObservedUse, ...]
    undeclared: tuple[str, ...]
    unused: tuple[str, ...]


@dataclass(frozen=True)
class OfferVerdict:
    """The index' verdict on the release, from its verification summary (SLSA VSA)."""

    result: str
    reviewed_by: tuple[str, ...]
    time_verified: datetime


@dataclass(frozen=True)
class Offer:
    """One verified release that fits this Python and platform; nothing of it has been executed.

    Attributes:
        manifest_text: ``plugin.toml`` exactly as the signed capability statement holds it.
        uploaded: when the index received the release, as far as it tells (not signed).
        wheel: the plugin's own wheel.
        closure: third-party wheels it needs here, each in the closure that the index signed.
        plugin_dependencies: requirement strings of other plugins it needs, each to be offered on its own.
        core_metadata_sha256: digest of the METADATA the closure was resolved from; the wheel must hold it.
        warning: something the user should know before installing, or "".
    """

    index_name: str
    index_url: str
    project: str
    project_uuid: str
    version: str
    publisher: Publisher
    manifest_text: str
    capability: Capability
    verdict: OfferVerdict
    uploaded: datetime | None
    wheel: OfferFile
    closure: tuple[OfferFile, ...]
    plugin_dependencies: tuple[str, ...]
    core_metadata_sha256: str
    warning: str = ""
