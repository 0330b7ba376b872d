"""Errors of the trust services."""


class TrustError(Exception):
    """Something that the trust services refuse or cannot do; the message names cause and remedy."""


class KeyFileError(TrustError):
    """A key file is missing, unreadable or not of the expected kind."""
