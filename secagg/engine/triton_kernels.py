"""The GPU's kernel: expand ChaCha20 in registers and add, all seeds in one pass.

Spec section 6. A lane of a program owns one ChaCha20 block of the window: the block's
16 words and 16 sums of 64 bits stay in its registers, and the accumulator is read and
written once, however many seeds there are.

A word that the map into GF(p_w) rejects is drawn again where it stands, from lanes 1
to 8. At w = 16 that holds up a warp of 32 blocks one time in nine, above w = 18 hardly
ever; so there is no list of rejections that could overflow, and nothing to put right.

The same source runs on the GPU and, with ``TRITON_INTERPRET=1`` set before this module
is imported, in numpy. `secagg.engine.triton` prepares the seeds and launches.
"""

from __future__ import annotations

from typing import Final

import triton
import triton.language as tl

ROW: Final = 12
"""Words of a seed's row: 8 of the key, its tag, its cut, its flip, one unused.

The cut is 2^w - 1, or 0 in a row that only fills up the table: it adds nothing, and
nothing of it is rejected. The flip is 0 for a mask that is added and 2^w - 1 for one
that is taken away: e xor (2^w - 1) is (2^w - 1) - e, whose constant part the host
puts into `base`.
"""

# The kernels see constexpr alone.
_ROW = tl.constexpr(ROW)
_TAG = tl.constexpr(8)
_CUT = tl.constexpr(9)
_FLIP = tl.constexpr(10)

_WORDS = tl.constexpr(16)
_LANES = tl.constexpr(8)

_SCALARS: Final = ["count", "first", "skip", "size", "base"]


@triton.jit
def _rotated(x: tl.tensor, by: tl.constexpr) -> tl.tensor:
    # One funnel shift on the GPU.
    return (x << by) | (x >> (32 - by))


@triton.jit
def _quarter(a: tl.tensor, b: tl.tensor, c: tl.tensor, d: tl.tensor) -> tl.tensor:
    """RFC 8439 2.1; uint32 wraps as it must."""
    a = a + b
    d = _rotated(d ^ a, 16)
    c = c + d
    b = _rotated(b ^ c, 12)
    a = a + b
    d = _rotated(d ^ a, 8)
    c = c + d
    b = _rotated(b ^ c, 7)
    return a, b, c, d


@triton.jit
def double_round(x: tl.tuple) -> tl.tuple:
    """RFC 8439 2.3: the columns, then the diagonals."""
    x0, x4, x8, x12 = _quarter(x[0], x[4], x[8], x[12])
    x1, x5, x9, x13 = _quarter(x[1], x[5], x[9], x[13])
    x2, x6, x10, x14 = _quarter(x[2], x[6], x[10], x[14])
    x3, x7, x11, x15 = _quarter(x[3], x[7], x[11], x[15])
    x0, x5, x10, x15 = _quarter(x0, x5, x10, x15)
    x1, x6, x11, x12 = _quarter(x1, x6, x11, x12)
    x2, x7, x8, x13 = _quarter(x2, x7, x8, x13)
    x3, x4, x9, x14 = _quarter(x3, x4, x9, x14)
    return x0, x1, x2, x3, x4, x5, x6, x7, x8, x9, x10, x11, x12, x13, x14, x15


@triton.jit
def _sums(x: tl.tuple, y: tl.tuple) -> tl.tuple:
    z = ()
    for i in tl.static_range(_WORDS):
        z = z + (x[i] + y[i],)
    return z


@triton.jit
def block_words(row: tl.tensor, block: tl.tensor, lane: tl.tensor) -> tl.tuple:
    """Return the 16 words of ChaCha20 blocks.

    Args:
        row: pointers to seeds' rows, shape (s, 1).
        block: positions // 16, int64, shape (1, k).
        lane: 0..8.

    Returns:
        16 tensors of uint32, shape (s, k).
    """
    blk = (block & 0xFFFFFFF).to(tl.uint32)
    seg = (block >> 28).to(tl.uint32)
    all_zero = (tl.load(row) ^ tl.load(row)) + (blk ^ blk)
    start = (
        all_zero + 0x61707865,
        all_zero + 0x3320646E,
        all_zero + 0x79622D32,
        all_zero + 0x6B206574,
    )
    for i in tl.static_range(8):
        start = start + (all_zero + tl.load(row + i),)
    start = start + (
        all_zero + blk,
        all_zero + seg,
        all_zero + lane,
        all_zero + tl.load(row + _TAG),
    )
    x = start
    for _ in range(10):
        x = double_round(x)
    return _sums(x, start)


