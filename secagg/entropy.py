"""Entropy: the only form that randomness has in this library.

Machines and samplers never reach for a generator; they are handed an `Entropy` and
draw labelled bytes from it. Production uses the operating system's generator. Tests,
vectors and simulations use `SeededEntropy`, whose draws depend on the label and on how
often that label was drawn, so that reordering code does not change a vector.
"""

from __future__ import annotations

import collections
import hashlib
import os
from typing import Protocol


class Entropy(Protocol):
    """A source of secret bytes."""

    def draw(self, label: str, size: int) -> bytes:
        """Return `size` fresh bytes. The label says what for, as in ``b_u``."""
        ...


class SystemEntropy:
    """The operating system's generator; the label is not used."""

    def draw(self, label: str, size: int) -> bytes:
        """Return `size` bytes of ``os.urandom``."""
        del label
        return os.urandom(size)  # noqa: TID251 the one place secrets come from


class SeededEntropy:
    """Deterministic draws for simulations, tests and vectors; never for production.

    The k-th draw under a label is SHAKE-256 over (seed, label, k).
    """

    def __init__(self, seed: bytes) -> None:
        """Derive all draws from `seed`, any length."""
        self._seed = hashlib.sha256(seed).digest()
        self._drawn: collections.Counter[str] = collections.Counter()

    def __repr__(self) -> str:
        """Show no seed."""
        return "SeededEntropy(<redacted>)"

    def draw(self, label: str, size: int) -> bytes:
        """Return the next `size` bytes of the stream named `label`."""
        count = self._drawn[label]
        self._drawn[label] += 1
        name = label.encode("ascii")
        prefix = (
            self._seed + count.to_bytes(8, "little") + len(name).to_bytes(4, "little")
        )
        return hashlib.shake_256(prefix + name).digest(size)
