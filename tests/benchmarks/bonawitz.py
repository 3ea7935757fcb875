"""Beside the tables of Bonawitz et al., CCS 2017 (ePrint 2017/281): n = 500 and 1,000.

Their figures are those they published, of a Java program on one thread of a 3.5 GHz
Xeon of 2014; ours are of this machine. The vectors have 100,000 entries of 16 bits, and
what is lost is lost after the shares are dealt and before the masked vector is sent.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from secagg.task import Task
from tests.benchmarks.interleaved import REPEATS, interleaved
from tests.benchmarks.rows import Figure, Row, at_most
from tests.benchmarks.sessions import Plan, Recording, record, same_for_all


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much to measure.

    Attributes:
        silos: each n on the complete graph.
        sparse: each n on a sparse one that bears the most losses.
        sparse_corruption: one member in so many may be corrupt there; on the complete
            graph one in all.
        length: m.
        losses: shares of the silos that are lost, in percent.
        repeats: turns.
    """

    silos: tuple[int, ...] = (500, 1000)
    sparse: tuple[int, ...] = (1000,)
    sparse_corruption: int = 10
    length: int = 100_000
    losses: tuple[int, ...] = (0, 10, 30)
    repeats: int = REPEATS


TOY = Sizes(silos=(10,), sparse=(40,), length=5_000, losses=(0, 30), repeats=1)

COMPLETE, SPARSE = "complete", "regular"

_THEIR_CLIENT = {500: 0.849, 1000: 1.699}
_THEIR_SERVER = {
    (500, 0): 2.018,
    (500, 10): 62.239,
    (500, 30): 143.389,
    (1000, 0): 4.887,
    (1000, 10): 180.875,
    (1000, 30): 413.767,
}
"""Seconds of their tables; the server by n and percent lost."""

_CLIENT_GOALS = {500: 0.4, 1000: 0.8}
_SERVER_GOALS = {(500, COMPLETE): 10.0, (1000, COMPLETE): 40.0, (1000, SPARSE): 8.0}
"""Seconds; the server's at 30 percent lost, and so at fewer."""


def run(sizes: Sizes) -> Iterator[Row]:
    """Return the rows of every n on the complete graph, then on sparse ones."""
    for graph, every in ((COMPLETE, sizes.silos), (SPARSE, sizes.sparse)):
        for silos in every:
            yield from _rows(sizes, silos, graph)


def _task(sizes: Sizes, silos: int, graph: str) -> Task:
    task = Task(task_id="bench", length=sizes.length, clip=1.0, graph=graph)
    if graph == COMPLETE:
        return task
    most = round(silos * max(sizes.losses) / 100)
    corrupt = max(1, silos // sizes.sparse_corruption)
    return dataclasses.replace(task, losses=most, corruption_bound=corrupt)


def _rows(sizes: Sizes, silos: int, graph: str) -> Iterator[Row]:
    task = _task(sizes, silos, graph)
    plan = Plan(silos=silos, task=task, update=same_for_all(sizes.length))
    lost = {percent: round(silos * percent / 100) for percent in sizes.losses}
    recordings = record(plan, list(lost.values()))
    first = recordings[0]

    def client() -> dict[str, float]:
        return {"client": first.client_seconds()}

    def server() -> dict[str, float]:
        return {f"{p}": recordings[k].server_seconds() for p, k in lost.items()}

    found = interleaved(client, server, repeats=sizes.repeats, warm=False)
    yield _client(sizes, found["client"], first)
    for percent in sizes.losses:
        yield _server(sizes, found[f"{percent}"], first, percent)


def _client(sizes: Sizes, ours: Figure, recording: Recording) -> Row:
    silos = recording.server.params.n
    theirs, goal = _THEIR_CLIENT.get(silos), _CLIENT_GOALS.get(silos)
    return Row(
        group="bonawitz",
        name=f"Client beside Bonawitz et al., {_what(sizes, recording)}",
        ours=ours,
        reference=None if theirs is None else Figure.exact(theirs),
        compare="figure",
        goal=None if goal is None else at_most(goal),
        detail=f"{recording.bytes_up / 1e6:.2f} MB up",
        headline=True,
        labels={"n": silos, "m": sizes.length, "what": "client"},
    )


def _server(sizes: Sizes, ours: Figure, recording: Recording, percent: int) -> Row:
    silos = recording.server.params.n
    theirs = _THEIR_SERVER.get((silos, percent))
    goal = _SERVER_GOALS.get((silos, recording.plan.task.graph))
    return Row(
        group="bonawitz",
        name=f"Aggregator beside Bonawitz et al., {_what(sizes, recording)},"
        f" {f'{percent} %' if percent else 'none'} lost",
        ours=ours,
        reference=None if theirs is None else Figure.exact(theirs),
        compare="figure",
        goal=None if goal is None else at_most(goal),
        headline=percent in {min(sizes.losses), max(sizes.losses)},
        labels={"n": silos, "m": sizes.length, "what": "server", "loss": percent},
    )


def _what(sizes: Sizes, recording: Recording) -> str:
    params, graph = recording.server.params, recording.plan.task.graph
    kind = "complete graph" if graph == COMPLETE else f"{params.degree.k} neighbours"
    return f"n = {params.n:,}, m = {sizes.length:,}, {kind}"
