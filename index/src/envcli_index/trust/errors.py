"""Errors of the trust services."""

from envcli_index.errors import IndexServiceError


class TrustError(IndexServiceError):
    """Something that the trust services refuse or cannot do; the message names cause and remedy."""


class KeyFileError(TrustError):
    """A key file is missing, unreadable or not of the expected kind."""


class RepositoryError(TrustError):
    """The TUF repository is missing, damaged or signed by a key that it does not know."""


class TimestampPendingError(TrustError):
    """What was published is safe on disk, but no timestamp vouches for it yet."""


class TokenError(TrustError):
    """An identity token is not one that the certificate authority issues a certificate for."""


class IssuerUnavailableError(TrustError):
    """The keys of a trusted issuer cannot be fetched."""


class CertificateRequestError(TrustError):
    """A request for a certificate is malformed or proves no possession of its key."""


class EntryError(TrustError):
    """A proposed log entry is malformed, or its signature or certificate is not acceptable."""


class DuplicateEntryError(TrustError):
    """The same entry is already in the log.

    Args:
        index: where it is.
    """

    def __init__(self, index: int) -> None:
        super().__init__(f"an equivalent entry already exists in the transparency log with index {index}")
        self.index = index


class LogUnavailableError(TrustError):
    """The transparency log gives no signed certificate timestamp, so no certificate can be issued."""


class AdvisoryError(TrustError):
    """An advisory or the advisory database cannot be read."""


class AdvisoryQueryError(TrustError):
    """A question to the advisory service is malformed."""
