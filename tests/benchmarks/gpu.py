"""The mask engine on a GPU, and the chunks that leave it.

Keystream is counted as expanded and accumulated: 4 bytes for every seed and element.
The accumulator and the update lie on the GPU; the CPU beside it is the fastest engine
on one thread, with fewer elements, since seconds are linear in them.

torch is loaded only when this group runs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from secagg.crypto.prg import Tag
from secagg.engine import MaskSeed, NumpyThreads, one_thread
from secagg.names import InputVector, SessionId
from secagg.scale import Scale
from secagg.vector import Chunks, RootBuilder
from tests.benchmarks.interleaved import REPEATS, clocked, interleaved
from tests.benchmarks.rows import Figure, Row, at_least, at_most, short

if TYPE_CHECKING:
    import torch

    from secagg.device.chunks import DeviceChunks
    from secagg.device.update import DeviceUpdate
    from secagg.engine.triton import Triton

_WORD = 4
_SID = SessionId(bytes(32))


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much to measure.

    Attributes:
        seeds: streams that are added up.
        length: elements of each on the GPU, m.
        cpu_length: elements of each on the CPU.
        compared: words, elements times seeds, that are compared with the CPU's.
        widths: w.
        chunk_log2: a chunk has 2^this elements.
        repeats: turns.
    """

    seeds: int = 100
    length: int = 100_000_000
    cpu_length: int = 1_000_000
    compared: int = 1_000_000_000
    widths: tuple[int, ...] = (16, 24, 32)
    chunk_log2: int = 20
    repeats: int = REPEATS


TOY = Sizes(
    seeds=3,
    length=5_000,
    cpu_length=500,
    compared=3_000,
    widths=(20,),
    chunk_log2=12,
    repeats=1,
)


def missing() -> str:
    """Say why nothing can be measured here; empty if it can."""
    try:
        import torch
    except ImportError:
        return "torch is not installed"
    return "" if torch.cuda.is_available() else "there is no CUDA device"


def accelerator() -> str:
    """Return the GPU's name."""
    if missing():
        return ""
    import torch

    return torch.cuda.get_device_name()


