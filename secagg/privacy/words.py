"""Where the samplers' randomness comes from: keystream words by position. Spec 6, 10.

The words of tag `noise` of one key are read in order. Each of them is also the first 32
bits of a uniform real in [0, 1), whose further bits are the words at the same position
in lanes 1..8. A sampler that meets a tie looks them up, without moving the order in
which words are read. So a sample depends on the key and its position alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from secagg.crypto import prg

LANES = prg.LANES


class WordSource:
    """The noise keystream of one key, read once from its beginning."""

    __slots__ = ("_key", "_stream")

    def __init__(self, key: bytes) -> None:
        """Stand before the first word.

        Args:
            key: 32 bytes, the PRG key of the label ``secagg/1/noise`` (spec 3.5).

        Raises:
            ParameterError: `key` has another length.
        """
        self._stream = prg.Keystream(key, prg.Tag.NOISE, 0)
        self._key = key

    def __repr__(self) -> str:
        """Show no key."""
        return "WordSource(<redacted>)"

    def read(self, count: int) -> NDArray[np.uint32]:
        """Return the next `count` words of lane 0, shape (count,)."""
        out = np.empty(count, dtype=np.uint32)
        self._stream.fill(out)
        return out

    def word(self, position: int, lane: int) -> int:
        """Return one word of any lane 0..8; what `read` returns next stays the same."""
        found = prg.words(self._key, prg.Tag.NOISE, position, position + 1, lane)
        return int(found[0])
