"""The configured plugin indexes and the root of trust pinned for each."""

import hashlib
import ipaddress
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from envcli_host.config import HostPaths
from envcli_host.errors import ConfigError, UnknownIndexError, UsageError, VerificationError
from envcli_host.files import read_bounded, write_atomically
from envcli_host.ownership import verify_own

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_CONFIG = 1024 * 1024
MAX_ROOT = 512_000


@dataclass(frozen=True)
class IndexRecord:
    """One index.

    Attributes:
        name: how the user calls it.
        url: base address of its public tree, ending in "/".
        root_sha256: SHA-256 of the TUF root (``tuf/metadata/1.root.json``) that the user has confirmed.
    """

    name: str
    url: str
    root_sha256: str


def load_indexes(paths: HostPaths) -> tuple[IndexRecord, ...]:
    """Return the configured indexes in the order they were added.

    Raises:
        ConfigError: ``indexes.toml`` is malformed, or others can write it.
    """
    verify_own(paths)
    try:
        table = tomllib.loads(read_bounded(paths.indexes_file, _MAX_CONFIG).decode())
        return tuple(_parse(name, entry) for name, entry in table.get("indexes", {}).items())
    except FileNotFoundError:
        return ()
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(
            f"{paths.indexes_file} is malformed: {error}",
            remedy="Correct it, or delete it and add the indexes anew",
        ) from error


def select_indexes(paths: HostPaths, name: str | None = None) -> tuple[IndexRecord, ...]:
    """Return all indexes, or the one called ``name``; never nothing.

    Raises:
        UnknownIndexError: none is configured, or not this one.
    """
    known = load_indexes(paths)
    if not known:
        raise UnknownIndexError(
            "no plugin index is configured", remedy="Run: envcli index add URL --root-sha256 HASH"
        )
    chosen = known if name is None else tuple(index for index in known if index.name == name)
    if not chosen:
        names = ", ".join(index.name for index in known)
        raise UnknownIndexError(f"there is no index called {name!r}", remedy=f"Choose one of: {names}")
    return chosen


def store_index(index: IndexRecord, root: bytes, paths: HostPaths) -> None:
    """Pin ``root`` for ``index`` and list it; the list is written last."""
    write_atomically(pinned_root_file(index.name, paths), root)
    _save((*load_indexes(paths), index), paths)


def remove_index(name: str, paths: HostPaths) -> None:
    """Forget an index, its pinned root and its cached metadata."""
    import shutil

    (index,) = select_indexes(paths, name)
    _save(tuple(other for other in load_indexes(paths) if other != index), paths)
    shutil.rmtree(index_dir(name, paths), ignore_errors=True)


def index_dir(name: str, paths: HostPaths) -> Path:
    """Return where everything about the index ``name`` is kept."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name for an index", remedy="Use lower-case letters, digits, '-' and '_'"
        )
    return paths.indexes_dir / name


def pinned_root_file(name: str, paths: HostPaths) -> Path:
    """Return where the pinned root of the index ``name`` is kept."""
    return index_dir(name, paths) / "root.json"


def read_pinned_root(index: IndexRecord, paths: HostPaths) -> bytes:
    """Return the pinned root, which must still have the confirmed fingerprint.

    Raises:
        VerificationError: it is missing or was changed.
    """
    remedy = f"Run: envcli index remove {index.name} and add it anew with a fingerprint from a trusted source"
    try:
        root = read_bounded(pinned_root_file(index.name, paths), MAX_ROOT)
    except FileNotFoundError as error:
        raise VerificationError(f"the pinned root of index {index.name} is missing", remedy=remedy) from error
    if hashlib.sha256(root).hexdigest() != index.root_sha256:
        raise VerificationError(f"the pinned root of index {index.name} was changed", remedy=remedy)
    return root


def parse_url(text: str) -> str:
    """Return the normalized base address of an index: https, or http on this machine only.

    Raises:
        UsageError: another scheme, credentials, a query, or no host.
    """
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError(
            f"{_clean(text)} is no address of an index", remedy="Give one like https://plugins.example.org/"
        )
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise UsageError(
            f"{_clean(text)} is not encrypted", remedy="Use https; plain http is for this machine only"
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UsageError(
            "an index' address carries no credentials, query or fragment",
            remedy="Put a token into ENVCLI_TOKEN",
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}/"


def is_loopback(host: str) -> bool:
    """Tell whether ``host`` is this machine: localhost or a loopback address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def default_name(url: str) -> str:
    """Derive a name for an index from its host, for example ``plugins-example-org``."""
    host = urlsplit(url).hostname or "index"
    return re.sub(r"[^a-z0-9]+", "-", host.lower()).strip("-")[:64] or "index"


def parse_fingerprint(text: str) -> str:
    """Return a SHA-256 in lower-case hexadecimal; colons and blanks are ignored.

    Raises:
        UsageError: it is none.
    """
    cleaned = re.sub(r"[\s:]", "", text).lower().removeprefix("sha256")
    if not _SHA256.fullmatch(cleaned):
        raise UsageError(
            "the fingerprint must be 64 hexadecimal digits", remedy="Copy it from the index' operator"
        )
    return cleaned


def _clean(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"


def _parse(name: str, entry: dict[str, Any]) -> IndexRecord:
    fingerprint = str(entry["root_sha256"])
    if not _NAME.fullmatch(name) or not _SHA256.fullmatch(fingerprint):
        raise TypeError(f"the entry {name!r} has an unusable name or fingerprint")
    return IndexRecord(name, parse_url(str(entry["url"])), fingerprint)


def _save(indexes: tuple[IndexRecord, ...], paths: HostPaths) -> None:
    import tomli_w

    table = {index.name: {"url": index.url, "root_sha256": index.root_sha256} for index in indexes}
    write_atomically(paths.indexes_file, tomli_w.dumps({"indexes": table}).encode())
