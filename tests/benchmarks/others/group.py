"""Ours beside Flower's SecAgg+, TenSEAL CKKS and the plain sum, on the same vectors.

Two processes take turns: a hospital here and a batch of clients there, then the
aggregator here and the server there. Each times itself, and nobody's figures hold the
time on the wire. Every library runs as it is delivered: Flower and TenSEAL with the
threads they choose, ours with one a core.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from secagg.params import Parameters
from secagg.task import Task
from tests.benchmarks.interleaved import REPEATS
from tests.benchmarks.others.remote import Worker
from tests.benchmarks.others.sides import STAGES, Ckks, Costs, Flower, Ours, Plain, Side
from tests.benchmarks.others.vectors import RANGE, vector
from tests.benchmarks.rows import Figure, Row, at_least, at_most
from tests.benchmarks.sessions import Plan, record


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much to measure.

    Attributes:
        silos: each n.
        length: m.
        loss: the share of silos that is lost, beside none.
        repeats: turns.
        others: whether to drive the other libraries.
    """

    silos: tuple[int, ...] = (50, 100)
    length: int = 1_000_000
    loss: float = 0.1
    repeats: int = REPEATS
    others: bool = True


TOY = Sizes(silos=(5,), length=5_000, loss=0.2, repeats=2, others=False)

_CLIENT = {50: 6.0, 100: 12.0}
_SERVER = {(50, 0): 100.0, (50, 10): 40.0, (100, 0): 300.0, (100, 10): 80.0}
"""Times as fast as Flower: the client by n, the server by n and percent lost."""

_BYTES = 0.42
"""Of Flower's bytes up."""


def run(sizes: Sizes) -> Iterator[Row]:
    """Return the rows of every n."""
    for silos in sizes.silos:
        with contextlib.ExitStack() as stack:
            worker = stack.enter_context(Worker()) if sizes.others else None
            found = _costs(sizes, silos, worker)
        yield from _rows(sizes, silos, found)


def _costs(sizes: Sizes, silos: int, worker: Worker | None) -> dict[str, Costs]:
    losses = (0, round(silos * sizes.loss))
    # Nothing is clipped, and a coordinate may be as large as Flower lets it be.
    clip = 2 * RANGE * sizes.length**0.5
    task = Task(task_id="bench", length=sizes.length, clip=clip, coordinate_range=RANGE)
    # The one hospital that is played again finds its vector made.
    kept = functools.lru_cache(maxsize=1)(vector)
    plan = Plan(silos=silos, task=task, update=lambda k: kept(k, sizes.length))
    recordings = record(plan, losses)
    sides: list[Side] = [Ours(recordings), Plain(silos, sizes.length, losses)]
    if worker is not None:
        params = recordings[0].server.params
        sides += _others(worker, params, losses, sizes)
    for stage in STAGES:
        for turn in range(sizes.repeats):
            for side in sides:
                getattr(side, stage)(turn)
    return {side.name: side.costs() for side in sides}


def _others(
    worker: Worker, params: Parameters, losses: tuple[int, ...], sizes: Sizes
) -> list[Side]:
    given = {"length": sizes.length, "parts": sizes.repeats}
    return [
        Flower(worker, params.t, losses, count=params.n, **given),
        Ckks(worker, params.n, losses, **given),
    ]


def _rows(sizes: Sizes, silos: int, found: Mapping[str, Costs]) -> Iterator[Row]:
    ours = found[Ours.name]
    for name in sorted(found.keys() - {Ours.name}):
        theirs = found[name]
        yield _client(sizes, silos, name, ours, theirs)
        for lost in theirs.server:
            yield _server(sizes, silos, name, ours, theirs, lost)
        yield _bytes(sizes, silos, name, ours, theirs)
        yield from _memory(sizes, silos, name, ours, theirs)


def _client(sizes: Sizes, silos: int, name: str, ours: Costs, theirs: Costs) -> Row:
    flower = name == Flower.name
    return Row(
        group="others",
        name=f"Client beside {name}, {_what(sizes, silos)}",
        ours=ours.client,
        reference=theirs.client,
        goal=at_least(_CLIENT[silos]) if flower and silos in _CLIENT else None,
        headline=_headline(sizes, silos, name),
        labels={"n": silos, "m": sizes.length, "peer": name, "what": "client"},
    )


def _server(
    sizes: Sizes, silos: int, name: str, ours: Costs, theirs: Costs, lost: int
) -> Row:
    percent = round(100 * lost / silos)
    key, flower = (silos, percent), name == Flower.name
    return Row(
        group="others",
        name=f"Aggregator beside {name}, {_what(sizes, silos)},"
        f" {f'{percent} %' if percent else 'none'} lost",
        ours=ours.server[lost],
        reference=theirs.server[lost],
        goal=at_least(_SERVER[key]) if flower and key in _SERVER else None,
        detail=f"relative L2 error of the mean {ours.errors[lost]:.1e} beside"
        f" {theirs.errors[lost]:.1e}",
        headline=_headline(sizes, silos, name),
        labels={
            "n": silos,
            "m": sizes.length,
            "peer": name,
            "what": "server",
            "loss": percent,
            "error": ours.errors[lost],
            "their_error": theirs.errors[lost],
        },
    )


def _bytes(sizes: Sizes, silos: int, name: str, ours: Costs, theirs: Costs) -> Row:
    return Row(
        group="others",
        name=f"Bytes up beside {name}, {_what(sizes, silos)}",
        ours=Figure.exact(ours.bytes_up),
        reference=Figure.exact(theirs.bytes_up),
        unit="bytes",
        compare="share",
        goal=at_most(_BYTES) if name == Flower.name else None,
        detail=f"{ours.bytes_up / sizes.length:.2f} a parameter beside"
        f" {theirs.bytes_up / sizes.length:.2f}",
        headline=_headline(sizes, silos, name),
        labels={"n": silos, "m": sizes.length, "peer": name, "what": "bytes"},
    )


def _memory(
    sizes: Sizes, silos: int, name: str, ours: Costs, theirs: Costs
) -> Iterator[Row]:
    pairs = {
        "client": (ours.client_memory, theirs.client_memory),
        "aggregator": (ours.server_memory, theirs.server_memory),
    }
    for party, (mine, other) in pairs.items():
        yield Row(
            group="others",
            name=f"Peak memory of the {party} beside {name}, {_what(sizes, silos)}",
            ours=Figure.exact(mine),
            reference=Figure.exact(other),
            unit="bytes",
            compare="share",
            labels={"n": silos, "peer": name, "what": f"{party} memory"},
        )


def _headline(sizes: Sizes, silos: int, name: str) -> bool:
    """Flower at every n, CKKS at the greatest."""
    return name == Flower.name or (name == Ckks.name and silos == max(sizes.silos))


def _what(sizes: Sizes, silos: int) -> str:
    return f"n = {silos}, m = {sizes.length:,}"
