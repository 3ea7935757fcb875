"""Kernels beside the masks': stochastic rounding, and packing. Spec sections 5, 6, 7.1.

Whole numbers alone: what is floating point comes before, one operation of torch after
the other, so no compiler can contract any of it.
"""

from __future__ import annotations

import triton
import triton.language as tl

from secagg.engine.triton_kernels import block_words

_WORDS = tl.constexpr(16)


@triton.jit(do_not_specialize=["first", "size"])
def round_off(
    out: tl.tensor,
    scaled: tl.tensor,
    seed: tl.tensor,
    first: tl.int64,
    size: tl.int64,
    p: tl.constexpr,
    side: tl.constexpr,
    blocks: tl.constexpr,
) -> None:
    """Write floor((V + 2^32 - 1 - word) / 2^32) mod p: `QuantizedUpdate._round`.

    Args:
        out: uint32, shape (size,).
        scaled: V = ceil(2^32 v), int64, |V| < 2^56, shape (size,).
        seed: the row of the rounding stream, uint32, shape (1, ROW).
        first: the ChaCha20 block in which the window starts, on its first word.
        size: coordinates of the window.
        p: the prime p_w, above 2 x_max.
        side: 1; a row of coordinates has one stream.
        blocks: ChaCha20 blocks a program, a power of two.
    """
    place = (tl.program_id(0).to(tl.int64) * blocks + tl.arange(0, blocks))[None, :]
    words = block_words(seed + tl.zeros((side, 1), tl.int32), first + place, 0)
    for i in tl.static_range(_WORDS):
        at = place * _WORDS + i
        inside = at < size
        v = tl.load(scaled + at, mask=inside, other=0)
        # The shift of a negative number rounds down, as floor does.
        x = (v + (words[i] ^ 0xFFFFFFFF).to(tl.int64)) >> 32
        tl.store(out + at, tl.where(x < 0, x + p, x).to(tl.uint32), mask=inside)


@triton.jit(do_not_specialize=["size", "count"])
def pack(
    out: tl.tensor,
    elements: tl.tensor,
    size: tl.int64,
    count: tl.int64,
    width: tl.constexpr,
    side: tl.constexpr,
    blocks: tl.constexpr,
) -> None:
    """Write elements at exactly w bits, lowest bit first: `packing.pack`.

    A word of 32 bits holds parts of at most three elements, as w >= 16.

    Args:
        out: little endian words, uint32, shape (count,).
        elements: below 2^w, uint32, shape (size,).
        size: how many elements.
        count: words, ceil(size w / 32); bits past the last element become 0.
        width: w, 16..32.
        side: 1.
        blocks: words a program, a power of two.
    """
    j = tl.program_id(0).to(tl.int64) * blocks + tl.arange(0, blocks)
    i = j * 32 // width
    offset = j * 32 - i * width
    word = tl.load(elements + i, mask=i < size, other=0).to(tl.uint64) >> offset
    for k in tl.static_range(1, 3):
        part = tl.load(elements + i + k, mask=i + k < size, other=0).to(tl.uint64)
        place = k * width - offset
        # A shift by 64, which is undefined, is not made.
        shifted = part << (place & 63)
        word = word | tl.where(place < 32, shifted, 0)
    tl.store(out + j, (word & 0xFFFFFFFF).to(tl.uint32), mask=j < count)
