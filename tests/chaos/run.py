"""A run: worlds side by side, each played and then judged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from peers.demo.processes import free_port
from secagg.drivers.postgres import DatabaseUrl
from tests.chaos.figures import Figures, figures_of
from tests.chaos.judge import Judge
from tests.chaos.stage import Stage
from tests.chaos.terms import Terms

HOSPITALS = {"small-6": 6, "small-5": 5, "small-7": 7, "large": 5}
"""Of each world: two losses are borne at six and seven, one at five."""

LENGTHS = {"large": 5 * 4096 + 17}
"""Coordinates: six chunks; in the other worlds one."""

SMALL_LENGTH = 300
IN_LARGE = 8
"""One session in so many is of the large vectors."""

WORTH_A_WORLD = 20
"""Sessions below which a world is not worth its processes."""

Database = Callable[[], DatabaseUrl | None]
"""Makes the journal of one world."""


def no_database() -> DatabaseUrl | None:
    """Have the journal in the state directory."""
    return None


def worlds(
    seed: int, sessions: int, folder: Path, database: Database = no_database
) -> list[Terms]:
    """Return the worlds of a run; most of their time they wait, so side by side."""
    return [
        Terms(
            name=name,
            hospitals=HOSPITALS[name],
            length=LENGTHS.get(name, SMALL_LENGTH),
            seed=seed,
            sessions=count,
            folder=folder / name,
            port=free_port(),
            journal=database(),
        )
        for name, count in _shares(sessions).items()
        if count
    ]


def _shares(sessions: int) -> dict[str, int]:
    """Return how many sessions each world has."""
    large = sessions // IN_LARGE
    rest = sessions - large
    small = [name for name in HOSPITALS if name not in LENGTHS]
    used = small[: max(1, min(len(small), rest // WORTH_A_WORLD))]
    shares = {name: rest // len(used) for name in used}
    shares[used[0]] += rest % len(used)
    return {**shares, "large": large}


async def play(
    terms: list[Terms], told: Callable[[str], None], limit_seconds: float
) -> list[Stage]:
    """Run all worlds side by side.

    Raises:
        ChaosError: a party ended by itself, or nothing ended.
    """
    stages = [Stage(one, told) for one in terms]
    async with asyncio.TaskGroup() as group:
        for stage in stages:
            group.create_task(stage.run(limit_seconds))
    return stages


def judged(terms: list[Terms], stages: list[Stage], **about: Any) -> Figures:
    """Judge all worlds and count.

    Raises:
        AssertionError: a promise was broken.
    """
    judges = [Judge.of(one) for one in terms]
    for judge in judges:
        judge.check()
    return figures_of(zip(judges, stages, strict=True), **about)


def run(
    seed: int,
    sessions: int,
    folder: Path,
    *,
    told: Callable[[str], None] = lambda _: None,
    database: Database = no_database,
    limit_seconds: float,
    **about: Any,
) -> Figures:
    """Run, judge and count.

    Raises:
        ChaosError: a party ended by itself, or nothing ended.
        AssertionError: a promise was broken.
    """
    began = time.monotonic()
    terms = worlds(seed, sessions, folder, database)
    stages = asyncio.run(play(terms, told, limit_seconds))
    seconds = round(time.monotonic() - began)
    return judged(terms, stages, seed=seed, asked=sessions, seconds=seconds, **about)
