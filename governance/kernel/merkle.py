"""Merkle trees of RFC 9162 (and 6962): roots, inclusion and consistency proofs, and a frontier that grows by appending.

Leaves are hashed as SHA-256(0x00 || data), inner nodes as SHA-256(0x01 || left || right); the root of no leaves is the
hash of nothing. Functions take leaf *hashes*, so that a caller can keep them and forget the data. Those that make
proofs read the leaves once, in order, and hold one node per level: a trail is longer than a process's memory.
"""

from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import NamedTuple, TypeVar

HASH_SIZE = 32
EMPTY_ROOT = sha256(b"").digest()
# Sizes above this do not exist, and a proof that claims one would be walked for as long as it likes.
LARGEST_SIZE = 2**63 - 1
TLOG_PROOF = "c2sp.org/tlog-proof@v1"

Node = TypeVar("Node")


def leaf_hash(data: bytes) -> bytes:
    """The hash of one entry."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node over two subtrees."""
    return sha256(b"\x01" + left + right).digest()


def _split(size: int) -> int:
    """The largest power of two smaller than `size` (at least 2)."""
    return 1 << ((size - 1).bit_length() - 1)


def root(leaves: Iterable[bytes]) -> bytes:
    """The root over leaf hashes."""
    frontier = Frontier()
    for leaf in leaves:
        frontier = frontier.append(leaf)
    return frontier.root


def _fold(leaves: Iterable[Node], join: Callable[[Node, Node], Node]) -> Node | None:
    """Join the leaves to one node in the shape of the tree; None when there are none.

    A subtree is joined as soon as it is complete, so only the right edge is ever held.
    """
    edge: list[Node] = []
    for size, leaf in enumerate(leaves):
        node, complete = leaf, size
        while complete & 1:
            node = join(edge.pop(), node)
            complete >>= 1
        edge.append(node)
    if not edge:
        return None
    node = edge.pop()
    while edge:
        node = join(edge.pop(), node)
    return node


class _Watched(NamedTuple):
    """A subtree over the leaves from `start` on, and the proofs that lead from inside it towards the root."""

    start: int
    size: int
    digest: bytes
    proofs: tuple[list[bytes], ...] = ()


def _join_watched(left: _Watched, right: _Watched) -> _Watched:
    for proof in left.proofs:
        proof.append(right.digest)
    for proof in right.proofs:
        proof.append(left.digest)
    size = left.size + right.size
    return _Watched(left.start, size, node_hash(left.digest, right.digest), left.proofs + right.proofs)


def inclusion_proof(leaves: Iterable[bytes], index: int) -> list[bytes]:
    """The audit path of leaf `index`, from the leaf upwards. Raises IndexError."""
    return inclusion_proofs(leaves, [index])[index]


def inclusion_proofs(leaves: Iterable[bytes], indices: Iterable[int]) -> dict[int, list[bytes]]:
    """The audit paths of several leaves, by index, from one reading. Raises IndexError."""
    paths: dict[int, list[bytes]] = {index: [] for index in indices}
    watched = (_Watched(index, 1, leaf, (paths[index],) if index in paths else ()) for index, leaf in enumerate(leaves))
    whole = _fold(watched, _join_watched)
    size = whole.size if whole else 0
    for index in paths:
        if not 0 <= index < size:
            raise IndexError(f"leaf {index} of {size}")
    return paths


def verify_inclusion(*, leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected_root: bytes) -> bool:
    """Whether `leaf` is entry `index` of the tree of this size and root (RFC 9162 section 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    node, last, current = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            current = node_hash(sibling, current)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            current = node_hash(current, sibling)
        node >>= 1
        last >>= 1
    return last == 0 and current == expected_root


def consistency_proof(leaves: Iterable[bytes], old_size: int) -> list[bytes]:
    """Proof that the tree over the first `old_size` leaves is the beginning of this one. Raises ValueError.

    It is the path of the old tree's last complete subtree, which comes first unless it is the old tree itself.
    """
    last = old_size & -old_size
    proof: list[bytes] = []

    def watch(node: _Watched) -> _Watched:
        if node.size != last or node.start + last != old_size:
            return node
        if node.start:
            proof.append(node.digest)
        return node._replace(proofs=(proof,))

    whole = _fold(
        (watch(_Watched(index, 1, leaf)) for index, leaf in enumerate(leaves)),
        lambda left, right: watch(_join_watched(left, right)),
    )
    size = whole.size if whole else 0
    if not 0 < old_size <= size:
        raise ValueError(f"no tree of {old_size} leaves precedes one of {size}")
    return proof if old_size < size else []


def verify_consistency(
    *, old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether the new tree only appended to the old one (RFC 9162 section 2.1.4.2). An empty old tree always agrees."""
    if old_size == 0:
        return not proof and old_root == EMPTY_ROOT
    if old_size == new_size:
        return not proof and old_root == new_root
    if not 0 < old_size < new_size or not proof:
        return False
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    node, last = old_size - 1, new_size - 1
    while node & 1:
        node >>= 1
        last >>= 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            new = node_hash(new, sibling)
        node >>= 1
        last >>= 1
    return last == 0 and old == old_root and new == new_root


