"""secagg.crypto.merkle: the tree of RFC 6962, grown and as defined."""

import functools
import hashlib

import pytest

from secagg import errors
from secagg.crypto import merkle

LEAVES = [hashlib.sha256(bytes([i])).digest() for i in range(70)]


def as_defined(leaves):
    """The tree hash as section 2.1 of RFC 6962 defines it, by recursion."""
    if len(leaves) == 1:
        return leaves[0]
    k = next(2**i for i in range(64) if 2**i < len(leaves) <= 2 ** (i + 1))
    left, right = as_defined(leaves[:k]), as_defined(leaves[k:])
    return hashlib.sha256(b"\x01" + left + right).digest()


@pytest.mark.parametrize("count", range(1, len(LEAVES) + 1))
def test_the_root_is_that_of_the_definition(count) -> None:
    assert merkle.root(LEAVES[:count]) == as_defined(LEAVES[:count])


def test_a_growing_tree_has_the_root_of_the_leaves_so_far() -> None:
    tree = merkle.Tree()
    for count, leaf in enumerate(LEAVES, start=1):
        tree.add(leaf)
        assert tree.count == count
        assert tree.root() == as_defined(LEAVES[:count])


def test_a_root_may_be_asked_for_twice() -> None:
    tree = merkle.Tree()
    for leaf in LEAVES[:5]:
        tree.add(leaf)
    assert tree.root() == tree.root()


# From the reference trees of certificate transparency (RFC 6962): leaf data in order.
CT_LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"]
CT_LEAVES.append("606162636465666768696a6b6c6d6e6f")


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
    ],
)
def test_the_known_trees_of_certificate_transparency(count, expected) -> None:
    leaves = [merkle.leaf_hash(bytes.fromhex(data)) for data in CT_LEAVES[:count]]
    assert merkle.root(leaves).hex() == expected


def test_the_parts_of_a_leaf_are_joined() -> None:
    assert merkle.leaf_hash(b"a", b"", b"bc") == hashlib.sha256(b"\0abc").digest()


def test_no_node_passes_as_a_leaf() -> None:
    left, right = LEAVES[:2]
    assert merkle.node_hash(left, right) != merkle.leaf_hash(left, right)


def test_no_leaves_have_no_root() -> None:
    with pytest.raises(errors.LocalProtocolError):
        merkle.root([])


@functools.cache
def of_equal_leaves(count: int) -> bytes:
    """The tree hash as defined, of `count` equal leaves."""
    if count == 1:
        return LEAVES[0]
    k = 1 << ((count - 1).bit_length() - 1)
    return merkle.node_hash(of_equal_leaves(k), of_equal_leaves(count - k))


def grown(count: int) -> merkle.Tree:
    """The tree over `count` equal leaves, without adding them one by one."""
    tree = merkle.Tree()
    tree.count = count
    powers = [1 << i for i in reversed(range(count.bit_length())) if count >> i & 1]
    tree._complete = [of_equal_leaves(power) for power in powers]
    return tree


@pytest.mark.parametrize("count", [3, 8, 13])
def test_a_tree_of_equal_leaves_is_grown_as_one_by_one(count) -> None:
    tree = merkle.Tree()
    for _ in range(count):
        tree.add(LEAVES[0])
    assert tree._complete == grown(count)._complete


@pytest.mark.parametrize("count", [(1 << 28) - 1, (1 << 32) - 2, (1 << 32) - 1])
def test_as_many_leaves_as_a_vector_can_have_chunks_have_the_root_as_defined(
    count,
) -> None:
    tree = grown(count)
    assert tree.root() == of_equal_leaves(count)
    tree.add(LEAVES[0])
    assert tree.count == count + 1
    assert tree.root() == of_equal_leaves(count + 1)
    assert len(tree._complete) <= 33
