"""Interleaved measuring: both sides of a ratio in turn, in one run.

The machine is shared and its clock wanders, so a figure by itself says little; a ratio
whose two sides ran turn by turn says what it says. pytest-benchmark measures one
function after the other, and asv one process after the other, so neither can make such
a ratio. What pytest-benchmark does well is used as it is: its statistics in `Figure`,
its notes on the commit in `machine`.
"""

from __future__ import annotations

import collections
import time
from collections.abc import Callable, Mapping

from tests.benchmarks.rows import Figure

REPEATS = 7
"""Turns whose median is a figure, where a group does not state another number."""

Work = Callable[[], Mapping[str, float]]
"""One turn of one side; returns what it measured, by name."""


def clocked(name: str, work: Callable[[], object]) -> Work:
    """Return `work` as a turn that measures its own wall-clock seconds."""

    def turn() -> Mapping[str, float]:
        began = time.perf_counter()
        work()
        return {name: time.perf_counter() - began}

    return turn


def interleaved(
    *turns: Work, repeats: int = REPEATS, warm: bool = True
) -> dict[str, Figure]:
    """Run every turn `repeats` times, one after the other, and return the figures.

    Args:
        turns: the sides.
        repeats: how often.
        warm: whether each side runs once beforehand, unmeasured: for turns so short
            that the first would pay for caches and compilation.
    """
    measured: dict[str, list[float]] = collections.defaultdict(list)
    if warm:
        for turn in turns:
            turn()
    for _ in range(repeats):
        for turn in turns:
            for name, value in turn().items():
                measured[name].append(value)
    return {name: Figure.of(values) for name, values in measured.items()}
