"""Sixteen ChaCha20 blocks at once, in the CPU's vector registers.

A table holds sixteen states: row k is word k of each, so that every step of RFC 8439 is
one operation on rows. Compiled from loops over such a table, the rows go through memory
at every step and the registers are filled by half; so the rounds are given to LLVM as
vectors. A row is one register of AVX-512; LLVM splits it where they are narrower.

numba's cache on the disk looks at the calling module alone: touch `compiled_masks` when
this one changes.

Raises ImportError where numba is absent.
"""

from __future__ import annotations

from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.core import cgutils

from secagg.kernels.compiler import all_lanes, data_of, emitted

LANES: Final = 16
"""States side by side."""

WORDS: Final = 16
"""Words of a state."""

SEED_WORDS: Final = 9
"""Eight of a key and its tag."""

# "expand 32-byte k".
_CONSTANTS: Final = (0x61707865, 0x3320646E, 0x79622D32, 0x6B206574)

_WORD: Final = ir.IntType(32)
_ROW: Final = ir.VectorType(_WORD, LANES)
_DOUBLE_ROUNDS: Final = 10

# It has no types.
_tools: Any = cgutils

# Of a word; a table need not begin with a cache line, but is read faster if it does.
_ALIGNED: Final = 4


@emitted
def draw_words(
    _context: Any, seeds: Any, k: Any, block: Any, segment: Any, lane: Any, words: Any
) -> Any:
    """Write the words of sixteen blocks of a stream.

    Args:
        seeds: the eight words of each key and its tag, uint32, shape (s, 9).
        k: which of them.
        block: the first block's number in its segment.
        segment: the same for all sixteen.
        lane: 0..8.
        words: a table, uint32, contiguous.
    """
    number: Any = types.uint32
    return types.void(seeds, types.intp, number, number, number, words), _drawn


def _drawn(context: Any, build: Any, signature: Any, given: Any) -> Any:
    before = _states(context, build, signature, given)
    rows = _rows(context, build, signature, given, 5)
    for row, x, y in zip(rows, before, _rounds(build, before), strict=True):
        build.store(build.add(x, y), row, align=_ALIGNED)
    return context.get_dummy_value()


@emitted
def add_blocks(
    _context: Any,
    seeds: Any,
    k: Any,
    block: Any,
    segment: Any,
    lane: Any,
    sums: Any,
    words: Any,
    cut: Any,
    p: Any,
    flip: Any,
    one: Any,
) -> Any:
    """Add the elements of sixteen blocks into sums mod p, or take them away.

    Args:
        seeds: as for `draw_words`, and so on up to `lane`.
        k: see there.
        block: see there.
        segment: see there.
        lane: see there.
        sums: a table of elements in [0, p), uint32, contiguous; changed in place.
        words: a table that is given the words once cut. One not below p counts as 0.
        cut: 2^w - 1.
        p: p_w.
        flip: 2^32 - 1 to add, 0 to take away.
        one: p + 1 to add, 0 to take away: then (e xor flip) + one is p - e or e, which
            is what the sums are lessened by.

    Returns:
        0 if every word was below p once cut.
    """
    number: Any = types.uint32
    numbers = [number] * 4
    blocks = [types.intp, number, number, number]
    return number(seeds, *blocks, sums, words, *numbers), _added


def _added(context: Any, build: Any, signature: Any, given: Any) -> Any:
    before = _states(context, build, signature, given)
    after = _rounds(build, before)
    sums = _rows(context, build, signature, given, 5)
    words = _rows(context, build, signature, given, 6)
    cut, p, flip, one = (all_lanes(build, number, LANES) for number in given[7:])
    zero = ir.Constant(_ROW, [0] * LANES)
    rejected = ir.Constant(ir.VectorType(ir.IntType(1), LANES), [0] * LANES)
    for sum_, word, x, y in zip(sums, words, before, after, strict=True):
        element = build.and_(build.add(x, y), cut)
        build.store(element, word, align=_ALIGNED)
        over = build.icmp_unsigned(">=", element, p)
        rejected = build.or_(rejected, over)
        counted = build.select(over, zero, element)
        lessened = build.add(build.xor(counted, flip), one)
        old = build.load(sum_, align=_ALIGNED)
        new = build.sub(old, lessened)
        wrapped = build.icmp_unsigned("<", old, lessened)
        build.store(build.select(wrapped, build.add(new, p), new), sum_, align=_ALIGNED)
    return build.zext(build.bitcast(rejected, ir.IntType(LANES)), _WORD)


