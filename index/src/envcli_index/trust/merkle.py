"""An append-only Merkle tree in SQLite, with the hashes and proofs of RFC 6962 section 2.1 (RFC 9162
section 2.1).

The hash of every complete subtree is stored under its level and position, so appending and proving both
touch a number of rows that grows with the logarithm of the tree's size.
"""

import hashlib
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from envcli_index.trust.errors import DuplicateEntryError

EMPTY_ROOT = hashlib.sha256(b"").digest()
_BUSY_SECONDS = 10.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS leaf (
    position INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    body BLOB NOT NULL,
    extra BLOB NOT NULL,
    time INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS node (
    level INTEGER NOT NULL,
    position INTEGER NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (level, position)
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Leaf:
    """One entry of the log: its position from 0, the bytes that are hashed, what is kept beside them, and
    the time."""

    index: int
    body: bytes
    extra: bytes
    time: int


def leaf_hash(body: bytes) -> bytes:
    """Return the hash of a leaf (RFC 6962 section 2.1)."""
    return hashlib.sha256(b"\x00" + body).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node (RFC 6962 section 2.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class MerkleTree:
    """A tree in one SQLite file; safe to use from several threads and processes."""

    def __init__(self, path: Path) -> None:
        """Open the tree in ``path``, an SQLite file made on first use in an existing folder."""
        self._path = path
        self._local = threading.local()
        self._connection().executescript(_SCHEMA)

    def append(self, body: bytes, time: int, extra: bytes = b"") -> Leaf:
        """Add an entry durably and return it.

        Args:
            body: the bytes that are hashed.
            time: kept with the entry, in the log's own unit.
            extra: bytes kept with the entry and not hashed.

        Raises:
            DuplicateEntryError: the same ``body`` is in the tree already.
        """
        digest = leaf_hash(body)
        with self._writing() as connection:
            known = connection.execute("SELECT position FROM leaf WHERE hash = ?", (digest,)).fetchone()
            if known:
                raise DuplicateEntryError(known[0])
            index = _count(connection)
            connection.execute("INSERT INTO leaf VALUES (?, ?, ?, ?, ?)", (index, digest, body, extra, time))
            self._store_subtrees(connection, index, digest)
        return Leaf(index, body, extra, time)

    def size(self) -> int:
        """Return the number of entries."""
        return _count(self._connection())

    def leaf(self, index: int) -> Leaf | None:
        """Return the entry at ``index``, from 0, or None."""
        return next(iter(self.leaves(index, index + 1)), None)

    def leaves(self, start: int, end: int) -> list[Leaf]:
        """Return the entries from ``start`` up to but without ``end``, as far as there are any."""
        last = min(end, self.size()) - 1
        if not 0 <= start <= last:
            return []
        query = (
            "SELECT position, body, extra, time FROM leaf WHERE position BETWEEN ? AND ? ORDER BY position"
        )
        return [Leaf(*row) for row in self._connection().execute(query, (start, last))]

    def find(self, digest: bytes) -> int | None:
        """Return the index of the entry with the leaf hash ``digest``, or None."""
        row = self._connection().execute("SELECT position FROM leaf WHERE hash = ?", (digest,)).fetchone()
        return None if row is None else int(row[0])

    def root(self, size: int) -> bytes:
        """Return the root hash of the tree of the first ``size`` entries."""
        return self._subtree(0, size)

    def inclusion_proof(self, index: int, size: int) -> list[bytes]:
        """Return the audit path of the entry ``index`` in the tree of ``size`` entries (RFC 6962 section
        2.1.1).

        Raises:
            ValueError: the tree of that size has no such entry.
        """
        if not 0 <= index < size <= self.size():
            raise ValueError(f"no entry {index} in a tree of {size} entries")
        return self._path_to(index, 0, size)

    def consistency_proof(self, first: int, second: int) -> list[bytes]:
        """Return the proof that the tree of ``first`` entries begins that of ``second`` (RFC 6962 section
        2.1.2).

        Raises:
            ValueError: the sizes are not ``0 < first <= second <= size()``.
        """
        if not 0 < first <= second <= self.size():
            raise ValueError(f"no consistency proof from size {first} to size {second}")
        return self._subproof(first, 0, second, is_known=True)

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self._path, isolation_level=None, timeout=_BUSY_SECONDS)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            self._local.connection = connection
        return connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        connection = self._connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise

    def _store_subtrees(self, connection: sqlite3.Connection, index: int, digest: bytes) -> None:
        level = 0
        connection.execute("INSERT INTO node VALUES (0, ?, ?)", (index, digest))
        while index & 1:
            digest = node_hash(self._node(level, index - 1), digest)
            level, index = level + 1, index >> 1
            connection.execute("INSERT INTO node VALUES (?, ?, ?)", (level, index, digest))

    def _node(self, level: int, index: int) -> bytes:
        query = "SELECT hash FROM node WHERE level = ? AND position = ?"
        return bytes(self._connection().execute(query, (level, index)).fetchone()[0])

    def _subtree(self, start: int, end: int) -> bytes:
        """Return the hash of the entries from ``start`` to ``end``; ``start`` must be aligned as in a proof."""
        count = end - start
        if count == 0:
            return EMPTY_ROOT
        if count & (count - 1) == 0:
            level = count.bit_length() - 1
            return self._node(level, start >> level)
        middle = start + _split(count)
        return node_hash(self._subtree(start, middle), self._subtree(middle, end))

    def _path_to(self, index: int, start: int, end: int) -> list[bytes]:
        if end - start == 1:
            return []
        middle = start + _split(end - start)
        if index < middle:
            return [*self._path_to(index, start, middle), self._subtree(middle, end)]
        return [*self._path_to(index, middle, end), self._subtree(start, middle)]

    def _subproof(self, first: int, start: int, end: int, *, is_known: bool) -> list[bytes]:
        count = end - start
        if first == count:
            return [] if is_known else [self._subtree(start, end)]
        split = _split(count)
        middle = start + split
        if first <= split:
            return [*self._subproof(first, start, middle, is_known=is_known), self._subtree(middle, end)]
        return [*self._subproof(first - split, middle, end, is_known=False), self._subtree(start, middle)]


def _count(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT coalesce(max(position) + 1, 0) FROM leaf").fetchone()[0])


def _split(count: int) -> int:
    """Return the largest power of two that is smaller than ``count``."""
    return 1 << ((count - 1).bit_length() - 1)