def run(sizes: Sizes) -> Iterator[Row]:
    """Return the rows of every width."""
    for width in sizes.widths:
        yield from _engine_rows(sizes, width)
    for width in sizes.widths:
        yield _identity_row(sizes, width)
    yield from _chunk_rows(sizes, sizes.widths[len(sizes.widths) // 2])


def _keys(sizes: Sizes) -> tuple[list[MaskSeed], list[int]]:
    seeds = [MaskSeed(k.to_bytes(32, "little"), Tag.PAIR) for k in range(sizes.seeds)]
    return seeds, [1 if k % 2 else -1 for k in range(sizes.seeds)]


def _finished(device: torch.device) -> None:
    """Wait until the device has done all that was queued."""
    import torch

    torch.get_device_module(device).synchronize()


def _engine_rows(sizes: Sizes, width: int) -> Iterator[Row]:
    import torch

    from secagg.engine.triton import Triton

    seeds, signs = _keys(sizes)
    machine = Triton(width)
    acc = torch.zeros(sizes.length, dtype=torch.int32, device=machine.device)
    beside = np.zeros(sizes.cpu_length, dtype=np.uint32)
    alone = one_thread(width)

    def masks() -> None:
        with machine.table(seeds, signs) as table:
            machine.add(acc.view(torch.uint32), table, 0)
        _finished(machine.device)

    found = interleaved(
        clocked("gpu", masks),
        clocked("cpu", lambda: alone.accumulate(beside, seeds, signs, 0, len(beside))),
        repeats=sizes.repeats,
    )
    words = sizes.seeds * sizes.length
    terms = f"{sizes.seeds} seeds, m = {short(sizes.length)}, w = {width}"
    yield Row(
        group="gpu",
        name=f"keystream expanded and accumulated, {terms}",
        ours=_rate(found["gpu"], _WORD * words),
        unit="bytes/s",
        compare="figure",
        goal=at_least(0.5e12),
        headline=width == max(sizes.widths),
        labels={"w": width},
    )
    yield Row(
        group="gpu",
        name=f"masks beside one CPU thread, {terms}",
        ours=found["gpu"].times(1 / words),
        reference=found["cpu"].times(1 / (sizes.seeds * sizes.cpu_length)),
        goal=at_least(50),
        detail="seconds a word",
        headline=width == max(sizes.widths),
        labels={"w": width},
    )


def _rate(seconds: Figure, amount: float) -> Figure:
    """Return the amount a second."""
    return Figure(
        amount / seconds.median,
        amount / seconds.greatest,
        amount / seconds.least,
        seconds.repeats,
    )


def _identity_row(sizes: Sizes, width: int) -> Row:
    """Compare sums with the CPU's, in a window over a segment's end."""
    from secagg.engine.triton import Triton

    seeds, signs = _keys(sizes)
    size = max(sizes.compared // sizes.seeds, 1)
    start = (1 << 32) - size // 2 - 3
    words = short(size * len(seeds))
    found = np.zeros(size, dtype=np.uint32)
    expected = found.copy()
    Triton(width).accumulate(found, seeds, signs, start, start + size)
    NumpyThreads(width).accumulate(expected, seeds, signs, start, start + size)
    return Row(
        group="gpu",
        name=f"elements unlike the CPU's: w = {width}, {words} words",
        ours=Figure.exact(int(np.count_nonzero(found != expected))),
        unit="",
        compare="figure",
        goal=at_most(0),
        labels={"w": width},
    )


def _chunk_rows(sizes: Sizes, width: int) -> Iterator[Row]:
    """Measure a whole upload's chunks beside their masks and their hashing."""
    import torch

    from secagg.engine.triton import Triton

    machine = Triton(width)
    update = _update(sizes, machine)
    chunks = Chunks(length=sizes.length, width=width, chunk_log2=sizes.chunk_log2)
    seeds, signs = _keys(sizes)
    acc = torch.zeros(sizes.length, dtype=torch.int32, device=machine.device)

    def masks() -> None:
        with machine.table(seeds, signs) as table:
            machine.add(acc.view(torch.uint32), table, 0)
        _finished(machine.device)

    kept = list(_made(update, chunks, sizes))
    found = interleaved(
        clocked("masks", masks),
        clocked("chunks", lambda: list(_made(update, chunks, sizes))),
        clocked("hashes", lambda: _hashed(kept)),
        clocked("both", lambda: _hashed(_made(update, chunks, sizes))),
        repeats=sizes.repeats,
    )
    terms = f"{sizes.seeds} seeds, m = {short(sizes.length)}, w = {width}"
    yield Row(
        group="gpu",
        name=f"quantize, mask, pack and copy out beside the masks alone, {terms}",
        ours=found["chunks"],
        reference=found["masks"],
        compare="share",
        labels={"w": width},
    )
    slower = max(found["chunks"], found["hashes"], key=lambda one: one.median)
    yield Row(
        group="gpu",
        name=f"chunks made while hashed, beside the slower of the two, {terms}",
        ours=found["both"],
        reference=slower,
        compare="share",
        goal=at_most(1.15),
        detail=f"hashing alone {short(found['hashes'].median)} s",
        labels={"w": width},
    )


def _update(sizes: Sizes, machine: Triton) -> DeviceUpdate:
    import torch

    from secagg.device.update import DeviceUpdate

    generator = torch.Generator(machine.device).manual_seed(1)
    values = torch.randn(sizes.length, generator=generator, device=machine.device)
    scale = Scale.even(bits=12, clip=1.0, coordinate_range=0.25, length=sizes.length)
    return DeviceUpdate(values, scale, rounding_key=bytes(32))


def _made(update: DeviceUpdate, chunks: Chunks, sizes: Sizes) -> Iterator[bytes]:
    """Make every chunk of y_u."""
    from secagg.device.chunks import DeviceChunks

    tail = InputVector(np.zeros(0, dtype=np.uint32))
    maker: DeviceChunks = DeviceChunks(update, tail, *_keys(sizes), chunks)
    return map(maker.chunk, range(chunks.count))


def _hashed(made: Iterator[bytes] | list[bytes]) -> bytes:
    """Hash chunks as an upload does."""
    builder = RootBuilder(_SID)
    for index, chunk in zip(itertools.count(), made, strict=False):
        builder.add(index, chunk)
    return builder.root()
