"""The parameters of a session and everything derived from them (spec 2.2).

Built once from a Manifest; checked when built. What follows from n, c and the vector's
shape is computed here by both sides and is never sent: quorum, threshold, floor, field
width, limb size. That the sum cannot overflow is proved here, before anything is sent.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cached_property

from secagg import errors
from secagg.field import narrowest_width, prime
from secagg.graph import Degree, Graph, complete, degree_of, prepared, regular
from secagg.messages import Extra, Manifest, NoiseTerms
from secagg.names import PeerId
from secagg.scale import MAX_RANGES, Scale
from secagg.sensitivity import (
    MAX_SIGMA_SQUARED,
    Adjacency,
    sensitivity_squared,
    sigma_squared,
)

WEIGHT = "weight"
SATURATED = "saturated"
MAX_EXTRAS = 64
MAX_LENGTH = 1 << 40
MAX_WEIGHT = 1 << 31
MAX_DURATION_MS = 86_400_000
MAX_ATTEMPTS = 3
"""Attempts a round may have (rule 4.1-6)."""
EXTRA_BOUND = 1 << 62
ADJACENCIES = tuple(Adjacency)
SMALLEST_SPARSE = 151
"""Members from which on the regular graph is the usual one: fewer gain little by it."""
SPARSE_CORRUPT_PERCENT = 10
"""The usual least c on a regular graph, in percent of n: c = 1 among a thousand members
would leave a threshold of two neighbours."""

_EXTRA_NAME = re.compile(r"[a-z0-9_]{1,32}")


def quorum(n: int, c: int) -> int:
    """Return q = floor((n + c) / 2) + 1, on n and never on |U1| (spec 2.2)."""
    return (n + c) // 2 + 1


def input_floor(n: int, c: int, losses: int | None = None) -> int:
    """Return the least |U3| that may be opened (spec 2.2).

    Args:
        n: members.
        c: members that may be corrupt.
        losses: d of the regular graph; None for the complete one, where it is as great
            as it can be: max(q, 3, c + 2) are left.
    """
    return max(quorum(n, c), 3, c + 2) if losses is None else n - losses


@dataclass(frozen=True, slots=True)
class Limbs:
    """Where one extra coordinate lies in the vector (spec 2.2, 5)."""

    extra: Extra
    start: int
    count: int


@dataclass(frozen=True)
class Parameters:
    """A Manifest's parameters, checked, with everything derived.

    Build it with `Parameters.of(manifest)`; a value out of its range raises there.
    """

    members: tuple[PeerId, ...]
    c: int
    scale: Scale
    declared_extras: tuple[Extra, ...]
    weighting: str
    max_weight: int
    chunk_log2: int
    dp: NoiseTerms | None
    losses: int | None = None

    @classmethod
    def of(cls, manifest: Manifest) -> Parameters:
        """Check a Manifest's parameters and derive the rest.

        Raises:
            RemoteProtocolError: rules 2.2-1 to 2.2-10.
        """
        check_ranges(manifest)
        scale = Scale(
            bits=manifest.bits,
            clip=manifest.clip,
            ranges=manifest.ranges,
            seed=manifest.rotation,
        )
        params = cls(
            members=tuple(member.peer for member in manifest.members),
            c=manifest.corruption_bound,
            scale=scale,
            declared_extras=manifest.extras,
            weighting=manifest.weighting,
            max_weight=manifest.max_weight,
            chunk_log2=manifest.chunk_log2,
            dp=manifest.dp,
            losses=manifest.losses,
        )
        params._prove_no_overflow()
        params._check_noise_can_be_made()
        return params

    def _prove_no_overflow(self) -> None:
        bound = self.n * self.scale.x_max
        fits = bound <= (prime(32) - 1) // 2
        detail = f"n * x_max = {bound} does not fit any width: lower n or bits"
        errors.require("2.2-5", fits and self.limb_bits >= 1, detail)
        peak = max((max(abs(e.low), abs(e.high)) for e in self.extras), default=0)
        errors.require(
            "2.2-5",
            self.n * peak <= EXTRA_BOUND,
            f"an extra may sum to {self.n * peak}, above 2^62: narrow its range",
        )

    def _check_noise_can_be_made(self) -> None:
        if self.dp is None:
            return
        terms = self.dp
        delta_squared = sensitivity_squared(
            self.scale.delta_int,
            self.noised_extra_ranges,
            Adjacency(terms.adjacency),
        )
        sigma = sigma_squared(terms.noise_multiplier, delta_squared)
        errors.require(
            "2.2-8",
            sigma <= MAX_SIGMA_SQUARED,
            f"z = {terms.noise_multiplier} asks for noise of variance {sigma:.3g}, "
            "above 2^96: lower z or the ranges of the extras",
        )

    @property
    def n(self) -> int:
        """Members of the Manifest, |U0|."""
        return len(self.members)

    @property
    def m(self) -> int:
        """Coordinates of the update, m."""
        return self.scale.length

    @property
    def coordinates(self) -> int:
        """Coordinates of the vector without the extras, m': m unless rotated."""
        return self.scale.coordinates

    @property
    def q(self) -> int:
        """Votes that certify, and the least |U1| and |U2|."""
        return quorum(self.n, self.c)

    @property
    def tossed(self) -> bool:
        """Whether the graph is drawn from coins: the regular one (spec 4.10)."""
        return self.losses is not None

    @cached_property
    def degree(self) -> Degree:
        """k, c_k, t and L of every member (spec 2.2, 2.4)."""
        if self.losses is None:
            return Degree(self.n - 1, self.c, self.q, self.q - 1)
        return degree_of(self.n, self.c, self.losses)

    def graph(self, seed: bytes | None) -> Graph:
        """Return who shares masks and secrets with whom.

        Args:
            seed: from the coins, 32 bytes; None on the complete graph.
        """
        if seed is None:
            return complete(self.members)
        return regular(self.members, self.degree, seed)

    def prepare_graph(self) -> None:
        """Compute what `graph` draws on, ahead of the coins, in whatever thread.

        It depends on n and k alone and is kept: 1.5 s at n = 1,000, nothing afterwards
        and on the complete graph.
        """
        if self.tossed:
            prepared(self.n, self.degree.k)

    @property
    def t(self) -> int:
        """Shares that rebuild a secret; equals q on the complete graph."""
        return self.degree.t

    @property
    def floor(self) -> int:
        """The least |U3| that may be opened."""
        return input_floor(self.n, self.c, self.losses)

    @property
    def tolerated(self) -> int:
        """Members that may fall silent, d = n - floor."""
        return self.n - self.floor

    @cached_property
    def width(self) -> int:
        """w, bits per element on the wire: (p_w - 1)/2 >= n * x_max."""
        return narrowest_width(self.n * self.scale.x_max)

    @cached_property
    def p(self) -> int:
        """The field's prime p_w."""
        return prime(self.width)

    @cached_property
    def limb_bits(self) -> int:
        """L, the largest with n * 2^L <= (p - 1)/2: a limb's sum cannot wrap."""
        return ((self.p - 1) // 2 // self.n).bit_length() - 1

    @cached_property
    def extras(self) -> tuple[Extra, ...]:
        """The declared extras, then ``weight`` and ``saturated`` where they apply."""
        derived = list(self.declared_extras)
        if self.weighting == "weighted":
            derived.append(Extra(name=WEIGHT, low=0, high=self.max_weight))
        # With noise its range m' would swell the sensitivity (rule 10-2): left out.
        if self.scale.saturates and self.dp is None:
            derived.append(Extra(name=SATURATED, low=0, high=self.coordinates))
        return tuple(derived)

    @cached_property
    def limbs(self) -> tuple[Limbs, ...]:
        """The place of every extra, after the m' coordinates."""
        places: list[Limbs] = []
        start = self.coordinates
        for extra in self.extras:
            span = (extra.high - extra.low).bit_length()
            count = max(1, -(-span // self.limb_bits))
            places.append(Limbs(extra, start, count))
            start += count
        return tuple(places)

    @cached_property
    def total_length(self) -> int:
        """M: coordinates and limbs together, the length of y_u."""
        return self.coordinates + sum(place.count for place in self.limbs)

    @property
    def noised_extra_ranges(self) -> tuple[int, ...]:
        """High - low of every extra, for the sensitivity (rule 10-2)."""
        return tuple(extra.high - extra.low for extra in self.extras)

    def x_of(self, peer: PeerId) -> int:
        """Return the Shamir coordinate 1 + index of `peer` in U0 (spec 4.3)."""
        return self._coordinates[peer]

    @cached_property
    def _coordinates(self) -> dict[PeerId, int]:
        return {peer: x for x, peer in enumerate(self.members, start=1)}


def check_ranges(manifest: Manifest) -> None:
    """Check rules 2.2-1 to 2.2-4 and 2.2-6 to 2.2-10.

    Raises:
        RemoteProtocolError: the first rule that is broken, with the value.
    """
    n, c = len(manifest.members), manifest.corruption_bound
    errors.require(
        "2.2-1",
        n >= 3 and c >= 0 and n > 3 * c,
        f"n = {n}, c = {c}: need n > 3c, n >= 3",
    )
    shape = 1 <= manifest.length <= MAX_LENGTH and 12 <= manifest.chunk_log2 <= 20
    errors.require(
        "2.2-2", shape, f"m = {manifest.length}, chunk_log2 = {manifest.chunk_log2}"
    )
    _check_scale(manifest)
    _check_extras(manifest.extras)
    weights = (manifest.weighting == "uniform" and manifest.max_weight == 1) or (
        manifest.weighting == "weighted" and 1 <= manifest.max_weight <= MAX_WEIGHT
    )
    errors.require(
        "2.2-6", weights, f"weighting {manifest.weighting}, w_max {manifest.max_weight}"
    )
    _check_graph(manifest)
    errors.require(
        "2.2-7",
        manifest.keystream == "chacha20",
        f"keystream {manifest.keystream} is not supported by secagg/1",
    )
    _check_noise(manifest.dp)
    durations = manifest.durations
    ranged = all(1 <= duration <= MAX_DURATION_MS for duration in durations)
    errors.require("2.2-9", len(durations) == 7 and ranged, f"durations {durations}")


def sparse_enough(n: int, c: int, losses: int) -> bool:
    """Return whether n members have a regular graph for c and d (spec 2.4)."""
    try:
        degree_of(n, c, losses)
    except errors.ParameterError:
        return False
    return True


def _check_graph(manifest: Manifest) -> None:
    """Check that the graph exists: the complete one, or a regular one (rule 2.2-7)."""
    n, c, losses = len(manifest.members), manifest.corruption_bound, manifest.losses
    known = {"complete": losses is None, "regular": losses is not None}
    detail = f"graph {manifest.graph} with losses {losses}"
    errors.require("2.2-7", known.get(manifest.graph, False), detail)
    if losses is None:
        return
    most = n - input_floor(n, c)
    errors.require("2.2-7", losses <= most, f"{detail}: at most {most} of n = {n}")
    errors.require("2.2-7", sparse_enough(n, c, losses), f"{detail}: none for n = {n}")


def _check_scale(manifest: Manifest) -> None:
    counts = [count for count, _ in manifest.ranges]
    most = MAX_RANGES if manifest.rotation is None else 1
    parted = 1 <= len(counts) <= most and min(counts) >= 1
    errors.require(
        "2.2-10",
        parted and sum(counts) == manifest.length,
        f"{len(counts)} ranges of {sum(counts)} coordinates for m = {manifest.length}:"
        f" need 1 to {most} whose counts are at least 1 and add up to m",
    )
    bits, clip = manifest.bits, manifest.clip
    radii = {radius for _, radius in manifest.ranges}
    ordered = math.isfinite(clip) and all(0 < radius <= clip for radius in radii)
    ends = {clip, *radii, *(clip / radius for radius in radii)} if ordered else set()
    held = ordered and all(2.0**-900 <= value <= 2.0**900 for value in ends)
    detail = f"bits {bits}, clip {clip}, ranges {sorted(radii)[:4]}"
    errors.require("2.2-3", 8 <= bits <= 24 and held, detail)


def _check_extras(extras: tuple[Extra, ...]) -> None:
    names = [extra.name for extra in extras]
    named = all(_EXTRA_NAME.fullmatch(name) for name in names)
    free = len(set(names)) == len(names) and not {WEIGHT, SATURATED} & set(names)
    ranged = all(-EXTRA_BOUND <= e.low <= e.high <= EXTRA_BOUND for e in extras)
    errors.require(
        "2.2-4",
        len(extras) <= MAX_EXTRAS and named and free and ranged,
        f"extras {names} are not at most {MAX_EXTRAS} distinct names with low <= high",
    )


def _check_noise(dp: NoiseTerms | None) -> None:
    if dp is None:
        return
    ranged = math.isfinite(dp.noise_multiplier) and dp.noise_multiplier > 0
    known = dp.mechanism == "discrete-gaussian" and dp.adjacency in ADJACENCIES
    errors.require(
        "2.2-8",
        known and ranged and 0 < dp.delta < 1,
        f"dp {dp.mechanism}, z = {dp.noise_multiplier}, {dp.adjacency}, {dp.delta}",
    )
