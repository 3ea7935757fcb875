"""A task: what an aggregator asks for, round after round (spec 2.2, 4.1).

The operator's terms of a task become the Manifest of each of its sessions here, in one
place for the network, the simulator and the tests.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from secagg import errors
from secagg.graph import degree_of
from secagg.messages import Extra, Manifest, Member, NoiseTerms
from secagg.names import PeerId, RangeRuns
from secagg.params import SMALLEST_SPARSE, SPARSE_CORRUPT_PERCENT, input_floor
from secagg.roster import Roster
from secagg.rotation import Rotation
from secagg.scale import Scale

GRAPHS = ("auto", "complete", "regular")
"""What a task may ask for; ``auto``: ``regular`` from SMALLEST_SPARSE members on."""

LOSSES_SHARE = 10
"""A regular graph bears the loss of one member in so many, unless a task says more."""

DEFAULT_DURATIONS = (10_000, 10_000, 10_000, 120_000, 10_000, 10_000, 60_000)
"""Milliseconds for AdvertiseKeys ... Result."""

ROTATED_DEVIATIONS = 6.0
"""The range of a rotated coordinate, in its deviations, where a task says none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """The terms of a task.

    Attributes:
        task_id: ``[a-z0-9-]{1,64}``.
        length: m, the coordinates of an update.
        clip: C, the L2 norm an update is clipped to.
        coordinate_range: r, where a coordinate saturates. None for C: nothing does; or
            with a rotation for 6 C / sqrt(m'), six standard deviations of a rotated
            coordinate of an update of norm C: about one in 10^9 does.
        ranges: (count, r) where coordinates have different ranges, in their order, as
            `Layout.ranges` gives them; None for one range.
        rotation: whether updates are rotated, by a seed drawn for each session: their
            coordinates are then even, and fewer bits serve (spec 5.1).
        bits: b in 8..24.
        weighting: ``uniform`` or ``weighted``.
        max_weight: w_max; 1 for uniform.
        extras: further exact integers to sum, each with its range.
        corruption_bound: c; where ``auto`` takes the regular graph, at least a tenth of
            the members.
        chunk_log2: a chunk has 2^chunk_log2 elements.
        dp: noise on what is released, None for none.
        durations: milliseconds for the seven phases from AdvertiseKeys to Result.
        graph: one of `GRAPHS`.
        losses: d of a regular graph, members that may fall silent; None for a tenth of
            those that are ready.

    Raises:
        ParameterError: noise on a weighted mean, both kinds of range, ranges that are
            not those of `length` coordinates, several with a rotation, or no such
            graph.
    """

    task_id: str
    length: int
    clip: float
    coordinate_range: float | None = None
    ranges: RangeRuns | None = None
    rotation: bool = False
    bits: int = 16
    weighting: str = "uniform"
    max_weight: int = 1
    extras: tuple[Extra, ...] = ()
    corruption_bound: int = 1
    chunk_log2: int = 18
    dp: NoiseTerms | None = None
    durations: tuple[int, ...] = DEFAULT_DURATIONS
    graph: str = "auto"
    losses: int | None = None

    def __post_init__(self) -> None:
        """Refuse terms under which the mean would mean nothing."""
        if self.dp is not None and self.weighting == "weighted":
            raise errors.ParameterError(
                f"task {self.task_id}: noise that hides a member hides the sum of "
                "weights as well, and so the mean: use weighting='uniform' with noise"
            )
        if self.graph not in GRAPHS:
            raise errors.ParameterError(
                f"task {self.task_id}: graph {self.graph!r} is none of {GRAPHS}"
            )
        self._check_ranges()

    def _check_ranges(self) -> None:
        if self.ranges is None:
            return
        if self.coordinate_range is not None:
            raise errors.ParameterError(
                f"task {self.task_id}: coordinate_range is one range for all, ranges"
                " are several: give one of them"
            )
        if self.rotation and len(self.ranges) > 1:
            raise errors.ParameterError(
                f"task {self.task_id}: a rotation mixes the coordinates, so there is"
                " one range: leave out rotation, or ranges"
            )
        covered = sum(count for count, _ in self.ranges)
        if covered != self.length:
            raise errors.ParameterError(
                f"task {self.task_id}: ranges of {covered} coordinates, the update has"
                f" {self.length}"
            )

    @property
    def scale(self) -> Scale:
        """The number layer of these terms; a rotation's seed is that of a session.

        Raises:
            ParameterError: bits, clip or a range is out of its range.
        """
        seed = bytes(32) if self.rotation else None
        return Scale(bits=self.bits, clip=self.clip, ranges=self._runs, seed=seed)

    @property
    def _runs(self) -> RangeRuns:
        if self.ranges is not None:
            return self.ranges
        radius = self.coordinate_range
        if radius is None:
            radius = self.clip
            if self.rotation:
                places = Rotation(bytes(32), self.length).coordinates
                radius *= min(1.0, ROTATED_DEVIATIONS / math.sqrt(places))
        return ((self.length, radius),)

    def graph_of(self, n: int) -> tuple[str, int | None, int]:
        """Return the Manifest's `graph`, `losses` and c for n members (spec 2.2).

        Raises:
            ParameterError: a regular graph is asked for, and n, c and d have none.
        """
        c = self.corruption_bound
        if self.graph == "regular":
            return "regular", self._sparse_losses(n, c), c
        if self.graph == "auto" and n >= SMALLEST_SPARSE:
            usual = max(c, -(-n * SPARSE_CORRUPT_PERCENT // 100))
            with suppress(errors.ParameterError):
                return "regular", self._sparse_losses(n, usual), usual
        return "complete", None, c

    def _sparse_losses(self, n: int, c: int) -> int:
        """Return d of a regular graph of n members, if there is one."""
        most = n - input_floor(n, c)
        usual = min(n // LOSSES_SHARE, most)
        losses = usual if self.losses is None else self.losses
        if losses > most:
            raise errors.ParameterError(
                f"task {self.task_id}: losses = {losses}, and n = {n} members with c ="
                f" {c} bear {most} at most"
            )
        degree_of(n, c, losses)
        return losses

    def manifest(
        self,
        *,
        aggregator: PeerId,
        roster: Roster,
        ready: Mapping[PeerId, bytes],
        round_no: int,
        attempt: int,
        model_hash: bytes,
        previous_link: bytes,
        rotation: bytes | None = None,
    ) -> Manifest:
        """Return the Manifest of one session of this task.

        Args:
            aggregator: who signs it.
            roster: whose hash it pins.
            ready: the members and the nonces of their Ready.
            round_no: 1 or more.
            attempt: 1 to 3.
            model_hash: of the model they trained on, 32 bytes.
            previous_link: the head of the task's chain, 32 bytes.
            rotation: the seed drawn for this session, 32 bytes; needed if, and only if,
                the task has a rotation.

        Raises:
            ParameterError: a seed is missing, or given without a rotation; or the task
                asks for a regular graph that so few members have not.
        """
        if (rotation is not None) != self.rotation:
            raise errors.ParameterError(
                f"task {self.task_id}: rotation is {self.rotation}, and the session's"
                f" seed is {'missing' if rotation is None else 'given'}"
            )
        graph, losses, c = self.graph_of(len(ready))
        members = tuple(Member(peer=u, ready_nonce=ready[u]) for u in sorted(ready))
        return Manifest(
            task_id=self.task_id,
            round_no=round_no,
            attempt=attempt,
            aggregator=aggregator,
            roster_hash=roster.hash,
            members=members,
            corruption_bound=c,
            length=self.length,
            extras=self.extras,
            bits=self.bits,
            clip=self.clip,
            ranges=self._runs,
            weighting=self.weighting,
            max_weight=self.max_weight,
            rotation=rotation,
            graph=graph,
            losses=losses,
            keystream="chacha20",
            chunk_log2=self.chunk_log2,
            dp=self.dp,
            model_hash=model_hash,
            previous_link=previous_link,
            durations=self.durations,
        )
