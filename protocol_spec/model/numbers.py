"""Vectors of the number layer and of derived parameters (spec 2.2, 5)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from functools import partial
from typing import Any

from protocol_spec.model.encoding import real
from protocol_spec.model.messages import Body
from protocol_spec.model.parameters import parameters_of
from protocol_spec.model.primitives import KEY, some
from protocol_spec.model.quantize import contribution, round_at
from protocol_spec.model.record import derived_json
from protocol_spec.model.roster import open_roster
from protocol_spec.model.rotation import Rotation
from protocol_spec.model.setting import base_manifest, signed_roster
from protocol_spec.model.twins import judged

SIZES = (
    *((4, 1), (5, 1), (6, 1), (7, 2), (10, 1), (10, 3)),
    *((30, 3), (100, 10), (100, 33), (3, 0), (1000, 333)),
)


def all_numbers() -> Iterator[tuple[str, Body]]:
    """Every file of this module: (name, content)."""
    yield "parameters", {"kind": "parameters", "cases": [*_parameters()]}
    yield "parameters_bad_overflow", {"kind": "parameters", "cases": [*_overflows()]}
    yield "quantizer", {"kind": "quantizer", "cases": [*_contributions()]}
    yield "rounding", {"kind": "rounding", "cases": [*_roundings()]}
    yield "rotation", {"kind": "rotation", "cases": [*_rotations()]}


def manifest(n: int, c: int, **changes: Any) -> Body:
    """A Manifest of n members, of which only the number matters; one range."""
    members = [[f"h{index:04}", bytes(32)] for index in range(n)]
    base = base_manifest(open_roster(*signed_roster(3)), members, c)
    clip, m = changes.get("clip", base["clip"]), changes.get("m", base["m"])
    return {**base, "ranges": [[m, clip]], **changes}


def _given(asked: Body) -> Body:
    """The fields that derive something, reals as their 8 bytes."""
    names = ("c", "m", "extras", "bits", "clip", "ranges", "weighting", "w_max")
    out = {name: asked[name] for name in names}
    out["rotation"] = asked["rotation"].hex() if asked["rotation"] else None
    out["clip"] = asked["clip"].hex()
    out["ranges"] = [[count, r.hex()] for count, r in asked["ranges"]]
    return {"n": len(asked["members"]), **out}


def _parameters() -> Iterator[Body]:
    """The table of sizes, and shapes at the edges of the widths and limbs."""
    asked = [manifest(n, c) for n, c in SIZES]
    asked += [manifest(4, 1, bits=bits) for bits in (8, 12, 17, 20, 24)]
    asked += [manifest(256, 3, bits=24), manifest(30, 3, m=10_000, bits=20)]
    wide = [["a", 0, 0], ["b", -(2**58), 2**58], ["c", 0, 2**17], ["d", -5, 2**16]]
    asked.append(manifest(10, 3, extras=wide, weighting="weighted", w_max=2**31))
    wide_range = {"clip": real(3.7), "m": 2**40, "ranges": [[2**40, real(0.1)]]}
    asked += [manifest(10, 3, **wide_range), manifest(10, 3, clip=real(0.3), m=49)]
    three = [[2**39, real(1.0)], [1, real(0.001)], [2**39 - 1, real(8.0)]]
    asked.append(manifest(10, 3, m=2**40, ranges=three))
    for m in (1, 2, 4, 5, 64, 65, 1025, 4096, 4097, 10**6, 2**40):
        half = {"m": m, "ranges": [[m, real(4.0)]]}
        asked.append(manifest(4, 1, rotation=KEY, **half))
    for one in asked:
        yield {"given": _given(one), "derived": derived_json(parameters_of(one))}


def _overflows() -> Iterator[Body]:
    """Sums that no width holds (rule 2.2-5)."""
    for n, bits in ((257, 24), (1000, 23)):
        asked = manifest(n, 0, bits=bits)
        refuse = judged("2.2-5", "c", partial(parameters_of, asked))
        yield {"given": _given(asked), "refuse": refuse}


def _contributions() -> Iterator[Body]:
    """x_u for given updates and rounding keys; norms are exact in binary64."""
    plain = [0.0, 1.0, -1.0, 0.5, -0.5, 1 / 3, -1 / 3, 7.999, 1e-9, -1e-9, 2.5e-5]
    declared = [["cases", 0, 100_000], ["offset", -(2**40), 2**40]]
    extras = {"cases": 99_999, "offset": -123_456_789_012}
    half, heavy = {"ranges": [[5, real(0.5)]]}, {"weighting": "weighted", "w_max": 7}
    three = [[2, real(0.5)], [6, real(1 / 3)], [3, real(8.0)]]
    cases: list[tuple[str, list[float], int, dict[str, int], Body]] = [
        ("nothing is clipped", plain, 1, {}, {}),
        ("clipped from 10 to 8", [6.0, 8.0, 0.0], 1, {}, {}),
        ("clipped, three quarters", [-24.0, 32.0], 1, {}, {"clip": real(30.0)}),
        ("saturates", [0.75, -0.75, 2.0, -3.0, 0.1], 1, {}, half),
        ("three ranges", plain, 1, {}, {"ranges": three}),
        ("three ranges, weighted", plain, 3, {}, {"ranges": three, **heavy}),
        ("weighted", plain, 3, {}, heavy),
        ("extras", plain, 1, extras, {"extras": declared}),
        ("rotated", plain, 1, {}, {"rotation": KEY}),
        ("rotated, saturates", [3.0] * 5, 1, {}, {"rotation": KEY, **half}),
        ("rotated, clipped, weighted", [6.0, 8.0], 3, {}, {"rotation": KEY, **heavy}),
        ("24 bits", plain, 1, {}, {"bits": 24}),
        ("8 bits", plain, 1, {}, {"bits": 8}),
        ("zero", [0.0] * 5, 1, {}, {}),
    ]
    for place, (about, update, weight, given, changes) in enumerate(cases):
        asked = manifest(4, 1, m=len(update), **changes)
        key = some(f"rounding {place}")
        made = contribution(update, weight, given, key, parameters_of(asked))
        yield {
            "about": about,
            "given": _given(asked),
            "update": [real(value).hex() for value in update],
            "weight": weight,
            "extras": given,
            "rounding_key": key.hex(),
            "saturated": made.saturated,
            "x_u": made.x_u,
        }


def _rotations() -> Iterator[Body]:
    """Rotated updates and back: in full, or what makes them and their hashes."""
    for m in (1, 3, 4, 17, 9000):
        update = [(j * 7919 % 1009 - 504) / 64 for j in range(m)]
        turned = Rotation.of(KEY, m)
        there = turned.forward(update)
        back = turned.backward([math.floor(v) for v in there])
        values = {"update": update, "forward": there, "backward": back}
        yield {
            "seed": KEY.hex(),
            "key": turned.key.hex(),
            "m": m,
            "block": turned.block,
            "blocks": turned.blocks,
            "places": turned.coordinates()[:64],
            "signs": turned.signs()[:64],
            **{name: _reals(part) for name, part in values.items()},
        }


def _reals(values: list[float]) -> Body:
    """The first of some reals, and the SHA-256 over all; a zero is not negative."""
    plain = [real(value + 0.0) for value in values]
    whole, first = b"".join(plain), [value.hex() for value in plain[:20]]
    return {"first": first, "sha256": hashlib.sha256(whole).hexdigest()}


def _roundings() -> Iterator[Body]:
    """One coordinate at the edges: v, the word, the integer."""
    halves = (0.5, -0.5, 1.25, -1.25, 3.0, -3.0, 0.0, 2.0**-40, -(2.0**-40), 8388606.75)
    for v in halves:
        cut = 2**32 * (v - math.floor(v))
        edge = math.ceil(cut)
        words = sorted({0, max(0, edge - 1), min(edge, 2**32 - 1), 2**32 - 1})
        for word in words:
            yield {"v": real(v).hex(), "word": word, "x": round_at(v, word)}
