"""The TUF repository of the index: its creation, and the publication of targets by the gate."""

from collections.abc import Collection, Mapping

from envcli_index.trust.settings import TrustSettings


def create_repository(config: TrustSettings, targets: Mapping[str, bytes] | None = None) -> str:
    """Make the repository under ``DIR/public/tuf`` and return the SHA-256 of ``1.root.json`` in hexadecimal.

    Args:
        config: the index; its keys must exist (:func:`envcli_index.trust.keys.create_keys`).
        targets: the first targets by path.
    """
    raise NotImplementedError


class TufPublisher:
    """Publishes targets with the gate's keys; the timestamp process then makes the new snapshot visible."""

    def __init__(self, config: TrustSettings) -> None:
        self.config = config

    def publish(self, targets: Mapping[str, bytes], remove: Collection[str] = ()) -> int:
        """Add or replace ``targets`` by path, remove others, and return the version of the snapshot."""
        raise NotImplementedError

    def refresh(self) -> bool:
        """Sign again what expires soon; return whether anything was signed."""
        raise NotImplementedError
