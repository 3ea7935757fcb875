"""The cosine to the previous mean: a number for the log, never a reason to discard.

It is taken of the released mean, noise included, so that it says nothing new about the
exact one. A drop shows that a round went another way than the one before, whatever the
reason: an attack, a new site, the end of training.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from secagg import errors
from secagg.norm import FloatArray
from secagg.robust.check import Means, OpenedSum, Sees, Verdict

_BLOCK: Final = 1 << 17
"""Coordinates at a time."""


@dataclass(frozen=True, slots=True)
class CosineToPrevious:
    """Reports the cosine; always passes."""

    name: str = field(default="cosine-to-previous", init=False)
    sees: Sees = field(default=Sees.RELEASED, init=False)

    def __call__(self, view: OpenedSum) -> Verdict:
        """Return the cosine of the angle between the mean and the previous one.

        Raises:
            ParameterError: the previous mean has another length.
        """
        return Verdict(
            check=self.name, passed=True, detail=_described(view), fatal=False
        )


def _described(view: OpenedSum) -> str:
    if view.previous is None or view.mean is None:
        return "no previous mean"
    if len(view.previous) != len(view.mean):
        raise errors.ParameterError(
            f"the previous mean has {len(view.previous)} coordinates, this one"
            f" {len(view.mean)}"
        )
    value = cosine(view.mean, view.previous)
    return "a zero vector has no direction" if value is None else f"cosine {value:+.4f}"


def cosine(mean: Means, previous: Means) -> float | None:
    """Return the cosine of the angle between two means, None if one is zero.

    Args:
        mean: finite, of length m. Not the integers: they have a scale of their own in
            every range, and a rotation of their own in every round.
        previous: finite, of length m.
    """
    product = square = previous_square = 0.0
    for begin in range(0, len(mean), _BLOCK):
        ours = mean[begin : begin + _BLOCK]
        theirs = previous[begin : begin + _BLOCK]
        product += _dot(ours, theirs)
        square += _dot(ours, ours)
        previous_square += _dot(theirs, theirs)
    scale = math.sqrt(square) * math.sqrt(previous_square)
    return product / scale if scale > 0 else None


def _dot(a: FloatArray, b: FloatArray) -> float:
    """Return the sum of products, added up by this thread alone.

    BLAS would wake a thread for each core at every block, and each waits spinning for
    the others: where other processes have the cores, ten times as long as the sum.
    """
    return float(np.einsum("i,i->", a, b))
