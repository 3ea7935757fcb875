"""The parameters of a Manifest and all that follows from them (spec 2.2)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from protocol_spec.model.encoding import from_real
from protocol_spec.model.field import WIDTHS, prime
from protocol_spec.model.graph import Degree, degree_of
from protocol_spec.model.messages import Body
from protocol_spec.model.refusal import RefusedError, require
from protocol_spec.model.rotation import Rotation


@dataclass(frozen=True)
class Parameters:
    """What section 2.2 derives; `extras` are all extra coordinates, in order.

    `scales` has the scale of each range, with the count of its coordinates;
    `coordinates` is m'.
    """

    n: int
    c: int
    q: int
    degree: Degree
    floor: int
    d: int
    regular: bool
    m: int
    rotated: Rotation | None
    coordinates: int
    x_max: int
    scales: tuple[tuple[int, float], ...]
    delta_int: int
    clip: float
    w: int
    p: int
    limb_bits: int
    extras: tuple[tuple[str, int, int], ...]
    limbs: tuple[int, ...]
    length: int
    weighting: str
    w_max: int
    chunk_log2: int


def _norm_bound(reach: Fraction, m: int) -> int:
    """The least integer k with k >= reach + sqrt(m), exactly."""
    k = math.floor(reach) + math.isqrt(m)
    while k < reach or (k - reach) ** 2 < m:
        k += 1
    return k


def quorum(n: int, c: int) -> int:
    """Q = floor((n + c) / 2) + 1."""
    return (n + c) // 2 + 1


def most_losses(n: int, c: int) -> int:
    """N - max(q, min_inputs)."""
    return n - max(quorum(n, c), 3, c + 2)


def _degree(n: int, c: int, losses: int | None) -> Degree:
    """K, c_k, t and L; `losses` is nil on the complete graph (rule 2.2-7)."""
    if losses is None:
        q = quorum(n, c)
        return Degree(k=n - 1, corrupt=c, t=q, least=q - 1)
    require("2.2-7", losses <= most_losses(n, c), f"{losses} losses of {n}, c = {c}")
    degree = degree_of(n, c, losses)
    if degree is None:
        raise RefusedError("2.2-7", f"no regular graph for {losses} losses of {n}")
    return degree


def parameters_of(manifest: Body) -> Parameters:
    """Check rules 2.2-1 to 2.2-10 and derive the rest."""
    _check_sizes(manifest)
    _check_extras(manifest["extras"])
    _check_kinds(manifest)
    _check_noise(manifest["dp"])
    n, c, m = len(manifest["members"]), manifest["c"], manifest["m"]
    clip = from_real(manifest["clip"])
    x_max = 2 ** (manifest["bits"] - 1) - 1
    scales = tuple((count, x_max / r) for count, r in ranges_of(manifest))
    w = _width(n * x_max)
    limb_bits = _limb_bits(n, prime(w))
    extras = all_extras(manifest)
    limbs = tuple(_limbs(high - low, limb_bits) for _, low, high in extras)
    largest = max(scale for _, scale in scales)
    rotated = rotation_of(manifest)
    coordinates = m if rotated is None else rotated.length
    delta_int = _norm_bound(Fraction(largest) * Fraction(clip), coordinates)
    _check_reach(n, extras)
    _check_variance(manifest["dp"], delta_int, extras)
    regular = manifest["graph"] == "regular"
    d = manifest["losses"] if regular else most_losses(n, c)
    return Parameters(
        n=n,
        c=c,
        q=quorum(n, c),
        degree=_degree(n, c, manifest["losses"]),
        floor=n - d,
        d=d,
        regular=regular,
        m=m,
        rotated=rotated,
        coordinates=coordinates,
        x_max=x_max,
        scales=scales,
        delta_int=delta_int,
        clip=clip,
        w=w,
        p=prime(w),
        limb_bits=limb_bits,
        extras=extras,
        limbs=limbs,
        length=coordinates + sum(limbs),
        weighting=manifest["weighting"],
        w_max=manifest["w_max"],
        chunk_log2=manifest["chunk_log2"],
    )


def ranges_of(manifest: Body) -> list[tuple[int, float]]:
    """(count, r) of each entry of `ranges`."""
    return [(count, from_real(r)) for count, r in manifest["ranges"]]


def rotation_of(manifest: Body) -> Rotation | None:
    """The rotation that the seed gives (spec 5.1)."""
    seed = manifest["rotation"]
    return None if seed is None else Rotation.of(seed, manifest["m"])


def all_extras(manifest: Body) -> tuple[tuple[str, int, int], ...]:
    """The declared extras, then `weight`, then `saturated`."""
    extras = [(name, low, high) for name, low, high in manifest["extras"]]
    if manifest["weighting"] == "weighted":
        extras.append(("weight", 0, manifest["w_max"]))
    narrow = min(r for _, r in ranges_of(manifest)) < from_real(manifest["clip"])
    if narrow and manifest["dp"] is None:
        rotated = rotation_of(manifest)
        most = manifest["m"] if rotated is None else rotated.length
        extras.append(("saturated", 0, most))
    return tuple(extras)


def _width(bound: int) -> int:
    """The smallest w with (p_w - 1)/2 >= n x_max (rule 2.2-5)."""
    fitting = [w for w in WIDTHS if (prime(w) - 1) // 2 >= bound]
    require("2.2-5", fitting, f"n x_max = {bound} overflows every width")
    return fitting[0]


def _limb_bits(n: int, p: int) -> int:
    """L, the largest with n 2^L <= (p - 1)/2 (rule 2.2-5)."""
    bits = ((p - 1) // 2 // n).bit_length() - 1
    require("2.2-5", bits >= 1, "no limb fits the field")
    return bits


def _limbs(span: int, limb_bits: int) -> int:
    """Limbs of an extra whose range spans `span`."""
    return max(1, math.ceil(span.bit_length() / limb_bits))


def _check_sizes(manifest: Body) -> None:
    """Rules 2.2-1, 2.2-2, 2.2-10, 2.2-3."""
    n, c, m = len(manifest["members"]), manifest["c"], manifest["m"]
    require("2.2-1", n >= 3 and c >= 0 and n > 3 * c, f"n = {n}, c = {c}")
    sized = 1 <= m <= 2**40 and 12 <= manifest["chunk_log2"] <= 20
    require("2.2-2", sized, f"m = {m} or chunk_log2 = {manifest['chunk_log2']}")
    counts = [count for count, _ in manifest["ranges"]]
    most = 1024 if manifest["rotation"] is None else 1
    parted = 1 <= len(counts) <= most and min(counts) >= 1 and sum(counts) == m
    require("2.2-10", parted, f"{len(counts)} ranges of {sum(counts)} coordinates")
    clip, ranges = from_real(manifest["clip"]), [r for _, r in ranges_of(manifest)]
    ordered = min(ranges) > 0 and max(ranges) <= clip
    ends = (clip, min(ranges), max(ranges), clip / min(ranges)) if ordered else ()
    held = ordered and all(2.0**-900 <= value <= 2.0**900 for value in ends)
    scaled = 8 <= manifest["bits"] <= 24 and held
    require("2.2-3", scaled, f"bits {manifest['bits']}, C = {clip}, ranges {ranges}")


def _check_extras(extras: list[list[Any]]) -> None:
    """Rule 2.2-4."""
    names = [name for name, _, _ in extras]
    named = all(re.fullmatch("[a-z0-9_]{1,32}", name) for name in names)
    distinct = len({*names, "weight", "saturated"}) == len(names) + 2
    ranged = all(-(2**62) <= low <= high <= 2**62 for _, low, high in extras)
    ok = len(extras) <= 64 and named and distinct and ranged
    require("2.2-4", ok, f"extras {names}")


def _check_kinds(manifest: Body) -> None:
    """Rules 2.2-6, 2.2-7, 2.2-9."""
    kind, w_max = manifest["weighting"], manifest["w_max"]
    uniform = kind == "uniform" and w_max == 1
    weighted = kind == "weighted" and 1 <= w_max <= 2**31
    require("2.2-6", uniform or weighted, f"{kind}, w_max = {w_max}")
    graph, losses = manifest["graph"], manifest["losses"]
    drawn = (graph, losses is None) in {("complete", True), ("regular", False)}
    require("2.2-7", drawn, f"graph {graph} with losses {losses}")
    keystream = manifest["keystream"]
    require("2.2-7", keystream == "chacha20", f"keystream {keystream}")
    durations = manifest["durations"]
    timed = len(durations) == 7 and all(1 <= ms <= 86_400_000 for ms in durations)
    require("2.2-9", timed, f"durations {durations}")


def _check_noise(dp: list[Any] | None) -> None:
    """Rule 2.2-8."""
    if dp is None:
        return
    mechanism, z, adjacency, delta = dp
    known = mechanism == "discrete-gaussian" and adjacency in {
        "zero-out",
        "replace-one",
    }
    ranged = from_real(z) > 0 and 0 < from_real(delta) < 1
    require("2.2-8", known and ranged, f"dp {mechanism}, {adjacency}")


def _check_reach(n: int, extras: tuple[tuple[str, int, int], ...]) -> None:
    """No extra may sum beyond 2^62 (rule 2.2-5)."""
    peak = max((max(abs(low), abs(high)) for _, low, high in extras), default=0)
    require("2.2-5", n * peak <= 2**62, f"an extra may sum to {n * peak}")


def _check_variance(
    dp: list[Any] | None, delta_int: int, extras: tuple[tuple[str, int, int], ...]
) -> None:
    """A variance that samplers reach (rule 2.2-8)."""
    if dp is not None:
        sigma_squared, _ = noise_terms(dp, delta_int, extras)
        require("2.2-8", sigma_squared < 2**96, f"sigma^2 = {sigma_squared}")


def noise_terms(
    dp: list[Any], delta_int: int, extras: tuple[tuple[str, int, int], ...]
) -> tuple[int, int]:
    """(sigma^2, Delta^2) of rule 10-2, exactly."""
    _, z, adjacency, _ = dp
    sensitivity = delta_int**2 + sum((high - low) ** 2 for _, low, high in extras)
    sensitivity *= 4 if adjacency == "replace-one" else 1
    return math.ceil(Fraction(from_real(z)) ** 2 * sensitivity), sensitivity
