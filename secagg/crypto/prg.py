"""The keystream: ChaCha20 words by position, and their exact map into GF(p_w). Spec 6.

Element i of a stream depends on (key, tag, i) alone. So any window equals the slice of
the whole, and threads, devices and hosts take windows of their own and share no state.

The ChaCha20 block that holds element i has the counter words 12..15 =
(blk, seg, lane, tag), where seg = i >> 32 and blk = (i & 0xffffffff) >> 4 < 2^28; the
32-bit counter is therefore never near its end, and a cipher never crosses a segment.
"""

from __future__ import annotations

import enum
import struct
import sys
from collections.abc import Iterator
from typing import Final, Protocol

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from numpy.typing import NDArray

from secagg import errors, field

KEY_SIZE: Final = 32
LANES: Final = 8
"""Lanes 1..8 are asked in turn for a word that lane 0 rejected."""

SEGMENT: Final = 1 << 32
"""Elements per segment; a segment has a nonce of its own."""

POSITIONS: Final = 1 << 64
"""Positions run from 0 to 2^64 - 1."""

_BLOCK_WORDS: Final = 16
_WORD: Final = 4

# The plaintext of the cipher. 256 KiB stays in the L2 cache beside the output.
_ZEROS: Final = memoryview(bytes(1 << 18))


class Tag(enum.IntEnum):
    """What a stream is for: the last nonce word, ``KSM1`` to ``KSM4``."""

    PAIR = 0x4B534D31
    SELF = 0x4B534D32
    ROUND = 0x4B534D33
    NOISE = 0x4B534D34


class _Encryptor(Protocol):
    def update_into(self, data: memoryview, buf: memoryview, /) -> int: ...


class Keystream:
    """The words of one lane, in order, from a position on.

    Made once and read in pieces: setting up a cipher costs as much as 4,000 words.
    """

    __slots__ = ("_cipher", "_key", "_lane", "_next", "_tag")

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
        _check_key(key)
        _check_window(start, start)
        if not 0 <= lane <= LANES:
            raise errors.ParameterError(f"lane = {lane} is outside 0..{LANES}")
        self._key = key
        self._tag = tag
        self._lane = lane
        self._next = start
        self._cipher = self._open()

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
        _check_window(self._next, self._next + len(out))
        done = 0
        while done < len(out):
            if self._next % SEGMENT == 0:
                self._cipher = self._open()
            take = min(len(out) - done, SEGMENT - self._next % SEGMENT)
            self._write(out[done : done + take].data.cast("B"))
            done += take
            self._next += take
        if sys.byteorder == "big":
            out.byteswap(inplace=True)

    def _open(self) -> _Encryptor:
        """Return a cipher that stands before word `_next` of its segment."""
        segment, offset = divmod(self._next, SEGMENT)
        block, skip = divmod(offset, _BLOCK_WORDS)
        # 2^64 is a legal end of a window; no word is ever read there.
        nonce = _nonce(block, segment % SEGMENT, self._lane, self._tag)
        cipher = Cipher(algorithms.ChaCha20(self._key, nonce), mode=None).encryptor()
        cipher.update(_ZEROS[: skip * _WORD])
        return cipher

    def _write(self, out: memoryview) -> None:
        """Encrypt zeros into `out`, which lies within one segment."""
        for begin in range(0, len(out), len(_ZEROS)):
            piece = out[begin : begin + len(_ZEROS)]
            self._cipher.update_into(_ZEROS[: len(piece)], piece)


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
    _check_window(start, stop)
    out = np.empty(stop - start, dtype=np.uint32)
    Keystream(key, tag, start, lane).fill(out)
    return out


def elements(
    key: bytes, tag: Tag, width: int, start: int, stop: int
) -> NDArray[np.uint32]:
    """Return the stream's elements [start, stop) of GF(p_w), exactly uniform.

    The low w bits of the word of lane 0 are taken if they are below p_w, else those of
    the first lane 1..8 that are; after lane 8 they are reduced, which happens to fewer
    than one element in 2^96 even at w = 16.

    Args:
        key: 32 bytes.
        tag: what the stream is for.
        width: w, 16..32.
        start: first position, 0 <= start <= stop.
        stop: end of the window, at most 2^64.

    Returns:
        Elements in [0, p_w), shape (stop - start,).

    Raises:
        ParameterError: a value is outside its range.
    """
    p = field.prime(width)
    out = words(key, tag, start, stop)
    out &= low_bits(width)
    rejected = np.flatnonzero(out >= p)
    for index, element in zip(
        rejected, replacements(key, tag, width, start, rejected), strict=True
    ):
        out[index] = element
    return out


def low_bits(width: int) -> np.uint32:
    """Return 2^w - 1, the mask that cuts a word to w bits."""
    return np.uint32((1 << width) - 1)


def replacements(
    key: bytes, tag: Tag, width: int, start: int, rejected: NDArray[np.intp]
) -> Iterator[int]:
    """Yield the elements at positions whose word of lane 0 was rejected.

    Args:
        key: 32 bytes.
        tag: what the stream is for.
        width: w, 16..32.
        start: position of index 0.
        rejected: indices from `start` on, shape (k,).
    """
    if len(rejected):
        p = field.prime(width)
        lanes = _SingleWords(key, tag)
        for index in rejected:
            yield _replacement(lanes, start + int(index), width, p)


class _SingleWords:
    """Words of any lane one at a time; the nonce moves, the key stays."""

    def __init__(self, key: bytes, tag: Tag) -> None:
        self._tag = tag
        nonce = _nonce(0, 0, 1, tag)
        self._cipher = Cipher(algorithms.ChaCha20(key, nonce), mode=None).encryptor()
        self._block = memoryview(bytearray(_BLOCK_WORDS * _WORD))

    def word(self, position: int, lane: int) -> int:
        segment, offset = divmod(position, SEGMENT)
        block, place = divmod(offset, _BLOCK_WORDS)
        self._cipher.reset_nonce(_nonce(block, segment, lane, self._tag))
        self._cipher.update_into(_ZEROS[: len(self._block)], self._block)
        found = self._block[place * _WORD : (place + 1) * _WORD]
        return int.from_bytes(found, "little")


def _replacement(lanes: _SingleWords, position: int, width: int, p: int) -> int:
    cut = (1 << width) - 1
    element = p
    for lane in range(1, LANES + 1):
        element = lanes.word(position, lane) & cut
        if element < p:
            break
    return element % p


def _nonce(block: int, segment: int, lane: int, tag: Tag) -> bytes:
    """Return state words 12..15 as the cipher takes them: counter first."""
    return struct.pack("<4I", block, segment, lane, tag)


def _check_key(key: bytes) -> None:
    if len(key) != KEY_SIZE:
        raise errors.ParameterError(f"a stream key has 32 bytes, not {len(key)}")


def _check_window(start: int, stop: int) -> None:
    if not 0 <= start <= stop <= POSITIONS:
        raise errors.ParameterError(
            f"window [{start}, {stop}) is not within the positions 0..2^64"
        )
