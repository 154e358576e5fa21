from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.kernel.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root,
    verify_consistency,
    verify_inclusion,
)

# The eight entries and roots that implementations of Certificate Transparency test with.
ENTRIES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]

sizes = st.integers(min_value=1, max_value=70)


def leaves_of(size: int) -> list[bytes]:
    return [leaf_hash(str(number).encode()) for number in range(size)]


def recursive_root(leaves: list[bytes]) -> bytes:
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    middle = 1
    while middle * 2 < len(leaves):
        middle *= 2
    return node_hash(recursive_root(leaves[:middle]), recursive_root(leaves[middle:]))


def test_roots_are_those_of_the_known_entries():
    leaves = [leaf_hash(bytes.fromhex(entry)) for entry in ENTRIES]

    assert [root(leaves[: size + 1]).hex() for size in range(8)] == ROOTS
    assert root([]) == EMPTY_ROOT


@given(sizes)
def test_the_frontier_has_the_root_of_the_recursive_definition(size):
    assert root(leaves_of(size)) == recursive_root(leaves_of(size))


@given(sizes, st.data())
def test_an_inclusion_proof_holds_for_its_entry_and_for_no_other(size, data):
    index = data.draw(st.integers(0, size - 1))
    leaves = leaves_of(size)
    proof = inclusion_proof(leaves, index)
    facts = {"size": size, "proof": proof, "expected_root": root(leaves)}

    assert verify_inclusion(leaf=leaves[index], index=index, **facts)
    assert not verify_inclusion(leaf=leaf_hash(b"other"), index=index, **facts)
    assert not verify_inclusion(leaf=leaves[index], index=index + 1, **facts)
    assert not verify_inclusion(leaf=leaves[index], index=index, **facts | {"proof": [*proof, bytes(32)]})
    assert not verify_inclusion(leaf=leaves[index], index=-1, **facts)


@given(sizes, st.data())
def test_a_consistency_proof_holds_for_a_tree_that_only_grew(size, data):
    old_size = data.draw(st.integers(1, size))
    leaves = leaves_of(size)
    facts = {
        "old_size": old_size,
        "old_root": root(leaves[:old_size]),
        "new_size": size,
        "new_root": root(leaves),
        "proof": consistency_proof(leaves, old_size),
    }

    assert verify_consistency(**facts)
    assert not verify_consistency(**facts | {"old_root": leaf_hash(b"rewritten")})
    assert not verify_consistency(**facts | {"new_root": leaf_hash(b"rewritten")})
    assert not verify_consistency(**facts | {"proof": [*facts["proof"], bytes(32)]})
    assert not verify_consistency(**facts | {"old_size": size + 1})


def test_rewriting_an_old_entry_breaks_consistency():
    leaves = leaves_of(20)
    rewritten = [leaf_hash(b"forged"), *leaves[1:]]

    assert not verify_consistency(
        old_size=13,
        old_root=root(leaves[:13]),
        new_size=20,
        new_root=root(rewritten),
        proof=consistency_proof(rewritten, 13),
    )


@given(sizes)
def test_a_frontier_survives_being_stored(size):
    frontier = Frontier()
    for leaf in leaves_of(size):
        frontier = Frontier.from_bytes(frontier.to_bytes()).append(leaf)

    assert (frontier.size, frontier.root) == (size, root(leaves_of(size)))
    assert len(frontier.nodes) == size.bit_count()


@pytest.mark.parametrize("data", [b"", bytes(7), bytes(9), (1).to_bytes(8, "big"), (3).to_bytes(8, "big") + bytes(33)])
def test_bytes_that_are_no_frontier_are_refused(data):
    with pytest.raises(ValueError, match="frontier"):
        Frontier.from_bytes(data)