@triton.jit
def _cut(x: tl.tuple, cut: tl.tensor) -> tl.tuple:
    e = ()
    for i in tl.static_range(_WORDS):
        e = e + ((x[i] & cut),)
    return e


@triton.jit
def _any_rejected(e: tl.tuple, p: tl.constexpr) -> tl.tensor:
    over = e[0] >= p
    for i in tl.static_range(1, _WORDS):
        over = over | (e[i] >= p)
    return tl.max(over.to(tl.int32)) > 0


@triton.jit
def _redrawn(
    e: tl.tuple, cut: tl.tensor, row: tl.tensor, block: tl.tensor, p: tl.constexpr
) -> tl.tuple:
    """Put the first element below p of lanes 1 to 8 in a rejected one's stead."""
    lane = 1
    while (lane <= _LANES) & _any_rejected(e, p):
        x = block_words(row, block, lane)
        drawn = ()
        for i in tl.static_range(_WORDS):
            drawn = drawn + (tl.where(e[i] >= p, x[i] & cut, e[i]),)
        e = drawn
        lane += 1
    # What lane 8 rejected as well is reduced: below 2^w < 2 p.
    reduced = ()
    for i in tl.static_range(_WORDS):
        reduced = reduced + (tl.where(e[i] >= p, e[i] - p, e[i]),)
    return reduced


@triton.jit(do_not_specialize=_SCALARS)
def accumulate(
    acc: tl.tensor,
    table: tl.tensor,
    count: tl.int32,
    first: tl.int64,
    skip: tl.int32,
    size: tl.int64,
    base: tl.int64,
    p: tl.constexpr,
    side: tl.constexpr,
    blocks: tl.constexpr,
) -> None:
    """Add the masks of a table of seeds into an accumulator.

    Args:
        acc: elements in [0, p), uint32, shape (size,).
        table: rows of seeds, uint32, shape (count, ROW).
        count: rows, a multiple of `side`.
        first: the ChaCha20 block in which the window starts, start // 16.
        skip: words of it before the window, start % 16.
        size: elements of the window.
        base: -(2^w - 1) a seed that is taken away, mod p.
        p: the prime p_w.
        side: seeds handled side by side, a power of two; 1 on a GPU.
        blocks: ChaCha20 blocks a program, a power of two.
    """
    place = tl.program_id(0).to(tl.int64) * blocks + tl.arange(0, blocks)
    block = (first + place)[None, :]
    sums = ()
    for _ in tl.static_range(_WORDS):
        sums = sums + (tl.zeros((side, blocks), tl.uint64),)
    for k in range(0, count, side):
        row = table + (k + tl.arange(0, side)[:, None]) * _ROW
        cut = tl.load(row + _CUT)
        flip = tl.load(row + _FLIP)
        e = _cut(block_words(row, block, 0), cut)
        if _any_rejected(e, p):
            e = _redrawn(e, cut, row, block, p)
        lazy = ()
        for i in tl.static_range(_WORDS):
            # Terms below 2^32, with acc and base count + 2 of them: below 2^64.
            lazy = lazy + (sums[i] + (e[i] ^ flip),)
        sums = lazy
    for i in tl.static_range(_WORDS):
        at = place * _WORDS + i - skip
        inside = (at >= 0) & (at < size)
        total = tl.sum(sums[i], axis=0) + tl.load(acc + at, mask=inside, other=0)
        tl.store(acc + at, ((total + base) % p).to(tl.uint32), mask=inside)
