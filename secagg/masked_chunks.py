"""y_u chunk by chunk, and the sum back, chunk by chunk (spec 4.5, 4.8, 7).

Memory is a chunk here, whatever the model's size and however many silos there are.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg import field, packing
from secagg.contribution import Contribution, DeviceContribution
from secagg.engine import MaskEngine, MaskSeed
from secagg.names import MaskedVector, VectorSum
from secagg.params import Parameters
from secagg.vector import Chunks

# Elements that a thread takes at a time, a multiple of 64: 512 KiB of sums, which stay
# in an L2 cache of 1 MiB beside the packed ones that pass by.
_SLICE: Final = 1 << 16

# Bytes of the chunks that are added together, one at least; as many are read meanwhile.
_TOGETHER: Final = 8 << 20


def chunks_of(params: Parameters) -> Chunks:
    """Return how a vector of this session is cut (spec 7.2)."""
    return Chunks(
        length=params.total_length, width=params.width, chunk_log2=params.chunk_log2
    )


def chunk_maker(
    x_u: Contribution | DeviceContribution,
    seeds: Sequence[MaskSeed],
    signs: Sequence[int],
    engine: MaskEngine,
) -> Callable[[int], bytes]:
    """Return what makes any packed chunk of y_u: here, or on the update's device.

    Args:
        x_u: the input of this session.
        seeds: of the masks.
        signs: +1 or -1 for each seed.
        engine: of the session's width, for an input that lies here.
    """
    if isinstance(x_u, Contribution):
        here = x_u
        return lambda index: masked_chunk(
            here, seeds, signs, index=index, engine=engine
        )
    from secagg.device.chunks import DeviceChunks

    chunks = chunks_of(x_u.params)
    return DeviceChunks(x_u.coordinates, x_u.tail, seeds, signs, chunks).chunk


def masked_chunk(
    x_u: Contribution,
    seeds: Sequence[MaskSeed],
    signs: Sequence[int],
    *,
    index: int,
    engine: MaskEngine,
) -> bytes:
    """Return one packed chunk of y_u = x_u + sum of sign * PRG(seed) mod p.

    The same arguments give the same bytes, so a chunk can be sent again after a
    reconnect without having been kept (rule 4.5-6).
    """
    chunks = chunks_of(x_u.params)
    start, stop = chunks.span(index)
    # A window is made anew each time: it is masked where it lies.
    y_u = x_u.window(start, stop)
    engine.accumulate(y_u, seeds, signs, start, stop)
    return _on_the_wire(MaskedVector(y_u), chunks.width)


def _on_the_wire(y_u: MaskedVector, width: int) -> bytes:
    """Pack what may leave the hospital; an unmasked vector does not type-check here."""
    return packing.pack(y_u, width)


def opened_chunk(
    stored: Iterable[bytes],
    masks: Iterable[tuple[int, NDArray[np.uint32]]],
    *,
    index: int,
    params: Parameters,
    engine: MaskEngine,
) -> VectorSum:
    """Return one chunk of the opened integer sum.

    Args:
        stored: that chunk of y_u for every u of U3, packed, in any order.
        masks: what takes the masks off: sums over windows of the chunk, each with the
            position of its first element; elements in [0, p), 2^31 sums at most.
        index: which chunk.
        params: the session's.
        engine: on whose threads it is added up, slices side by side.

    Raises:
        CodecError: rules 7.1-3 to 7.1-5, a stored chunk is damaged.
    """
    chunks = chunks_of(params)
    begin, end = chunks.span(index)
    # At most 2^12 vectors and 2^31 sums of masks, each below 2^32: within 2^64.
    total = np.zeros(end - begin, dtype=np.uint64)
    cuts = [
        slice(low, min(low + _SLICE, len(total)))
        for low in range(0, len(total), _SLICE)
    ]
    _add_stored(total, stored, cuts, chunks.width, engine)
    for start, sums in masks:
        total[start - begin : start - begin + len(sums)] += sums
    opened = np.empty(len(total), dtype=np.int64)
    _wait(engine.on_threads(partial(_open_slice, total, opened, params.p), cuts))
    return VectorSum(opened)


def _add_stored(
    total: NDArray[np.uint64],
    stored: Iterable[bytes],
    cuts: Sequence[slice],
    width: int,
    engine: MaskEngine,
) -> None:
    """Add packed chunks, several to a slice while it is in the cache.

    While some are added the next are read, wherever they come from.
    """
    begun: Iterable[None] = ()
    coming = iter(stored)
    together = max(1, _TOGETHER // packing.packed_size(len(total), width))
    while some := [*itertools.islice(coming, together)]:
        for chunk in some:
            packing.check_shape(chunk, len(total), width)
        _wait(begun)
        begun = engine.on_threads(partial(_add_slice, total, some, width), cuts)
    _wait(begun)


def _add_slice(
    total: NDArray[np.uint64], packed: Sequence[bytes], width: int, cut: slice
) -> None:
    """Add a slice of each chunk; compared with p again, which costs nothing here."""
    for chunk in packed:
        packing.add_unpacked(total[cut], chunk, width, first=cut.start)


def _open_slice(
    total: NDArray[np.uint64], opened: NDArray[np.int64], p: int, cut: slice
) -> None:
    """Reduce and centre a slice of the sum."""
    opened[cut] = field.centre(field.reduce(total[cut], p), p)


def _wait(begun: Iterable[None]) -> None:
    """Wait for what was begun, and raise what one raised."""
    for _ in begun:
        pass
