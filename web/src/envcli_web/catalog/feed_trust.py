"""Who may write the feed: the gate, whose key the index's TUF metadata pin under a root known by fingerprint."""

import base64
import hashlib
import json
from datetime import datetime
from functools import cached_property
from pathlib import Path

import httpx
from envcli_policy.errors import PolicyError
from envcli_policy.statements import KeyRing, KeyRole, verify_payload
from envcli_policy.strict_json import parse_time
from tuf.api.exceptions import DownloadError, RepositoryError
from tuf.ngclient.updater import Updater

from envcli_web.catalog.index_client import TIMEOUT_SECONDS, IndexUnusableError
from envcli_web.config import WebConfig
from envcli_web.files import private_directory, write_private

EVENT_TYPE = "application/vnd.envcli.event+json"
KEYS_TARGET = "trust/keys.json"
MAX_ROOT_BYTES = 512_000


class FeedTrust:
    """Checks events of the feed; refreshes the index's trust metadata once, with the first event.

    Args:
        config: the site; ``index_root_sha256`` must be set.
    """

    def __init__(self, config: WebConfig) -> None:
        self._url = f"{config.index_url}/tuf"
        self._root_sha256 = config.index_root_sha256
        self._folder = config.data / "index-trust"

    def check(self, envelope: bytes) -> None:
        """Check that the gate signed an event, with a key that counted at the event's time.

        Args:
            envelope: the event's file.

        Raises:
            IndexUnusableError: it did not, or the index's trust metadata cannot be had or do not verify.
        """
        try:
            verify_payload(envelope, EVENT_TYPE, self._keys, KeyRole.GATE, _time_of(envelope))
        except PolicyError as error:
            raise IndexUnusableError(f"An event of the index's feed is not by its gate: {error}") from error

    @cached_property
    def _keys(self) -> KeyRing:
        metadata, targets = (private_directory(self._folder / name) for name in ("metadata", "targets"))
        try:
            updater = Updater(
                str(metadata),
                f"{self._url}/metadata/",
                str(targets),
                f"{self._url}/targets/",
                bootstrap=self._root(),
            )
            updater.refresh()
            listed = updater.get_targetinfo(KEYS_TARGET)
            if listed is None:
                raise IndexUnusableError(f"The index signs no {KEYS_TARGET}")
            found = updater.find_cached_target(listed) or updater.download_target(listed)
            return KeyRing.from_json(Path(found).read_bytes())
        except (RepositoryError, DownloadError) as error:
            raise IndexUnusableError(f"The index's trust metadata do not verify: {error}") from error

    def _root(self) -> bytes:
        """Return the first root, from the file or from the index; it is believed by its fingerprint alone."""
        kept = self._folder / "1.root.json"
        root = kept.read_bytes() if kept.is_file() else self._fetch_root()
        if hashlib.sha256(root).hexdigest() != self._root_sha256:
            raise IndexUnusableError(
                "The index has another first root than the site was told",
                remedy="Compare index_root_sha256 in config.toml with what envcli-index init printed",
            )
        if not kept.is_file():
            write_private(kept, root)
        return root

    def _fetch_root(self) -> bytes:
        try:
            answer = httpx.get(f"{self._url}/metadata/1.root.json", timeout=TIMEOUT_SECONDS)
            return answer.raise_for_status().content[:MAX_ROOT_BYTES]
        except httpx.HTTPError as error:
            raise IndexUnusableError(f"The index does not answer for its root: {error}") from error


def _time_of(envelope: bytes) -> datetime:
    """Return the time that an event claims; nothing else of it is believed before the signature is checked."""
    try:
        body = json.loads(base64.b64decode(json.loads(envelope)["payload"], validate=True))
        return parse_time(body["time"], "the event's time")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise IndexUnusableError("An event of the index's feed has the wrong form") from error
