"""The sum of many masks over a window, compiled: the whole of a thread's work.

Expanding, cutting, drawing again what is rejected and adding mod p, with no return to
the interpreter: two threads never wait for each other. Spec section 6.

Words come in groups of sixteen ChaCha20 blocks, as tables of `compiled_blocks`: row k
holds word k of each block. The sums are turned into that order once for all masks,
which is cheaper than to turn every mask's words into theirs.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import types

from secagg.kernels.compiled_blocks import (
    LANES,
    SEED_WORDS,
    WORDS,
    add_blocks,
    draw_words,
)
from secagg.kernels.compiler import compiled, inlined

__all__ = ["GROUP", "SCRATCH", "SEED_WORDS", "add_masks"]

_uint32: Final = np.uint32
_uint64: Final = np.uint64

GROUP: Final = LANES * WORDS
"""Words taken at a time; a segment's end is also a group's."""

SCRATCH: Final = 3 * GROUP
"""Words of scratch: tables of what is drawn, of what is drawn again, and of sums."""

_LAST_LANE: Final = 8
"""After it a word is reduced, and not drawn again."""

_VECTOR: Final = types.Array(types.uint32, 1, "C")
_TABLE: Final = types.Array(types.uint32, 2, "C")
_SIGNS: Final = types.Array(types.int8, 1, "C")


@inlined
def _redraw(
    seeds: Any,
    k: Any,
    block: Any,
    segment: Any,
    sums: Any,
    words: Any,
    drawn: Any,
    plus: Any,
    cut: Any,
    p: Any,
) -> None:
    """Add what lanes 1 to 8 have at the places of words that were rejected."""
    for lane in range(1, _LAST_LANE + 1):
        draw_words(seeds, k, block, segment, _uint32(lane), drawn)
        rejected = False
        for i in range(GROUP):
            if words[i] < p:
                continue
            element = _uint32(drawn[i] & cut)
            if lane == _LAST_LANE and element >= p:
                element = _uint32(element - p)
            words[i] = element
            if element >= p:
                rejected = True
                continue
            taken = _uint32(p - element) if plus else element
            after = _uint32(sums[i] - taken)
            sums[i] = _uint32(after + p) if sums[i] < taken else after
        if not rejected:
            return


@inlined
def _turn(table: Any, flat: Any) -> None:
    """Write a table's columns one after the other."""
    for i in range(LANES):
        for k in range(WORDS):
            flat[WORDS * i + k] = table[LANES * k + i]


@inlined
def _turn_back(flat: Any, table: Any) -> None:
    """Undo `_turn`."""
    for k in range(WORDS):
        for i in range(LANES):
            table[LANES * k + i] = flat[WORDS * i + k]


@compiled(
    types.void,
    [_VECTOR, _TABLE, _SIGNS, types.uint64, types.uint32, types.uint32, _TABLE],
)
def add_masks(
    sums: Any, seeds: Any, signs: Any, start: Any, cut: Any, p: Any, scratch: Any
) -> None:
    """Add sum of sign * PRG(seed)[start : start + k] into sums mod p.

    Args:
        sums: elements in [0, p), shape (k,); changed in place.
        seeds: the eight words of each key and its tag, shape (s, 9).
        signs: +1 or -1, shape (s,).
        start: position of the first element; start + k is at most 2^64.
        cut: 2^w - 1.
        p: p_w; any number in (2^(w - 1), 2^w).
        scratch: shape (3, GROUP); best from a cache line's start on.
    """
    words, drawn, held = scratch[0], scratch[1], scratch[2]
    size = len(sums)
    skip = np.intp(start % _uint64(GROUP))
    first = start - _uint64(skip)
    for begin in range(-skip, size, GROUP):
        low, high = max(begin, 0), min(begin + GROUP, size)
        words[low - begin : high - begin] = sums[low:high]
        _turn_back(words, held)
        segment = _uint32(first >> _uint64(32))
        block = _uint32(_uint32(first) >> _uint32(4))
        for k in range(len(signs)):
            plus = signs[k] > 0
            flip = _uint32(0xFFFFFFFF) if plus else _uint32(0)
            one = _uint32(p + _uint32(1)) if plus else _uint32(0)
            if add_blocks(
                seeds, k, block, segment, _uint32(0), held, words, cut, p, flip, one
            ):
                _redraw(seeds, k, block, segment, held, words, drawn, plus, cut, p)
        _turn(held, words)
        sums[low:high] = words[low - begin : high - begin]
        first += _uint64(GROUP)
