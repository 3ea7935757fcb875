"""The keystream: ChaCha20 words by position, mapped into GF(p_w) (spec 6)."""

from __future__ import annotations

import functools

from protocol_spec.model.aead import chacha20_block
from protocol_spec.model.field import prime

PAIR, SELF, ROUND, NOISE, GRAPH, ROTATION = (0x4B534D31 + i for i in range(6))
LANES = 8


@functools.lru_cache(maxsize=4096)
def _block(key: bytes, tag: int, seg: int, blk: int, lane: int) -> list[int]:
    return chacha20_block(key, (blk, seg, lane, tag))


def word(key: bytes, tag: int, i: int, lane: int = 0) -> int:
    """Word i of a lane: block (blk, seg, lane, tag), place pos."""
    seg, rest = i >> 32, i % 2**32
    return _block(key, tag, seg, rest >> 4, lane)[i % 16]


def map_words(words: list[int], w: int) -> int:
    """The element that the words of lanes 0..8 at one place give."""
    p = prime(w)
    for candidate in words:
        if candidate % (1 << w) < p:
            return candidate % (1 << w)
    return words[-1] % (1 << w) % p


def element(key: bytes, tag: int, w: int, i: int) -> int:
    """Element i of the stream in GF(p_w)."""
    first = word(key, tag, i) % (1 << w)
    if first < prime(w):
        return first
    return map_words([word(key, tag, i, lane) for lane in range(LANES + 1)], w)


@functools.lru_cache(maxsize=256)
def stream(key: bytes, tag: int, w: int, length: int) -> tuple[int, ...]:
    """Elements 0..length - 1."""
    return tuple(element(key, tag, w, i) for i in range(length))
