"""The keystream: ChaCha20 words by position. Spec section 6.

Word i of a stream depends on (key, tag, lane, i) alone. So any window equals the slice
of the whole, and threads, devices and hosts take windows of their own and share no
state.

The ChaCha20 block that holds word i has the state words 12..15 = (blk, seg, lane, tag),
where seg = i >> 32 and blk = (i & 0xffffffff) >> 4 < 2^28; the 32-bit counter is
therefore never near its end, and a cipher never crosses a segment.
"""

from __future__ import annotations

import enum
import struct
import sys
from typing import Final, Protocol

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from numpy.typing import NDArray

from secagg import errors, kernels

KEY_SIZE: Final = 32
LANES: Final = 8
"""Lanes 1..8 are asked in turn for a word that lane 0 rejected."""

SEGMENT: Final = 1 << 32
"""Words per segment; a segment has a nonce of its own."""

POSITIONS: Final = 1 << 64
"""Positions run from 0 to 2^64 - 1."""

_BLOCK_WORDS: Final = 16
_WORD: Final = 4

# The plaintext of the cipher. 256 KiB stays in the L2 cache beside the output.
_ZEROS: Final = memoryview(bytes(1 << 18))

# From here on numpy finds scattered words faster than OpenSSL does, and compiled loops
# for any number; measured.
_MANY: Final = 48


class Tag(enum.IntEnum):
    """What a stream is for: the last nonce word, ``KSM1`` to ``KSM6``."""

    PAIR = 0x4B534D31
    SELF = 0x4B534D32
    ROUND = 0x4B534D33
    NOISE = 0x4B534D34
    GRAPH = 0x4B534D35
    ROTATION = 0x4B534D36


class _Encryptor(Protocol):
    def update_into(self, data: memoryview, buf: memoryview, /) -> int: ...


class Keystream:
    """The words of one lane, in order, from a position on.

    Made once and read in pieces: setting up a cipher costs as much as 6,000 words.
    """

    __slots__ = ("_cipher", "_key", "_lane", "_left", "_next", "_tag")

    def __init__(self, key: bytes, tag: Tag, start: int, lane: int = 0) -> None:
        """Stand before word `start`.

        Args:
            key: 32 bytes.
            tag: what the stream is for.
            start: 0 to 2^64, need not be a multiple of a block.
            lane: 0..8.

        Raises:
            ParameterError: a value is outside its range.
        """
        if len(key) != KEY_SIZE:
            raise errors.ParameterError(f"a stream key has 32 bytes, not {len(key)}")
        if not 0 <= lane <= LANES:
            raise errors.ParameterError(f"lane = {lane} is outside 0..{LANES}")
        check_window(start, start)
        self._key = key
        self._tag = tag
        self._lane = lane
        self._next = start
        self._cipher: _Encryptor | None = None
        # Words that the cipher still gives: to the end of its segment.
        self._left = 0

    @property
    def position(self) -> int:
        """The position of the next word."""
        return self._next

    def __repr__(self) -> str:
        """Show the place, never the key."""
        return f"Keystream(<redacted>, {self._tag.name}, next={self._next})"

    def fill(self, out: NDArray[np.uint32]) -> None:
        """Write the next ``len(out)`` words into `out`.

        Args:
            out: contiguous, shape (k,).

        Raises:
            ParameterError: fewer than k positions are left below 2^64.
        """
        if self._next + len(out) > POSITIONS:
            check_window(self._next, self._next + len(out))
        view = out.data.cast("B")
        for begin in range(0, len(view), len(_ZEROS)):
            self._write(view[begin : begin + len(_ZEROS)])
        if sys.byteorder == "big":
            out.byteswap(inplace=True)

    def _write(self, out: memoryview) -> None:
        """Encrypt as many zeros into `out`, at most all of them."""
        size = len(out) // _WORD
        if self._cipher is not None and size <= self._left:
            self._cipher.update_into(_ZEROS[: len(out)], out)
            self._left -= size
            self._next += size
            return
        if self._left == 0:
            self._cipher = self._open()
            self._left = SEGMENT - self._next % SEGMENT
        # At most twice: no piece is as long as a segment.
        here = min(size, self._left) * _WORD
        self._write(out[:here])
        if here < len(out):
            self._write(out[here:])

    def _open(self) -> _Encryptor:
        """Return a cipher that stands before word `_next` of its segment."""
        segment, offset = divmod(self._next, SEGMENT)
        block, skip = divmod(offset, _BLOCK_WORDS)
        nonce = struct.pack("<4I", block, segment, self._lane, self._tag)
        cipher = Cipher(algorithms.ChaCha20(self._key, nonce), mode=None).encryptor()
        cipher.update(_ZEROS[: skip * _WORD])
        return cipher


def words(
    key: bytes, tag: Tag, start: int, stop: int, lane: int = 0
) -> NDArray[np.uint32]:
    """Return the raw 32-bit words [start, stop) of one lane.

    Args:
        key: 32 bytes.
        tag: what the stream is for.
        start: first position, 0 <= start <= stop.
        stop: end of the window, at most 2^64.
        lane: 0..8.

    Returns:
        Words, shape (stop - start,).

    Raises:
        ParameterError: a value is outside its range.
    """
    check_window(start, stop)
    out = np.empty(stop - start, dtype=np.uint32)
    Keystream(key, tag, start, lane).fill(out)
    return out


def scattered_words(
    keys: NDArray[np.uint32],
    tags: NDArray[np.uint32],
    positions: NDArray[np.uint64],
    lane: int,
) -> NDArray[np.uint32]:
    """Return one word each of k streams.

    Args:
        keys: as little endian words, shape (k, 8).
        tags: shape (k,).
        positions: shape (k,).
        lane: 0..8, the same for all.

    Returns:
        Words, shape (k,).
    """
    last = np.empty((4, len(positions)), dtype=np.uint32)
    last[0] = (positions & np.uint64(SEGMENT - 1)) >> np.uint64(4)
    last[1] = positions >> np.uint64(32)
    last[2] = lane
    last[3] = tags
    places = positions % np.uint64(_BLOCK_WORDS)
    if len(positions) >= _MANY or kernels.compiled_loops() is not None:
        return kernels.loops().chacha_words(keys, last, places.astype(np.intp))
    return np.array(
        [
            _word(key.tobytes(), nonce.tobytes(), place)
            for key, nonce, place in zip(
                keys.astype("<u4"), last.T.astype("<u4"), places.tolist(), strict=True
            )
        ],
        dtype=np.uint32,
    )


def check_window(start: int, stop: int) -> None:
    """Refuse a window that is not within the positions.

    Raises:
        ParameterError: not 0 <= start <= stop <= 2^64.
    """
    if not 0 <= start <= stop <= POSITIONS:
        raise errors.ParameterError(
            f"window [{start}, {stop}) is not within the positions 0..2^64"
        )


def _word(key: bytes, nonce: bytes, place: int) -> int:
    cipher = Cipher(algorithms.ChaCha20(key, nonce), mode=None).encryptor()
    block = cipher.update(_ZEROS[: _BLOCK_WORDS * _WORD])
    return int.from_bytes(block[place * _WORD : (place + 1) * _WORD], "little")
