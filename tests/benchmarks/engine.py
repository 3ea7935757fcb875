"""The mask engines against the raw keystream of the same words.

The reference expands as many ChaCha20 words through the same library, a fresh cipher
for each seed, and does nothing with them: no engine that uses this cipher can be
faster. What an engine adds is the cut to w bits, the rejections and the sum.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from numpy.typing import NDArray

from secagg.crypto.prg import Tag
from secagg.engine import MaskEngine, MaskSeed, NumpyThreads
from secagg.engine.numba_threads import NumbaThreads
from tests.benchmarks.interleaved import REPEATS, Work, clocked, interleaved
from tests.benchmarks.rows import Figure, Goal, Row, at_least, short

_NONCE = bytes(16)
_CHUNK = 1 << 20
_NARROW = 28


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much to measure.

    Attributes:
        seeds: streams that are added up.
        lengths: elements of each, m.
        widths: w.
        repeats: turns.
    """

    seeds: int = 100
    lengths: tuple[int, ...] = (1_000_000, 10_000_000)
    widths: tuple[int, ...] = (16, 23, 28, 32)
    repeats: int = REPEATS


TOY = Sizes(seeds=3, lengths=(5_000,), widths=(16, 32), repeats=1)

CPU_ENGINES: dict[str, Callable[[int, int], MaskEngine]] = {
    "numpy-threads": NumpyThreads,
    "numba-threads": NumbaThreads,
}
"""The engines that run on the CPU: from a width and a number of threads."""

_GOALS = {"numpy-threads": (0.70, 0.55), "numba-threads": (0.75, 0.75)}
"""At least this share of the raw keystream, for w <= 28 and above."""


def raw_keystream(keys: Sequence[bytes], words: int) -> None:
    """Expand as many ChaCha20 words through the same library, and do nothing more."""
    zeros, out = bytes(_CHUNK), bytearray(_CHUNK)
    for key in keys:
        encryptor = Cipher(algorithms.ChaCha20(key, _NONCE), mode=None).encryptor()
        for start in range(0, 4 * words, _CHUNK):
            size = min(_CHUNK, 4 * words - start)
            encryptor.update_into(memoryview(zeros)[:size], memoryview(out)[:size])


def run(sizes: Sizes) -> Iterator[Row]:
    """Return each engine's rows, at each length and width, on one thread and two."""
    for length in sizes.lengths:
        for width in sizes.widths:
            yield from _rows(sizes, length, width)


def _rows(sizes: Sizes, length: int, width: int) -> Iterator[Row]:
    with ThreadPoolExecutor(2) as pool:
        turns = [
            turn
            for threads in (1, 2)
            for turn in _turns(sizes, length, width, threads, pool)
        ]
        found = interleaved(*turns, repeats=sizes.repeats)
    for name in CPU_ENGINES:
        yield _beside_raw(name, found, sizes, length, width)
        yield _scaling(name, found, length, width)


def _turns(
    sizes: Sizes, length: int, width: int, threads: int, pool: ThreadPoolExecutor
) -> Iterator[Work]:
    """Return the raw keystream and every engine on so many threads."""
    keys = [index.to_bytes(32, "little") for index in range(sizes.seeds)]
    seeds = [MaskSeed(key, Tag.PAIR) for key in keys]
    signs = [1 if index % 2 else -1 for index in range(sizes.seeds)]
    share = -(-length // threads)

    def raw() -> None:
        list(pool.map(lambda _: raw_keystream(keys, share), range(threads)))

    def masked(engine: MaskEngine, acc: NDArray[np.uint32]) -> None:
        engine.accumulate(acc, seeds, signs, 0, length)

    yield clocked(f"raw {threads}", raw)
    for name, make in CPU_ENGINES.items():
        acc = np.zeros(length, dtype=np.uint32)
        work = functools.partial(masked, make(width, threads), acc)
        yield clocked(f"{name} {threads}", work)


def _beside_raw(
    name: str, found: dict[str, Figure], sizes: Sizes, length: int, width: int
) -> Row:
    ours, raw = found[f"{name} 1"], found["raw 1"]
    per_word = 1e9 / (sizes.seeds * length)
    return Row(
        group="engine",
        name=f"{name}, one thread, {_what(length, width)}: share of raw ChaCha20",
        ours=ours,
        reference=raw,
        goal=_goal(name, width),
        detail=f"{short(ours.median * per_word)} ns a word and mask,"
        f" keystream alone {short(raw.median * per_word)} ns",
        headline=length == 1_000_000 and width in {23, 32},
        labels={"engine": name, "m": length, "w": width, "threads": 1},
    )


def _scaling(name: str, found: dict[str, Figure], length: int, width: int) -> Row:
    """Return the speed-up of two threads beside the raw keystream's own."""
    ours = _speed_up(found[f"{name} 1"], found[f"{name} 2"])
    raw = _speed_up(found["raw 1"], found["raw 2"])
    return Row(
        group="engine",
        name=f"{name}, two threads beside one, {_what(length, width)}",
        ours=ours,
        reference=raw,
        unit="x",
        compare="share",
        goal=at_least(0.95),
        detail="beside the raw keystream's own gain",
        headline=length == 10_000_000 and width == 23,
        labels={"engine": name, "m": length, "w": width, "threads": 2},
    )


def _speed_up(one: Figure, two: Figure) -> Figure:
    return Figure(
        one.median / two.median,
        one.least / two.greatest,
        one.greatest / two.least,
        one.repeats,
    )


def _goal(name: str, width: int) -> Goal:
    narrow, wide = _GOALS.get(name, _GOALS["numpy-threads"])
    return at_least(narrow if width <= _NARROW else wide)


def _what(length: int, width: int) -> str:
    return f"w = {width}, m = {length:,}"
