"""What the demo asks of its hospitals: the numbers of its task, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from secagg.params import input_floor
from secagg.scale import Scale

TASK_ID: Final = "demo"
CORRUPTION_BOUND: Final = 1
DELTA: Final = 1e-5
LOSS_DECIMALS: Final = 6

CHUNK_LOG2: Final = 12
"""Small chunks, so that half of a small model is a place to die at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The terms of one run.

    Attributes:
        hospitals: their ids, sorted.
        rounds: how many.
        length: m, the model's parameters.
        clip: C.
        bits: b.
        max_weight: w_max; 1 for uniform weights.
        noise_multiplier: z; None for no noise.
        epsilon: the budget; None for no noise.
    """

    hospitals: tuple[str, ...]
    rounds: int
    length: int
    clip: float
    bits: int = 16
    max_weight: int = 1
    noise_multiplier: float | None = None
    epsilon: float | None = None

    @property
    def weighting(self) -> str:
        """By patients; uniform with noise, which would drown the sum of weights."""
        return "uniform" if self.max_weight == 1 else "weighted"

    @property
    def scale(self) -> Scale:
        """The number layer of the task."""
        return Scale.even(
            bits=self.bits,
            clip=self.clip,
            coordinate_range=self.clip,
            length=self.length,
        )

    @property
    def tolerated(self) -> int:
        """Members that may fall silent, d."""
        n = len(self.hospitals)
        return n - input_floor(n, CORRUPTION_BOUND)
