"""Taking the masks off the sum of y_u, wherever there are processors (spec 4.8).

Two kinds of pieces, pure and picklable. `Agreements` has a lost member's agreements
with its partners, which give the seeds of its pair masks. `Streams` expands a group of
seeds over a window of the vector and returns their sum mod p. Partial sums are added up
exactly, so any executor gives the same bits as none.

What travels: mask keys of lost members, seeds and windows to a worker; seeds and sums
of masks back. These are secrets that t members have opened to the aggregator, of one
kind for each member; no y_u travels. Who has a worker is trusted as the aggregator is,
and the way to it has to be encrypted.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from secagg.engine import MaskEngine, MaskSeed, one_thread
from secagg.events import LostMember, OpenSum
from secagg.field import prime
from secagg.masked_chunks import chunks_of, opened_chunk
from secagg.masking import Mask, removed_pair_masks
from secagg.names import VectorSum
from secagg.params import Parameters
from secagg.spread import Spread, Told, unheard
from secagg.vector import Chunks

_Made = TypeVar("_Made")

Sums = NDArray[np.uint32]

_Group = Sequence[tuple[MaskSeed, int]]
"""Masks that are expanded together: of each its seed and its sign."""

# Elements of a window that is sent out: 1 MiB comes back, and setting up a cipher takes
# 2 % of its stream's time.
_WINDOW: Final = 1 << 18

# Windows that are out at a time: 32 MiB of results.
_WINDOWS_AHEAD: Final = 32

# Seeds of one piece: 0.3 s of work for 1 MiB of result and 60 KB of seeds. Also how
# many streams an engine holds open at a time, 1 KB each.
_GROUP: Final = 1 << 10

# Lost members whose agreements are out at a time: 60 us and 100 bytes a partner.
_LOST_AHEAD: Final = 64


@dataclass(frozen=True, slots=True)
class Agreements:
    """The pair masks of one lost member."""

    lost: LostMember

    def run(self) -> tuple[Mask, ...]:
        """Return what takes them off the sum."""
        return removed_pair_masks(self.lost)

    def fits(self, result: object) -> bool:
        """Return whether `result` is a mask for every partner."""
        return (
            isinstance(result, tuple)
            and len(result) == len(self.lost.partners)
            and all(isinstance(mask, Mask) for mask in result)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """The sum of sign * PRG(seed) over a window of a chunk, mod p."""

    chunk: int
    width: int
    seeds: Sequence[MaskSeed] = field(repr=False)
    signs: Sequence[int] = field(repr=False)
    start: int
    stop: int

    def run(self) -> Sums:
        """Return the sum, shape (stop - start,), made by one thread of a worker."""
        return self.by(_one_thread(self.width))

    def by(self, engine: MaskEngine) -> Sums:
        """Return the sum, made by `engine`."""
        total = np.zeros(self.stop - self.start, dtype=np.uint32)
        engine.accumulate(total, self.seeds, self.signs, self.start, self.stop)
        return total

    def fits(self, result: object) -> bool:
        """Return whether `result` is a window of field elements."""
        return (
            isinstance(result, np.ndarray)
            and result.dtype == np.uint32
            and result.shape == (self.stop - self.start,)
            and int(result.max(initial=0)) < prime(self.width)
        )


_one_thread = functools.cache(one_thread)
"""A worker's engine, kept: another of the same width would take scratch of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskRemoval:
    """Opens sums of one width.

    Attributes:
        engine: expands masks in this process.
        executor: has the work done elsewhere; None for here.
        told: is told if the executor fails; the sum is opened all the same.
    """

    engine: MaskEngine
    executor: Executor | None = None
    told: Told = unheard

    def opened_chunks(
        self,
        effect: OpenSum,
        stored: Callable[[int], Iterable[bytes]],
        params: Parameters,
    ) -> Iterator[VectorSum]:
        """Yield the opened integer sum, chunk by chunk.

        Args:
            effect: whose sum it is, and what opens it.
            stored: returns a chunk of y_u for every u of U3, packed, by its index.
            params: the session's.

        Raises:
            CodecError: rules 7.1-3 to 7.1-5, a stored chunk is damaged.
            RemoteProtocolError: rule 3.2-4.
        """
        spread = Spread(self.executor, self.told)
        pairs = spread.map(
            (Agreements(lost) for lost in effect.lost),
            here=Agreements.run,
            ahead=_LOST_AHEAD,
        )
        own = zip(effect.seeds, effect.signs, strict=True)
        groups = _grouped(own, (masks for _, masks in pairs))
        if self.executor is None and effect.lost:
            groups = _begun(groups)
        parts = spread.map(
            _pieces(groups, chunks_of(params), step=self._step),
            here=lambda piece: piece.by(self.engine),
            ahead=_WINDOWS_AHEAD,
        )
        for index, sums in itertools.groupby(parts, key=lambda part: part[0].chunk):
            masks_of_chunk = ((piece.start, sum_) for piece, sum_ in sums)
            yield opened_chunk(
                stored(index),
                masks_of_chunk,
                index=index,
                params=params,
                engine=self.engine,
            )

    @property
    def _step(self) -> int | None:
        # An engine in this process cuts a chunk for its threads itself.
        return None if self.executor is None else _WINDOW


def _grouped(
    own: Iterable[tuple[MaskSeed, int]], pairs: Iterable[Sequence[Mask]]
) -> Iterator[_Group]:
    """Yield the seeds and signs of all masks, in groups; one of none if there is none.

    Args:
        own: of the self masks.
        pairs: the pair masks of each lost member, as they become known.
    """
    every = itertools.chain(
        own, ((mask.seed, mask.sign) for masks in pairs for mask in masks)
    )
    yield [*itertools.islice(every, _GROUP)]
    while group := [*itertools.islice(every, _GROUP)]:
        yield group


def _begun(groups: Iterator[_Made]) -> Iterator[_Made]:
    """Yield what `groups` yields, the next one made meanwhile.

    An agreement holds the interpreter's lock, and an engine's threads do without it: so
    the masks of one group are expanded beside the agreements of the next.
    """
    with ThreadPoolExecutor(1) as beside:
        coming = beside.submit(next, groups, None)
        while (group := coming.result()) is not None:
            coming = beside.submit(next, groups, None)
            yield group


def _pieces(
    groups: Iterable[_Group], chunks: Chunks, *, step: int | None
) -> Iterator[Streams]:
    """Yield the masks of every chunk, cut into windows and groups of seeds."""
    known: list[_Group] = []
    for chunk in range(chunks.count):
        begin, end = chunks.span(chunk)
        for start in range(begin, end, step or end - begin):
            stop = min(start + (step or end - begin), end)
            # The first window takes them as they come.
            for group in known or _kept(groups, known):
                yield Streams(
                    chunk=chunk,
                    width=chunks.width,
                    seeds=[seed for seed, _ in group],
                    signs=[sign for _, sign in group],
                    start=start,
                    stop=stop,
                )


def _kept(groups: Iterable[_Group], known: list[_Group]) -> Iterator[_Group]:
    """Yield the groups, and keep them."""
    for group in groups:
        known.append(group)
        yield group
