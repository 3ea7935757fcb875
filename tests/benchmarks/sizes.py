"""Bytes on the wire: counted, not timed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from secagg.task import Task
from tests.benchmarks.rows import Figure, Row, at_most
from tests.benchmarks.sessions import Plan, record, same_for_all


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much to measure.

    Attributes:
        silos, length: n and m of the session whose overhead is stated.
    """

    silos: int = 100
    length: int = 1_000_000


TOY = Sizes(silos=4, length=5_000)


def run(sizes: Sizes) -> Iterator[Row]:
    """Return the rows."""
    yield _overhead(sizes)


def _overhead(sizes: Sizes) -> Row:
    """Return all that a hospital sends beside w bits an element."""
    task = Task(task_id="bench", length=sizes.length, clip=1.0)
    plan = Plan(silos=sizes.silos, task=task, update=same_for_all(sizes.length))
    found = record(plan)[0]
    width = found.server.params.width
    return Row(
        group="sizes",
        name=f"Bytes up beside w bits an element, n = {sizes.silos},"
        f" m = {sizes.length:,}",
        ours=Figure.exact(found.bytes_up),
        reference=Figure.exact(sizes.length * width / 8),
        unit="bytes",
        compare="share",
        goal=at_most(1.03),
        detail=f"w = {width}",
        headline=True,
        labels={"n": sizes.silos, "m": sizes.length},
    )
