"""A thousand silos with a million parameters, as ``secagg simulate`` runs them.

One process holds every silo, and each does its whole part; where many do the same work
it is done once and booked to each, so a hospital's seconds are those of a real one.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.results import ROOT
from tests.benchmarks.rows import Figure, Label, Row, at_least


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much to measure: n, m, and how many fall silent before which round."""

    silos: int = 1000
    length: int = 1_000_000
    drop: tuple[str, ...] = ("masked_input=30", "unmasking=20")


TOY = Sizes(silos=5, length=5_000, drop=("masked_input=1",))


def run(sizes: Sizes) -> Iterator[Row]:
    """Return the rows: exactness first, and it has a goal."""
    began = time.perf_counter()
    report = _simulated(sizes)
    wall = time.perf_counter() - began
    what = f"n = {sizes.silos:,}, m = {sizes.length:,}"
    lost = (
        f"{report['neighbours']} neighbours; {report['u1']} in U1,"
        f" {report['u3']} in the sum, {report['u5']} in U5"
    )
    labels: dict[str, Label] = {"n": sizes.silos, "m": sizes.length}
    yield Row(
        group="thousand",
        name=f"Sums of a simulated session that equal the plain sum, {what}",
        ours=Figure.exact(float(report["exact"])),
        reference=Figure.exact(1.0),
        unit="",
        compare="share",
        goal=at_least(1),
        detail=lost,
        headline=True,
        labels=labels,
    )
    figures = {
        "Whole simulation": (wall, "s"),
        "A hospital": (report["client_seconds_median"], "s"),
        "Aggregator": (report["server_seconds"], "s"),
        "Bytes up of a hospital": (report["bytes_up_per_client"], "bytes"),
        "Peak memory of the simulation": (report["peak_rss_mib"] * 2**20, "bytes"),
    }
    for name, (value, unit) in figures.items():
        yield Row(
            group="thousand",
            name=f"{name}, {what}",
            ours=Figure.exact(value),
            unit=unit,
            compare="figure",
            detail=f"{report['width']} bits an element" if unit == "bytes" else lost,
            headline=name == "Whole simulation",
            labels=labels,
        )


def _simulated(sizes: Sizes) -> dict[str, Any]:
    """Run the command, and return what it says."""
    asked = ["--silos", str(sizes.silos), "--params", str(sizes.length), "--json"]
    drops = [word for drop in sizes.drop for word in ("--drop", drop)]
    done = subprocess.run(
        [sys.executable, "-m", "peers.main", "simulate", *asked, *drops],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    report: dict[str, Any] = json.loads(done.stdout)
    return report
