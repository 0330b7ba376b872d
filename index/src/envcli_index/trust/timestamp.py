"""The timestamp process: vouches that a snapshot is the newest, for 24 hours at a time."""

from envcli_index.trust.settings import TrustSettings


def run(config: TrustSettings) -> int:
    """Sign the timestamp role until SIGTERM; return the exit status."""
    raise NotImplementedError