def _states(context: Any, build: Any, signature: Any, given: Any) -> list[Any]:
    """Return the rows of RFC 8439 2.3 before the rounds, with the nonce of spec 6."""
    seeds = data_of(context, build, signature, given, 0)
    k, block, segment, lane = given[1:5]
    first = build.mul(k, ir.Constant(k.type, SEED_WORDS))
    key_and_tag = [
        build.load(build.gep(seeds, [build.add(first, ir.Constant(k.type, i))]))
        for i in range(SEED_WORDS)
    ]
    *key, tag = (all_lanes(build, word, LANES) for word in key_and_tag)
    counters = build.add(
        all_lanes(build, block, LANES), ir.Constant(_ROW, [*range(LANES)])
    )
    nonce = (all_lanes(build, word, LANES) for word in (segment, lane))
    constants = (ir.Constant(_ROW, [word] * LANES) for word in _CONSTANTS)
    return [*constants, *key, counters, *nonce, tag]


def _rows(
    context: Any, build: Any, signature: Any, given: Any, argument: int
) -> list[Any]:
    """Return pointers to the rows of a table that is an argument."""
    data = data_of(context, build, signature, given, argument)
    first = build.bitcast(data, _ROW.as_pointer())
    places = (ir.Constant(ir.IntType(64), k) for k in range(WORDS))
    return [build.gep(first, [place]) for place in places]


def _rounds(build: Any, before: list[Any]) -> list[Any]:
    """Return the rows after ten double rounds, a loop whose rows stay in registers."""
    entry = build.block
    loop, end = (build.append_basic_block(name) for name in ("rounds", "done"))
    build.branch(loop)
    build.position_at_end(loop)
    done = build.phi(_WORD)
    rows = [build.phi(_ROW) for _ in before]
    turned = _double_round(build, rows)
    now_done = build.add(done, ir.Constant(_WORD, 1))
    for value, first, next_ in zip(
        [done, *rows],
        [ir.Constant(_WORD, 0), *before],
        [now_done, *turned],
        strict=True,
    ):
        value.add_incoming(first, entry)
        value.add_incoming(next_, loop)
    more = build.icmp_unsigned("<", now_done, ir.Constant(_WORD, _DOUBLE_ROUNDS))
    build.cbranch(more, loop, end)
    build.position_at_end(end)
    return turned


def _double_round(build: Any, rows: list[Any]) -> list[Any]:
    """The columns, then the diagonals."""
    state = list(rows)
    for turn in (0, 1):
        for k in range(4):
            at = [4 * row + (k + turn * row) % 4 for row in range(4)]
            _quarter_round(build, state, *at)
    return state


def _quarter_round(
    build: Any, state: list[Any], a: int, b: int, c: int, d: int
) -> None:
    """RFC 8439 2.1."""
    for x, y, z, left in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        state[x] = build.add(state[x], state[y])
        mixed = build.xor(state[z], state[x])
        state[z] = _turned(build, mixed, left)


def _turned(build: Any, row: Any, left: int) -> Any:
    """Turn each word to the left: one instruction of AVX-512."""
    funnel = _tools.get_or_insert_function(
        build.module, ir.FunctionType(_ROW, [_ROW] * 3), f"llvm.fshl.v{LANES}i32"
    )
    return build.call(funnel, [row, row, ir.Constant(_ROW, [left] * LANES)])
