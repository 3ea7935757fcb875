"""Uploads beside bare TLS websocket transfers of the same bytes.

Both between the same processes, turn by turn: n hospitals quantize, mask, pack, hash
and send at once, and the aggregator checks, hashes and stores; then they send as many
bytes over websockets with nothing behind them. Where both ends share few cores, the
work itself is a bound that no overlap removes: its CPU seconds over the cores, which
stand beside as a row of their own. On two cores of a Xeon a bare transfer takes 4.7 CPU
ns an element at both ends, and masks, hashes, quantizing and packing 12.7: even with no
second lost the ratio would be 0.48, below the goal.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.processes import heard, running
from tests.benchmarks.rows import Figure, Row, at_least
from tests.benchmarks.upload_parties import Plan, arguments


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much to measure: n, m and the turns, of which the first is not counted."""

    silos: int = 5
    length: int = 10_000_000
    turns: int = 8


TOY = Sizes(silos=4, length=20_000, turns=2)


def run(sizes: Sizes) -> Iterator[Row]:
    """Return the rows."""
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(sizes.silos, sizes.length, sizes.turns, folder)
        server, hospitals = _measured(plan)
    ours, bare = Figure.of(server["ours"][1:]), Figure.of(server["bare"][1:])
    parties = [server, *hospitals]
    cpu = {kind: sum(_median(one["cpu"][kind]) for one in parties) for kind in _KINDS}
    work = {name: sizes.silos * took for name, took in server["parts"].items()}
    least = (cpu["bare"] + sum(work.values())) / (os.cpu_count() or 1)
    per_element = 1e9 / (sizes.silos * sizes.length)
    said = {"TLS and websockets": cpu["bare"], **work, "all of it": cpu["ours"]}
    detail = ", ".join(f"{name} {s * per_element:.1f}" for name, s in said.items())
    labels = {"n": sizes.silos, "m": sizes.length}
    what = f"n = {sizes.silos} at once, m = {sizes.length:,}"
    yield Row(
        group="upload",
        name=f"Upload beside a bare TLS websocket transfer, {what}",
        ours=ours,
        reference=bare,
        goal=at_least(0.70),
        detail=f"{os.cpu_count()} cores that both ends share allow"
        f" {min(1.0, bare.median / least):.2f}: CPU ns an element"
        f" {per_element * cpu['bare']:.1f} of a bare transfer,"
        f" {per_element * sum(work.values()):.1f} of quantizing, masks and hashes",
        headline=True,
        labels=labels,
    )
    yield Row(
        group="upload",
        name=f"Upload beside its CPU seconds over the cores, {what}",
        ours=ours,
        reference=Figure.exact(least),
        detail=f"CPU ns an element, both ends: {detail}",
        labels=labels,
    )


_KINDS = ("ours", "bare")


def _median(seconds: list[float]) -> float:
    return Figure.of(seconds[1:]).median


def _measured(plan: Plan) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    with running() as start:
        server = start(arguments(plan, "aggregator", []))
        ports = heard(server)["ports"]
        silos = [start(arguments(plan, u, ports)) for u in plan.consortium.silos]
        return heard(server), [heard(silo) for silo in silos]
