"""Merkle trees of RFC 9162 (and 6962): roots, inclusion and consistency proofs, and a frontier that grows by appending.

Leaves are hashed as SHA-256(0x00 || data), inner nodes as SHA-256(0x01 || left || right); the root of no leaves is the
hash of nothing. Functions take leaf *hashes*, so that a caller can keep them and forget the data.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

HASH_SIZE = 32
EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """The hash of one entry."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node over two subtrees."""
    return sha256(b"\x01" + left + right).digest()


def _split(size: int) -> int:
    """The largest power of two smaller than `size` (at least 2)."""
    return 1 << ((size - 1).bit_length() - 1)


def root(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes."""
    frontier = Frontier()
    for leaf in leaves:
        frontier = frontier.append(leaf)
    return frontier.root


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The audit path of leaf `index`, from the leaf upwards. Raises IndexError."""
    if not 0 <= index < len(leaves):
        raise IndexError(f"leaf {index} of {len(leaves)}")
    if len(leaves) == 1:
        return []
    middle = _split(len(leaves))
    if index < middle:
        return [*inclusion_proof(leaves[:middle], index), root(leaves[middle:])]
    return [*inclusion_proof(leaves[middle:], index - middle), root(leaves[:middle])]


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


def consistency_proof(leaves: Sequence[bytes], old_size: int) -> list[bytes]:
    """Proof that the tree over the first `old_size` leaves is the beginning of this one. Raises ValueError."""
    if not 0 < old_size <= len(leaves):
        raise ValueError(f"no tree of {old_size} leaves precedes one of {len(leaves)}")
    return _subproof(leaves, old_size, whole=True)


def _subproof(leaves: Sequence[bytes], old_size: int, *, whole: bool) -> list[bytes]:
    if old_size == len(leaves):
        return [] if whole else [root(leaves)]
    middle = _split(len(leaves))
    if old_size <= middle:
        return [*_subproof(leaves[:middle], old_size, whole=whole), root(leaves[middle:])]
    return [*_subproof(leaves[middle:], old_size - middle, whole=False), root(leaves[:middle])]


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
