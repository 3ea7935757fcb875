"""What a benchmark finds: a row of two figures, their ratio and its goal.

A row is data and nothing else, so that the table, the JSON, the pictures and the
README are all made from the same rows.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from pytest_benchmark.stats import Stats

Label = str | int | float


@dataclass(frozen=True, slots=True)
class Figure:
    """What repeated measurements of one thing came to.

    Attributes:
        median: the figure.
        least, greatest: of the repeats.
        repeats: how many there were; 1 for what is counted and not timed.
    """

    median: float
    least: float
    greatest: float
    repeats: int

    @classmethod
    def of(cls, measured: Sequence[float]) -> Self:
        """Return the figure of these measurements; there must be one."""
        stats = Stats()
        for one in measured:
            stats.update(one)
        return cls(stats.median, stats.min, stats.max, stats.rounds)

    @classmethod
    def exact(cls, value: float) -> Self:
        """Return the figure of something that is counted."""
        return cls.of([value])

    def times(self, factor: float) -> Figure:
        """Return the figure in another unit."""
        return Figure(
            self.median * factor,
            self.least * factor,
            self.greatest * factor,
            self.repeats,
        )


@dataclass(frozen=True, slots=True)
class Goal:
    """What a row's value should come to."""

    sense: Literal["at least", "at most"]
    value: float

    def met(self, value: float) -> bool:
        """Return whether `value` reaches the goal."""
        return value >= self.value if self.sense == "at least" else value <= self.value

    def text(self, unit: str = "") -> str:
        """Return it as in a table, in `unit` where the value has one."""
        return f"{'≥' if self.sense == 'at least' else '≤'} {shown(self.value, unit)}"


def at_least(value: float) -> Goal:
    """Return the goal of a value that should be high."""
    return Goal("at least", value)


def at_most(value: float) -> Goal:
    """Return the goal of a value that should be low."""
    return Goal("at most", value)


Compare = Literal["speed", "share", "figure"]
"""What a row's value is: reference / ours, ours / reference, or ours alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One comparison.

    Attributes:
        group: whose row it is, a key of `bench.GROUPS`.
        name: what is measured.
        ours: our figure.
        reference: what it is compared with, measured in the same interleaved run; None
            where the figure stands alone.
        unit: of both figures.
        compare: how the value is made of the two.
        goal: for the value; None where there is none.
        detail: what else is worth knowing, in a few words.
        headline: whether the README shows it.
        labels: what the pictures sort by, such as n, m or loss.
    """

    group: str
    name: str
    ours: Figure
    reference: Figure | None = None
    unit: str = "s"
    compare: Compare = "speed"
    goal: Goal | None = None
    detail: str = ""
    headline: bool = False
    labels: Mapping[str, Label] = field(default_factory=dict)

    @property
    def value(self) -> float:
        """The ratio of the medians, or our figure where that stands alone."""
        if self.compare == "figure" or self.reference is None:
            return self.ours.median
        above, below = self.reference.median, self.ours.median
        if self.compare == "share":
            above, below = below, above
        return above / below if below else math.inf

    @property
    def short_by(self) -> bool:
        """Whether there is a goal that the value does not reach."""
        return self.goal is not None and not self.goal.met(self.value)

    def plain(self) -> dict[str, Any]:
        """Return the row as JSON has it; the value is there to be read."""
        return {**dataclasses.asdict(self), "value": self.value, "short": self.short_by}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Row:
        """Return the row that `plain` gave."""
        known = {one.name: plain[one.name] for one in dataclasses.fields(cls)}
        reference, goal = known["reference"], known["goal"]
        known["ours"] = Figure(**known["ours"])
        known["reference"] = reference and Figure(**reference)
        known["goal"] = goal and Goal(**goal)
        return cls(**known)


def short(value: float) -> str:
    """Return a number in three digits or so, as a person would write it."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    if size >= 0.001:
        digits = 2 - math.floor(math.log10(size))
        text = f"{value:.{max(digits, 0)}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return f"{value:.1e}"


_SCALES: Mapping[str, Sequence[tuple[float, str]]] = {
    "s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns")),
    "bytes": ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B")),
    "bytes/s": ((1e12, "TB/s"), (1e9, "GB/s"), (1e6, "MB/s"), (1.0, "B/s")),
}


def shown(value: float, unit: str) -> str:
    """Return a value with its unit, in the scale that suits it."""
    scales = _SCALES.get(unit, ((1.0, unit),))
    fitting = [one for one in scales if abs(value) >= one[0]] or [scales[-1]]
    factor, name = fitting[0]
    return f"{short(value / factor)} {name}".strip()
