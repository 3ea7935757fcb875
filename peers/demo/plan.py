"""Which hospital is killed when: the script of the demo's losses.

A hospital of the demo stops by itself at a point of a round, and holds still until it
is killed; so it dies exactly there, on a slow machine as on a fast one.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from peers.toml_file import ConfigError

MIN_ROUNDS: Final = 5
"""Fewer do not hold the losses and the returns."""


class Point(enum.StrEnum):
    """Where a hospital dies."""

    BEFORE_SHARING = "before it shares keys"
    HALF_SENT = "with its masked input half sent"
    AFTER_INPUT = "after its input, before unmasking"


KEPT_SETS: Final = {
    Point.BEFORE_SHARING: ("u1", "u2"),
    Point.HALF_SENT: ("u2", "u3"),
    Point.AFTER_INPUT: ("u3", "u5"),
}
"""The last set a hospital that dies there is still in, and one that it is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """One hospital dies at one point of one round."""

    round_no: int
    hospital: str
    point: Point


def deaths(hospitals: Sequence[str], rounds: int, tolerated: int) -> tuple[Death, ...]:
    """Return the script: one at each point, and where d allows it two at once.

    Args:
        hospitals: their ids.
        rounds: of the demo.
        tolerated: d, how many the protocol may lose.

    Raises:
        ConfigError: too few rounds.
    """
    if rounds < MIN_ROUNDS:
        raise ConfigError(
            f"--rounds {rounds} is below {MIN_ROUNDS}: four rounds with losses, and one"
            " for the last hospitals to come back"
        )
    at = [rounds * part // 5 for part in (1, 2, 3, 4)]
    name = [hospitals[i % len(hospitals)] for i in (2, 4, 1, 3, 5)]
    script = [
        Death(round_no=at[0], hospital=name[0], point=Point.BEFORE_SHARING),
        Death(round_no=at[1], hospital=name[1], point=Point.HALF_SENT),
        Death(round_no=at[2], hospital=name[2], point=Point.AFTER_INPUT),
        Death(round_no=at[3], hospital=name[3], point=Point.HALF_SENT),
    ]
    if tolerated >= 2:
        script.append(Death(round_no=at[3], hospital=name[4], point=Point.HALF_SENT))
    return tuple(script)


def of_hospital(script: Sequence[Death], hospital: str) -> tuple[Death, ...]:
    """Return the deaths of one hospital, in order."""
    return tuple(death for death in script if death.hospital == hospital)
