from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.kernel.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    inclusion_proofs,
    leaf_hash,
    multiproof,
    node_hash,
    root,
    root_of_multiproof,
    tlog_proof,
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


def recursive_multiproof(leaves: list[bytes], wanted: set[int], start: int = 0) -> list[bytes]:
    if not wanted & set(range(start, start + len(leaves))):
        return [recursive_root(leaves)]
    if len(leaves) == 1:
        return []
    middle = 1
    while middle * 2 < len(leaves):
        middle *= 2
    left = recursive_multiproof(leaves[:middle], wanted, start)
    return left + recursive_multiproof(leaves[middle:], wanted, start + middle)


def subproof(leaves: list[bytes], old_size: int, *, whole: bool = True) -> list[bytes]:
    """SUBPROOF of RFC 9162, word for word."""
    if old_size == len(leaves):
        return [] if whole else [recursive_root(leaves)]
    middle = 1
    while middle * 2 < len(leaves):
        middle *= 2
    if old_size <= middle:
        return [*subproof(leaves[:middle], old_size, whole=whole), recursive_root(leaves[middle:])]
    return [*subproof(leaves[middle:], old_size - middle, whole=False), recursive_root(leaves[:middle])]


@given(sizes, st.data())
def test_a_consistency_proof_is_that_of_the_recursive_definition(size, data):
    old_size = data.draw(st.integers(1, size))

    assert consistency_proof(iter(leaves_of(size)), old_size) == subproof(leaves_of(size), old_size)


@pytest.mark.parametrize("old_size", [-4, 0, 8, 2**70])
def test_no_consistency_with_a_tree_that_was_never_there(old_size):
    with pytest.raises(ValueError, match="precedes"):
        consistency_proof(leaves_of(7), old_size)


@given(sizes, st.data())
def test_many_inclusion_proofs_come_from_one_reading(size, data):
    indices = data.draw(st.sets(st.integers(0, size - 1), max_size=8))
    leaves = leaves_of(size)

    proofs = inclusion_proofs(iter(leaves), indices)

    assert set(proofs) == indices
    for index, proof in proofs.items():
        assert verify_inclusion(leaf=leaves[index], index=index, size=size, proof=proof, expected_root=root(leaves))


@pytest.mark.parametrize("index", [-1, 7])
def test_a_leaf_that_is_not_there_has_no_proof(index):
    with pytest.raises(IndexError):
        inclusion_proof(leaves_of(7), index)
    with pytest.raises(ValueError, match=r"no leaf|count from"):
        multiproof(leaves_of(7), [index])


@given(sizes, st.data())
def test_a_multiproof_is_that_of_the_recursive_definition_and_gives_the_root(size, data):
    indices = sorted(data.draw(st.sets(st.integers(0, size - 1))))
    leaves = leaves_of(size)

    nodes = multiproof(iter(leaves), indices)

    assert nodes == recursive_multiproof(leaves, set(indices))
    assert root_of_multiproof(size, indices, (leaves[index] for index in indices), nodes) == root(leaves)


@given(sizes, st.data())
def test_a_multiproof_with_one_hash_changed_gives_another_root(size, data):
    indices = sorted(data.draw(st.sets(st.integers(0, size - 1), min_size=1)))
    leaves = leaves_of(size)
    wanted, nodes = [leaves[index] for index in indices], multiproof(leaves, indices)
    changed = data.draw(st.integers(0, len(wanted) + len(nodes) - 1))
    hashes = [*wanted, *nodes]
    hashes[changed] = leaf_hash(b"forged")

    found = root_of_multiproof(size, indices, hashes[: len(wanted)], hashes[len(wanted) :])

    assert found != root(leaves)


@given(st.integers(min_value=2, max_value=70), st.data())
def test_leaves_in_another_order_or_at_other_places_give_another_root(size, data):
    indices = sorted(data.draw(st.sets(st.integers(0, size - 1), min_size=2)))
    leaves = leaves_of(size)
    nodes = multiproof(leaves, indices)
    wanted = [leaves[index] for index in indices]

    assert root_of_multiproof(size, indices, [wanted[1], wanted[0], *wanted[2:]], nodes) != root(leaves)
    moved = sorted({(index + 1) % size for index in indices})
    if moved != indices:
        assert not _proves_the_same(size, moved, wanted, nodes)


def _proves_the_same(size: int, indices: list[int], wanted: list[bytes], nodes: list[bytes]) -> bool:
    try:
        return root_of_multiproof(size, indices, wanted, nodes) == root(leaves_of(size))
    except ValueError:
        return False


@given(sizes, st.data())
def test_a_multiproof_with_a_hash_too_few_or_too_many_is_refused(size, data):
    indices = sorted(data.draw(st.sets(st.integers(0, size - 1), min_size=1)))
    leaves = leaves_of(size)
    wanted, nodes = [leaves[index] for index in indices], multiproof(leaves, indices)

    with pytest.raises(ValueError, match="more hashes"):
        root_of_multiproof(size, indices, wanted, [*nodes, bytes(32)])
    with pytest.raises(ValueError, match="more hashes"):
        root_of_multiproof(size, indices, [*wanted, bytes(32)], nodes)
    with pytest.raises(ValueError, match="too few leaves"):
        root_of_multiproof(size, indices, wanted[1:], nodes)
    if nodes:
        with pytest.raises(ValueError, match="too few nodes"):
            root_of_multiproof(size, indices, wanted, nodes[1:])
        with pytest.raises(ValueError, match="not 32 bytes"):
            root_of_multiproof(size, indices, wanted, [nodes[0] + b"!", *nodes[1:]])


@pytest.mark.parametrize(
    ("size", "indices"), [(7, [2, 1]), (7, [2, 2]), (7, [-1]), (7, [7]), (0, [0]), (-1, []), (2**64, [2**64 - 1])]
)
def test_a_multiproof_of_impossible_indices_is_refused(size, indices):
    with pytest.raises(ValueError, match=r"ascend|count from|cannot have"):
        root_of_multiproof(size, indices, [bytes(32)] * len(indices), [bytes(32)] * 70)


@pytest.mark.parametrize("indices", [[2, 1], [2, 2]])
def test_no_multiproof_is_made_of_indices_out_of_order(indices):
    with pytest.raises(ValueError, match="ascend"):
        multiproof(leaves_of(7), indices)


def test_a_multiproof_without_indices_is_the_root_alone():
    assert multiproof(leaves_of(5), []) == [root(leaves_of(5))]
    assert multiproof([], []) == [EMPTY_ROOT]


def test_a_multiproof_of_a_huge_tree_is_walked_along_its_indices_only():
    assert len(root_of_multiproof(2**63 - 1, [0], [bytes(32)], [bytes(32)] * 63)) == 32


def test_the_text_of_a_proof_has_index_path_and_checkpoint():
    text = tlog_proof(index=2, proof=[bytes(32), b"\xff" * 32], checkpoint="example.com/log\n4\nroot\n\n— a b\n")

    assert text == (
        "c2sp.org/tlog-proof@v1\n"
        "index 2\n"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
        "//////////////////////////////////////////8=\n"
        "\n"
        "example.com/log\n4\nroot\n\n— a b\n"
    )
