"""The hash tree of RFC 6962, section 2.1, as it grows. Spec section 7.3.

Leaves and nodes are hashed with different first bytes, so no node passes as a leaf.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from secagg import errors


def leaf_hash(*parts: bytes | memoryview) -> bytes:
    """Return SHA-256(0x00 || parts), 32 bytes."""
    hasher = hashlib.sha256(b"\x00")
    for part in parts:
        hasher.update(part)
    return hasher.digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return SHA-256(0x01 || left || right), 32 bytes."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """A tree that grows leaf by leaf, in memory of log2(leaves) hashes.

    It splits at the largest power of two below the number of leaves, so its left parts
    are complete trees: one for every 1 in the binary number of leaves, largest first.
    Those are kept, and a leaf is added as 1 is added to that number.

    Attributes:
        count: the number of leaves.
    """

    def __init__(self) -> None:
        """Start without leaves."""
        self.count = 0
        self._complete: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        """Add the next leaf, by its hash."""
        carry = self.count
        while carry & 1:
            leaf = node_hash(self._complete.pop(), leaf)
            carry >>= 1
        self._complete.append(leaf)
        self.count += 1

    def root(self) -> bytes:
        """Return the root over the leaves so far, 32 bytes.

        Raises:
            LocalProtocolError: there is none.
        """
        if not self._complete:
            raise errors.LocalProtocolError("a tree without leaves has no root")
        *lefts, right = self._complete
        for left in reversed(lefts):
            right = node_hash(left, right)
        return right


def root(leaves: Iterable[bytes]) -> bytes:
    """Return the root over leaf hashes in order, 32 bytes.

    Raises:
        LocalProtocolError: there are none.
    """
    tree = Tree()
    for leaf in leaves:
        tree.add(leaf)
    return tree.root()
