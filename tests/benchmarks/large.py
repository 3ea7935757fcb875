"""``make bench-large``: models that do not fit beside themselves in memory.

One aggregator and n hospitals as processes of their own, over mutual TLS on this
machine; each hospital holds an update of float32 and nothing else of that size, and the
last one leaves half way through its upload. Of every process the peak of resident
memory is taken, beyond what it had before the round; the sum is compared with a plain
sum of the integers that went in.

The pages of files that the system caches are its own and are given back; the spool is
as large as all uploads together, and lies in the folder that is named, or in a
temporary one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from secagg.names import PeerId
from tests.benchmarks.large_parties import MIB, Plan, arguments
from tests.benchmarks.processes import heard, running
from tests.benchmarks.rows import Figure, Row, at_most

ROOM = 64 * MIB
"""What either side may take beside its one vector."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much to measure.

    Attributes:
        silos: n.
        lengths: every m, ascending; time a coordinate is compared with the first.
        lost: how many hospitals leave.
        folder: where the spool lies; empty for a temporary place.
    """

    silos: int = 10
    lengths: tuple[int, ...] = (1_000_000, 10_000_000, 100_000_000)
    lost: int = 1
    folder: str = ""


# So short a vector is sent before anybody could leave half way through it.
TOY = Sizes(silos=4, lengths=(20_000, 40_000), lost=0)


def missing() -> str:
    """Say why the full sizes cannot be measured here; empty if they can."""
    full = Sizes()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    disk = shutil.disk_usage(tempfile.gettempdir()).free
    needed = 6 * max(full.lengths) * full.silos
    if memory < needed or disk < needed:
        return f"{needed >> 30} GiB of free memory and of disk are needed"
    return unreadable()


def unreadable() -> str:
    """Say why a process's peak of memory cannot be read here; empty if it can."""
    return "" if Path("/proc/self/clear_refs").exists() else "memory is read from /proc"


@dataclass(frozen=True, slots=True)
class Found:
    """What one run cost."""

    plan: Plan
    aggregator: dict[str, Any]
    hospitals: dict[PeerId, dict[str, Any]]

    @property
    def exact(self) -> bool:
        """Whether the sum was the plain one and every hospital had its mean."""
        server = self.aggregator
        means = {self.hospitals[peer]["mean"] for peer in self.plan.survivors}
        same = means == {server["mean"]} and server["wrong"] == 0
        return same and tuple(server["u3"]) == self.plan.survivors


def run(sizes: Sizes) -> Iterator[Row]:
    """Return the rows."""
    first: Found | None = None
    for length in sizes.lengths:
        with tempfile.TemporaryDirectory(dir=sizes.folder or None) as folder:
            found = one_round(Plan(sizes.silos, length, sizes.lost, folder))
        if not found.exact:
            raise SystemExit(f"m = {length:,}: the sum is not the plain sum: {found}")
        yield from _memory(found)
        if first is None:
            first = found
        else:
            yield _growth(first, found)


def one_round(plan: Plan) -> Found:
    """Run one round in processes of its own."""
    with running() as start:
        server = start(arguments(plan, "aggregator"))
        port = heard(server)["port"]
        silos = {u: start(arguments(plan, u, port)) for u in plan.peers}
        hospitals = {u: heard(silos[u]) for u in plan.survivors}
        return Found(plan, heard(server), hospitals)


def _memory(found: Found) -> Iterator[Row]:
    """Yield what each side's memory grew to beside what it may."""
    plan = found.plan
    grown = [found.hospitals[peer]["grown"] for peer in plan.survivors]
    yield _memory_row(found, "hospital, its update", Figure.of(grown), 4 * plan.length)
    server = Figure.exact(found.aggregator["grown"])
    accumulator = 4 * found.aggregator["elements"]
    yield _memory_row(found, "aggregator, the opened sum", server, accumulator)


def _memory_row(found: Found, who: str, grown: Figure, vector: int) -> Row:
    plan = found.plan
    return Row(
        group="large",
        name=f"Memory of {who} + 64 MiB, n = {plan.silos}, m = {plan.length:,}",
        ours=grown,
        reference=Figure.exact(vector + ROOM),
        unit="bytes",
        compare="share",
        goal=at_most(1.0),
        detail=f"{(grown.greatest - vector) / MIB:.0f} MiB beside the vector; the sum"
        f" over {len(plan.survivors)} is exact",
        headline=plan.length == 100_000_000,
        labels={"n": plan.silos, "m": plan.length},
    )


def _growth(first: Found, found: Found) -> Row:
    """Return the seconds of a round, a coordinate, beside those at the first m."""
    plan, small = found.plan, first.plan
    factor = plan.length / small.length
    phases = found.aggregator["phases"]
    return Row(
        group="large",
        name=f"Time of a round, a coordinate, n = {plan.silos}, m = {plan.length:,}"
        f" beside {small.length:,}",
        ours=Figure.exact(found.aggregator["seconds"]),
        reference=Figure.exact(first.aggregator["seconds"]).times(factor),
        unit="s",
        compare="share",
        goal=at_most(1.10),
        detail=", ".join(f"{name} {took:.1f} s" for name, took in phases.items()),
        labels={"n": plan.silos, "m": plan.length},
    )


def main() -> None:
    """Measure, and print a line a process as well as the rows."""
    parser, full = argparse.ArgumentParser(description=__doc__), Sizes()
    parser.add_argument("--silos", type=int, default=full.silos)
    parser.add_argument("--lost", type=int, default=full.lost)
    parser.add_argument("--length", type=int, nargs="+", default=full.lengths)
    parser.add_argument("--folder", default="")
    asked = parser.parse_args()
    if asked.folder:
        Path(asked.folder).mkdir(parents=True, exist_ok=True)
    sizes = Sizes(asked.silos, tuple(asked.length), asked.lost, asked.folder)
    for row in run(sizes):
        sys.stdout.write(f"{row.value:7.3f}  {row.name}: {row.detail}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