class _Part(NamedTuple):
    """A subtree from `start` on; `digest` is None when a wanted leaf is inside, so that it stays open."""

    start: int
    digest: bytes | None


def multiproof(leaf_hashes: Iterable[bytes], indices: Sequence[int]) -> list[bytes]:
    """The nodes that, with the wanted leaves, give the root: one proof for many leaves. Raises ValueError.

    indices: from 0, ascending, each once. The nodes are the largest subtrees without a wanted leaf, from left to
    right. Without any index that is the root alone, which proves nothing about a leaf.
    """
    wanted = iter(indices)
    _refuse_disorder(indices)
    nodes: list[tuple[int, bytes]] = []
    awaited = next(wanted, None)

    def parts() -> Iterator[_Part]:
        nonlocal awaited
        for index, leaf in enumerate(leaf_hashes):
            if index == awaited:
                awaited = next(wanted, None)
                yield _Part(index, None)
            else:
                yield _Part(index, leaf)

    def join(left: _Part, right: _Part) -> _Part:
        if left.digest is not None and right.digest is not None:
            return _Part(left.start, node_hash(left.digest, right.digest))
        nodes.extend((part.start, part.digest) for part in (left, right) if part.digest is not None)
        return _Part(left.start, None)

    whole = _fold(parts(), join)
    if awaited is not None:
        raise ValueError(f"the tree has no leaf {awaited}")
    if not indices:
        return [whole.digest if whole and whole.digest else EMPTY_ROOT]
    # A node on the left comes to light after those on its right, when the two are joined.
    return [digest for _, digest in sorted(nodes)]


def root_of_multiproof(
    size: int, indices: Sequence[int], leaf_hashes: Iterable[bytes], nodes: Iterable[bytes]
) -> bytes:
    """The root of the tree that has these leaves at these indices, if `nodes` are `multiproof`'s. Raises ValueError.

    Raised when the numbers do not fit: too few or too many leaves or nodes, indices out of order or range. Whether
    the root is the right one is the caller's comparison.
    """
    _refuse_disorder(indices)
    if not 0 <= size <= LARGEST_SIZE or (indices and indices[-1] >= size):
        raise ValueError(f"a tree of {size} leaves cannot have these")
    leaf_source, node_source = iter(leaf_hashes), iter(nodes)
    position = 0

    def visit(start: int, end: int) -> bytes:
        nonlocal position
        if position == len(indices) or indices[position] >= end:
            return _next_hash(node_source, "nodes")
        if end - start == 1:
            position += 1
            return _next_hash(leaf_source, "leaves")
        middle = start + _split(end - start)
        left = visit(start, middle)
        return node_hash(left, visit(middle, end))

    computed = visit(0, size)
    if next(node_source, None) is not None or next(leaf_source, None) is not None:
        raise ValueError("the proof has more hashes than the tree needs")
    return computed


def _refuse_disorder(indices: Sequence[int]) -> None:
    if indices and indices[0] < 0:
        raise ValueError("indices count from 0")
    if any(earlier >= later for earlier, later in pairwise(indices)):
        raise ValueError("indices must ascend, each once")


def _next_hash(source: Iterator[bytes], what: str) -> bytes:
    found = next(source, None)
    if found is None or len(found) != HASH_SIZE:
        raise ValueError(f"the proof has too few {what}, or one that is not 32 bytes")
    return found


def tlog_proof(*, index: int, proof: Sequence[bytes], checkpoint: str) -> str:
    """The inclusion of one leaf in the text form of c2sp.org/tlog-proof: index, path, and the signed checkpoint."""
    path = "".join(f"{b64encode(node).decode()}\n" for node in proof)
    return f"{TLOG_PROOF}\nindex {index}\n{path}\n{checkpoint}"


@dataclass(frozen=True, slots=True)
class Frontier:
    """The right edge of a growing tree: the roots of its complete subtrees, largest first.

    Appending costs one hash on average and at most the logarithm of the size; values are immutable.
    """

    size: int = 0
    nodes: tuple[bytes, ...] = ()

    def append(self, leaf: bytes) -> "Frontier":
        """The frontier after one more leaf hash."""
        if len(leaf) != HASH_SIZE:
            raise ValueError("a leaf hash has 32 bytes")
        nodes, current, size = list(self.nodes), leaf, self.size
        while size & 1:
            current = node_hash(nodes.pop(), current)
            size >>= 1
        return Frontier(self.size + 1, (*nodes, current))

    @property
    def root(self) -> bytes:
        """The root of the tree over everything appended so far."""
        if not self.nodes:
            return EMPTY_ROOT
        *others, current = self.nodes
        for node in reversed(others):
            current = node_hash(node, current)
        return current

    def to_bytes(self) -> bytes:
        """Eight bytes of size, big-endian, then the nodes."""
        return self.size.to_bytes(8, "big") + b"".join(self.nodes)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Frontier":
        """The reverse of `to_bytes`; raises ValueError for anything else."""
        size, body = int.from_bytes(data[:8], "big"), data[8:]
        if len(data) < 8 or len(body) != HASH_SIZE * size.bit_count():
            raise ValueError("these bytes are no frontier")
        return cls(size, tuple(body[at : at + HASH_SIZE] for at in range(0, len(body), HASH_SIZE)))
