"""Labelled draws: the only form that randomness has (vectors/README.md)."""

from __future__ import annotations

import hashlib

from protocol_spec.model.encoding import lp
from protocol_spec.model.field import Q


class Entropy:
    """Draws from SHAKE-256 over (seed, label, count), kept by label.

    Attributes:
        drawn: what was drawn, by label, in order; a vector file stores it.
    """

    def __init__(self, seed: str) -> None:
        """Derive every draw from the text `seed`."""
        self.seed = seed
        self.drawn: dict[str, list[bytes]] = {}

    def draw(self, label: str, size: int = 32) -> bytes:
        """The next `size` bytes under `label`."""
        earlier = self.drawn.setdefault(label, [])
        text = lp(self.seed, label, len(earlier).to_bytes(8, "little"))
        earlier.append(hashlib.shake_256(text).digest(size))
        return earlier[-1]

    def scalar(self, label: str) -> int:
        """An integer in [0, Q), 32 bytes a draw, redrawn if >= Q (spec 3.2)."""
        while True:
            value = int.from_bytes(self.draw(label), "little")
            if value < Q:
                return value
