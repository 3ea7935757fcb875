"""Beside the tables of Bonawitz et al., CCS 2017 (ePrint 2017/281): n = 500 and 1,000.

Their figures are those they published, of a Java program on one thread of a 3.5 GHz
Xeon of 2014; ours are of this machine. The vectors have 100,000 entries of 16 bits, and
what is lost is lost after the shares are dealt and before the masked vector is sent.
"""

from __future__ import annotations

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
        silos: each n.
        length: m.
        losses: shares of the silos that are lost, in percent.
        repeats: turns.
    """

    silos: tuple[int, ...] = (500, 1000)
    length: int = 100_000
    losses: tuple[int, ...] = (0, 10, 30)
    repeats: int = REPEATS


TOY = Sizes(silos=(10,), length=5_000, losses=(0, 30), repeats=1)

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
_SERVER_GOALS = {500: 10.0, 1000: 40.0}
"""Seconds; the server's at 30 percent lost, and so at fewer."""


def run(sizes: Sizes) -> Iterator[Row]:
    """Return the rows of every n on the complete graph."""
    for silos in sizes.silos:
        yield from _rows(sizes, silos, _task(sizes))


def _task(sizes: Sizes) -> Task:
    return Task(task_id="bench", length=sizes.length, clip=1.0, graph="complete")


def _rows(sizes: Sizes, silos: int, task: Task) -> Iterator[Row]:
    plan = Plan(silos=silos, task=task, update=same_for_all(sizes.length))
    lost = {percent: round(silos * percent / 100) for percent in sizes.losses}
    recordings = record(plan, list(lost.values()))
    first = recordings[0]

    def client() -> dict[str, float]:
        return {"client": first.client_seconds()}

    def server() -> dict[str, float]:
        return {f"{p}": recordings[k].server_seconds() for p, k in lost.items()}

    found = interleaved(client, server, repeats=sizes.repeats, warm=False)
    yield _client(sizes, silos, found["client"], first)
    for percent in sizes.losses:
        yield _server(sizes, silos, found[f"{percent}"], percent)


def _client(sizes: Sizes, silos: int, ours: Figure, recording: Recording) -> Row:
    theirs, goal = _THEIR_CLIENT.get(silos), _CLIENT_GOALS.get(silos)
    return Row(
        group="bonawitz",
        name=f"Client beside Bonawitz et al., {_what(sizes, silos)}",
        ours=ours,
        reference=None if theirs is None else Figure.exact(theirs),
        compare="figure",
        goal=None if goal is None else at_most(goal),
        detail=f"{recording.bytes_up / 1e6:.2f} MB up",
        headline=True,
        labels={"n": silos, "m": sizes.length, "what": "client"},
    )


def _server(sizes: Sizes, silos: int, ours: Figure, percent: int) -> Row:
    theirs, goal = _THEIR_SERVER.get((silos, percent)), _SERVER_GOALS.get(silos)
    return Row(
        group="bonawitz",
        name=f"Aggregator beside Bonawitz et al., {_what(sizes, silos)},"
        f" {f'{percent} %' if percent else 'none'} lost",
        ours=ours,
        reference=None if theirs is None else Figure.exact(theirs),
        compare="figure",
        goal=None if goal is None else at_most(goal),
        headline=True,
        labels={"n": silos, "m": sizes.length, "what": "server", "loss": percent},
    )


def _what(sizes: Sizes, silos: int) -> str:
    return f"n = {silos:,}, m = {sizes.length:,}, complete graph"
