"""Eight packed elements at once, in the CPU's vector registers.

Eight elements of w bits take w bytes, so in each group they begin at the same bytes and
bits: each is in the 64 bits from its byte on, and one shift by places that never change
brings all eight down. LLVM finds no vectors in a loop that reads bits here and there,
so the loop is given to it.

numba's cache on the disk looks at the calling module alone: touch `compiled_packing`
when this one changes.

Raises ImportError where numba is absent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from llvmlite import ir
from numba import types

from secagg.kernels.compiler import all_lanes, data_of, emitted

LANES: Final = 8
"""Elements of a group."""

_WORD: Final = ir.IntType(64)
_NUMBER: Final = ir.IntType(32)
_ROW: Final = ir.VectorType(_WORD, LANES)
_ZEROS: Final = ir.Constant(_ROW, [0] * LANES)

# Of a group's first byte, and of what it is written to.
_LOOSE: Final = 1
_ALIGNED_SUMS: Final = 8
_ALIGNED_ELEMENTS: Final = 4

_Taken = Callable[[Any, Any, Any], None]
"""Writes what puts a row of elements, with the builder and the first one's number."""


@emitted
def unpack_groups(_context: Any, words: Any, width: Any, count: Any, out: Any) -> Any:
    """Write the elements of whole groups.

    Args:
        words: where the bit stream begins, uint64; after the elements a word more.
        width: w, 16..32, uint64.
        count: of groups, uint64.
        out: uint32, shape (8 count,) or longer, contiguous.

    Returns:
        The largest element, uint64; 0 of none.
    """

    def emit(context: Any, build: Any, signature: Any, given: Any) -> Any:
        first = data_of(context, build, signature, given, 3)

        def put(build: Any, elements: Any, place: Any) -> None:
            row = ir.VectorType(_NUMBER, LANES)
            there = build.bitcast(build.gep(first, [place]), row.as_pointer())
            build.store(build.trunc(elements, row), there, align=_ALIGNED_ELEMENTS)

        return _looped(context, build, signature, given, put)

    return types.uint64(words, types.uint64, types.uint64, out), emit


@emitted
def add_groups(_context: Any, words: Any, width: Any, count: Any, sums: Any) -> Any:
    """Add the elements of whole groups.

    Args:
        words: as for `unpack_groups`, and so on up to `count`.
        width: see there.
        count: see there.
        sums: uint64, shape (8 count,) or longer, contiguous; changed in place.

    Returns:
        The largest element, uint64; 0 of none.
    """

    def emit(context: Any, build: Any, signature: Any, given: Any) -> Any:
        first = data_of(context, build, signature, given, 3)

        def put(build: Any, elements: Any, place: Any) -> None:
            there = build.bitcast(build.gep(first, [place]), _ROW.as_pointer())
            old = build.load(there, align=_ALIGNED_SUMS)
            build.store(build.add(old, elements), there, align=_ALIGNED_SUMS)

        return _looped(context, build, signature, given, put)

    return types.uint64(words, types.uint64, types.uint64, sums), emit


@emitted
def largest_of_groups(_context: Any, words: Any, width: Any, count: Any) -> Any:
    """Return the largest element of whole groups, uint64; 0 of none.

    Args:
        words: as for `unpack_groups`, and so on up to `count`.
        width: see there.
        count: see there.
    """

    def emit(context: Any, build: Any, signature: Any, given: Any) -> Any:
        return _looped(context, build, signature, given, lambda *_: None)

    return types.uint64(words, types.uint64, types.uint64), emit


def _looped(context: Any, build: Any, signature: Any, given: Any, put: _Taken) -> Any:
    """Write the loop over the groups; return the largest of all elements."""
    width, count = given[1:3]
    stream = build.bitcast(
        data_of(context, build, signature, given, 0), ir.IntType(8).as_pointer()
    )
    bits = build.mul(all_lanes(build, width, LANES), _row(*range(LANES)))
    read = _reader(build, width, bits)
    entry, head, body, end = (
        build.block,
        *(build.append_basic_block(name) for name in ("head", "group", "done")),
    )
    build.branch(head)
    build.position_at_end(head)
    k, top = build.phi(_WORD), build.phi(_ROW)
    build.cbranch(build.icmp_unsigned("<", k, count), body, end)
    build.position_at_end(body)
    elements = read(build.gep(stream, [build.mul(k, width)]))
    put(build, elements, build.mul(k, ir.Constant(_WORD, LANES)))
    # Below 2^32, so the order of signed numbers serves, which more machines have.
    larger = build.select(build.icmp_signed(">", elements, top), elements, top)
    after = build.add(k, ir.Constant(_WORD, 1))
    for phi, at_first, later in (
        (k, ir.Constant(_WORD, 0), after),
        (top, _ZEROS, larger),
    ):
        phi.add_incoming(at_first, entry)
        phi.add_incoming(later, body)
    build.branch(head)
    build.position_at_end(end)
    return _largest(build, top)


def _reader(build: Any, width: Any, bits: Any) -> Callable[[Any], Any]:
    """Return what reads a group, as a row, from its first byte on."""
    bytes_ = build.lshr(bits, _row(*[3] * LANES))
    places = [build.extract_element(bytes_, _number(k)) for k in range(LANES)]
    shifts = build.and_(bits, _row(*[7] * LANES))
    one = ir.Constant(_WORD, 1)
    mask = all_lanes(build, build.sub(build.shl(one, width), one), LANES)

    def read(first: Any) -> Any:
        row = ir.Constant(_ROW, ir.Undefined)
        for k, place in enumerate(places):
            at = build.bitcast(build.gep(first, [place]), _WORD.as_pointer())
            row = build.insert_element(row, build.load(at, align=_LOOSE), _number(k))
        return build.and_(build.lshr(row, shifts), mask)

    return read


def _largest(build: Any, row: Any) -> Any:
    """Return the largest of a row."""
    top = ir.Constant(_WORD, 0)
    for k in range(LANES):
        one = build.extract_element(row, _number(k))
        top = build.select(build.icmp_signed(">", one, top), one, top)
    return top


def _row(*numbers: int) -> Any:
    return ir.Constant(_ROW, [*numbers])


def _number(k: int) -> Any:
    return ir.Constant(_NUMBER, k)
