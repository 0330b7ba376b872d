"""What the trust services need to know about the index they belong to."""

from pathlib import Path
from typing import Protocol


class TrustSettings(Protocol):
    """The part of the index's configuration that the trust services read.

    All addresses are without a trailing slash. ``authority_url`` and ``log_url`` have no path, because
    Sigstore clients resolve API paths against the host's root.
    """

    @property
    def data(self) -> Path:
        """The index's data folder."""
        ...

    @property
    def public_url(self) -> str:
        """The address of the public tree."""
        ...

    @property
    def authority_url(self) -> str:
        """The address of the certificate authority."""
        ...

    @property
    def log_url(self) -> str:
        """The address of the transparency log."""
        ...

    @property
    def web_url(self) -> str:
        """The address of the site, which is also the OIDC issuer of publishers' identities."""
        ...
