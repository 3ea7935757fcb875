"""The number layer: clip, saturate, scale, round, limbs, and back (spec 5)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from protocol_spec.model.encoding import hkdf
from protocol_spec.model.field import centred
from protocol_spec.model.keystream import ROUND, word
from protocol_spec.model.parameters import Parameters


@dataclass(frozen=True)
class Contribution:
    """x_u and what is known beside it: signed coordinates, then the limbs."""

    x_u: list[int]
    saturated: int


def rounding_key(seed: bytes, sid: bytes) -> bytes:
    """The PRG key of rounding (spec 3.5)."""
    return hkdf(seed, b"secagg/1/round", sid)


def contribution(
    update: Sequence[float],
    weight: int,
    extras: Mapping[str, int],
    key: bytes,
    params: Parameters,
) -> Contribution:
    """Steps 1 to 4 of section 5."""
    norm = math.sqrt(math.fsum(g * g for g in update))
    held = params.clip * (1 - 2.0**-44)
    f = weight / params.w_max * (1.0 if norm <= held else held / norm)
    scaled = _scaled(update, f, params)
    saturated = sum(abs(v) > params.x_max for v in scaled)
    kept = [max(-params.x_max, min(params.x_max, v)) for v in scaled]
    x_u = [round_at(v, word(key, ROUND, i)) for i, v in enumerate(kept)]
    given = {**extras, "weight": weight, "saturated": saturated}
    for (name, low, _), count in zip(params.extras, params.limbs, strict=True):
        x_u += limbs(given[name] - low, count, params.limb_bits)
    return Contribution(x_u, saturated)


def _scaled(update: Sequence[float], f: float, params: Parameters) -> list[float]:
    """v_i before saturation, m' of them."""
    turned = params.rotated
    if turned is None:
        return [s * f * g for s, g in zip(scales(params), update, strict=True)]
    gain = params.scales[0][1] * f / turned.root
    return turned.forward([gain * g for g in update])


def scales(params: Parameters) -> list[float]:
    """The scale s_i of each coordinate."""
    return [scale for count, scale in params.scales for _ in range(count)]


def round_at(v: float, drawn: int) -> int:
    """floor(v) + [word < 2^32 (v - floor(v))]; both sides are exact (spec 5)."""
    whole = math.floor(v)
    return whole + (1 if drawn < 2**32 * (v - whole) else 0)


def limbs(value: int, count: int, limb_bits: int) -> list[int]:
    """`value` in base 2^L, least limb first."""
    return [value >> limb_bits * k & (2**limb_bits - 1) for k in range(count)]


def opened(total: Sequence[int], p: int) -> list[int]:
    """The opened sum, centred mod p (spec 4.8)."""
    return [centred(value, p) for value in total]


def extra_sums(
    total: Sequence[int], silos: int, params: Parameters
) -> list[tuple[str, int]]:
    """(name, sum) of each extra, from the opened limbs: |U3| low is put back."""
    sums: list[tuple[str, int]] = []
    place = params.coordinates
    for (name, low, _), count in zip(params.extras, params.limbs, strict=True):
        parts = total[place : place + count]
        value = sum(part << params.limb_bits * k for k, part in enumerate(parts))
        sums.append((name, value + silos * low))
        place += count
    return sums


def mean(
    total: Sequence[int], sums: list[tuple[str, int]], silos: int, params: Parameters
) -> list[float]:
    """The mean over U3 (spec 5)."""
    count = float(silos)
    if params.weighting == "weighted":
        count = dict(sums)["weight"] / params.w_max
    turned = params.rotated
    if turned is None:
        pairs = zip(total, scales(params), strict=False)
        return [x / (s * count) for x, s in pairs]
    unit = params.scales[0][1] * count * turned.root
    vector = [float(x) for x in total[: params.coordinates]]
    return [x / unit for x in turned.backward(vector)]
