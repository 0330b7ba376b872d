"""The public keys of a token issuer, fetched from its well-known address and kept for at most five
minutes."""

import json
import logging
import threading
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from envcli_index.trust.errors import IssuerUnavailableError
from envcli_index.trust.files import SECRET_MODE, write_whole

MAX_AGE = 300.0
MAX_BYTES = 1 << 16
_PAUSE = 2.0
_TIMEOUT = 5.0
_log = logging.getLogger(__name__)


class IssuerKeys:
    """The keys of one issuer; asks again when they are five minutes old, or sooner for a key not yet seen.

    The answer is kept in a file too, so that a restart within the five minutes needs no issuer.
    """

    def __init__(self, issuer: str, cache_dir: Path) -> None:
        """Keep the keys of ``issuer`` (a URL without trailing slash) in ``cache_dir``."""
        self.issuer = issuer
        self._file = cache_dir / f"jwks-{sha256(issuer.encode()).hexdigest()[:16]}.json"
        self._lock = threading.Lock()
        self._fetched = self._failed = float("-inf")
        self._keys: dict[str, Any] = {"keys": []}

    def key_set(self, name: str) -> KeySet:
        """Return the issuer's elliptic-curve keys, newly fetched if they are old or lack the key id ``name``.

        Raises:
            IssuerUnavailableError: the issuer does not answer with keys and the kept ones are too old.
        """
        with self._lock:
            if not self._is_fresh():
                self._read_file()
            if not self._is_fresh() or (_lacks(self._keys, name) and time.time() - self._fetched > _PAUSE):
                self._fetch()
            return _elliptic_keys(self._keys, self.issuer)

    def _is_fresh(self) -> bool:
        return 0 <= time.time() - self._fetched < MAX_AGE

    def _fetch(self) -> None:
        if 0 <= time.time() - self._failed < _PAUSE:
            raise IssuerUnavailableError(
                f"the keys of {self.issuer} could not be fetched moments ago; retry soon"
            )
        try:
            self._keys = _download(f"{self.issuer}/.well-known/jwks.json")
        except (httpx.HTTPError, ValueError, TypeError, KeyError, RecursionError) as error:
            self._failed = time.time()
            cause = f"the keys of {self.issuer} cannot be fetched ({type(error).__name__}: {error})"
            raise IssuerUnavailableError(f"{cause}; check that the site is up") from error
        self._fetched = time.time()
        kept = {"issuer": self.issuer, "fetched": self._fetched, "keys": self._keys["keys"]}
        write_whole(self._file, json.dumps(kept).encode(), SECRET_MODE)

    def _read_file(self) -> None:
        try:
            kept = json.loads(self._file.read_bytes())
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            _log.warning("%s ignored: %s", self._file, error)
            return
        if kept["issuer"] == self.issuer:
            self._keys, self._fetched = {"keys": kept["keys"]}, kept["fetched"]


def _download(url: str) -> dict[str, Any]:
    with httpx.stream("GET", url, timeout=_TIMEOUT, follow_redirects=False, trust_env=False) as answer:
        answer.raise_for_status()
        body = b""
        for part in answer.iter_bytes():
            body += part
            if len(body) > MAX_BYTES:
                raise ValueError(f"the answer is longer than {MAX_BYTES} bytes")
    document: dict[str, Any] = json.loads(body)
    if not isinstance(document["keys"], list):
        raise TypeError("its keys are no list")
    return document


def _lacks(document: dict[str, Any], name: str) -> bool:
    return all(not isinstance(key, dict) or key.get("kid") != name for key in document["keys"])


def _elliptic_keys(document: dict[str, Any], issuer: str) -> KeySet:
    """Return only P-256 keys: a symmetric or RSA key in the set can never check a token."""
    usable = [key for key in document["keys"] if isinstance(key, dict) and key.get("crv") == "P-256"]
    try:
        return KeySet.import_key_set({"keys": [key for key in usable if key.get("kty") == "EC"]})
    except (JoseError, ValueError) as error:
        raise IssuerUnavailableError(
            f"the keys of {issuer} are malformed ({type(error).__name__})"
        ) from error
