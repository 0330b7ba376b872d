"""Proofs of the Merkle tree, checked by the verification algorithms of RFC 9162 sections 2.1.3.2 and 2.1.4.2."""

import hashlib
import sqlite3
import threading
from pathlib import Path

import pytest
from envcli_index.trust.errors import DuplicateEntryError
from envcli_index.trust.merkle import EMPTY_ROOT, MerkleTree, leaf_hash, node_hash
from hypothesis import given, settings
from hypothesis import strategies as st

SIZE = 137


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> MerkleTree:
    grown = MerkleTree(tmp_path_factory.mktemp("merkle") / "tree.db")
    for index in range(SIZE):
        grown.append(b"entry %d" % index, index)
    return grown


def root_of(leaves: list[bytes]) -> bytes:
    """The definition of the tree hash, straight from RFC 6962 section 2.1."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return node_hash(root_of(leaves[:split]), root_of(leaves[split:]))


def is_included(digest: bytes, index: int, size: int, path: list[bytes], root: bytes) -> bool:
    """RFC 9162 section 2.1.3.2."""
    if index >= size:
        return False
    node, last, result = index, size - 1, digest
    for part in path:
        if last == 0:
            return False
        if node & 1 or node == last:
            result = node_hash(part, result)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            result = node_hash(result, part)
        node, last = node >> 1, last >> 1
    return last == 0 and result == root


def is_consistent(first: int, second: int, proof: list[bytes], old: bytes, new: bytes) -> bool:
    """RFC 9162 section 2.1.4.2."""
    if first == second:
        return not proof and old == new
    path = [old, *proof] if first & (first - 1) == 0 else list(proof)
    if not path:
        return False
    node, last = first - 1, second - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    first_root = second_root = path[0]
    for part in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            first_root, second_root = node_hash(part, first_root), node_hash(part, second_root)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            second_root = node_hash(second_root, part)
        node, last = node >> 1, last >> 1
    return last == 0 and first_root == old and second_root == new


@given(st.integers(0, SIZE))
def test_root_is_that_of_the_definition(tree: MerkleTree, size: int) -> None:
    assert tree.root(size) == root_of([b"entry %d" % index for index in range(size)])


@given(st.data())
def test_inclusion_proofs_verify(tree: MerkleTree, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, SIZE))
    index = data.draw(st.integers(0, size - 1))
    path, root = tree.inclusion_proof(index, size), tree.root(size)
    digest = leaf_hash(b"entry %d" % index)
    assert is_included(digest, index, size, path, root)
    assert not is_included(leaf_hash(b"forged"), index, size, path, root)
    other = data.draw(st.integers(0, size - 1))
    assert other == index or not is_included(digest, other, size, path, root)


@given(st.data())
def test_consistency_proofs_verify(tree: MerkleTree, data: st.DataObject) -> None:
    second = data.draw(st.integers(1, SIZE))
    first = data.draw(st.integers(1, second))
    proof = tree.consistency_proof(first, second)
    assert is_consistent(first, second, proof, tree.root(first), tree.root(second))
    assert first == second or not is_consistent(first, second, proof, EMPTY_ROOT, tree.root(second))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.binary(max_size=8), unique=True, max_size=40))
def test_any_entries_give_the_defined_root(entries: list[bytes]) -> None:
    grown = MerkleTree(Path(":memory:"))
    for entry in entries:
        grown.append(entry, 0)
    assert grown.root(grown.size()) == root_of(entries)


@pytest.mark.parametrize(("index", "size"), [(-1, 5), (5, 5), (0, SIZE + 1), (0, 0)])
def test_impossible_inclusion_is_refused(tree: MerkleTree, index: int, size: int) -> None:
    with pytest.raises(ValueError, match="no entry"):
        tree.inclusion_proof(index, size)


@pytest.mark.parametrize(("first", "second"), [(0, 5), (6, 5), (1, SIZE + 1)])
def test_impossible_consistency_is_refused(tree: MerkleTree, first: int, second: int) -> None:
    with pytest.raises(ValueError, match="no consistency"):
        tree.consistency_proof(first, second)


def test_duplicate_names_the_first_entry(tmp_path: Path) -> None:
    grown = MerkleTree(tmp_path / "tree.db")
    grown.append(b"first", 1)
    grown.append(b"second", 2)
    with pytest.raises(DuplicateEntryError) as caught:
        grown.append(b"first", 3)
    assert caught.value.index == 0
    assert grown.size() == 2


def test_writers_of_many_threads_lose_nothing(tmp_path: Path) -> None:
    grown = MerkleTree(tmp_path / "tree.db")

    def write(writer: int) -> None:
        for index in range(25):
            grown.append(b"%d %d" % (writer, index), 0)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    leaves = [leaf.body for leaf in grown.leaves(0, 100)]
    assert len(leaves) == 100
    assert grown.root(100) == root_of(leaves)


def test_an_interrupted_append_leaves_the_tree_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "tree.db"
    MerkleTree(path).append(b"kept", 0)
    broken = sqlite3.connect(path, isolation_level=None)
    broken.execute("BEGIN IMMEDIATE")
    broken.execute("INSERT INTO leaf VALUES (1, x'00', x'00', x'', 0)")
    broken.close()
    again = MerkleTree(path)
    assert again.size() == 1
    assert again.root(1) == leaf_hash(b"kept")
