"""The exact check, rule 10-1: what |U3| honest vectors cannot add up to.

Every honest x_u has |x_i| <= x_max and an L2 norm of at most delta_int (spec 5), and
every extra lies in its range. So a sum beyond |U3| times these bounds has a dishonest
part. It is decided in integers; a sum of |U3| honest vectors always passes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from secagg.field import squared_norm
from secagg.robust.check import OpenedSum, Sees, Verdict

_LISTED: Final = 3


@dataclass(frozen=True, slots=True)
class ExactBounds:
    """Discards a round whose sum no honest cohort can have."""

    name: str = field(default="exact-bounds", init=False)
    sees: Sees = field(default=Sees.OPENED, init=False)

    def __call__(self, view: OpenedSum) -> Verdict:
        """Compare the sum with |U3| x_max, |U3| delta_int and the ranges of the extras.

        The detail names the bounds, and of a sum that breaks one only by how much, in
        two digits: enough to show cheating, too little to be a release.
        """
        breaks = [*_coordinate_break(view), *_norm_break(view), *_extra_breaks(view)]
        bounds = (
            f"|U3| = {view.u3_count}, coordinates within {view.u3_count * view.x_max},"
            f" L2 norm within {view.u3_count * view.delta_int}"
        )
        return Verdict(
            check=self.name,
            passed=not breaks,
            detail=f"{bounds}; cheating: {_listed(breaks)}" if breaks else bounds,
            fatal=True,
        )


def _listed(breaks: list[str]) -> str:
    """Return the first breaks in words: a detail holds 512 characters."""
    more = f"; {len(breaks) - _LISTED} more" if len(breaks) > _LISTED else ""
    return "; ".join(breaks[:_LISTED]) + more


def _coordinate_break(view: OpenedSum) -> Iterator[str]:
    bound = view.u3_count * view.x_max
    # Not abs(), which leaves -2^63 negative.
    largest = max(int(view.vector.max()), -int(view.vector.min()))
    if largest > bound:
        yield f"a coordinate is {largest / bound:.2g} times its bound"


def _norm_break(view: OpenedSum) -> Iterator[str]:
    bound = view.u3_count * view.delta_int
    squared = squared_norm(view.vector)
    if squared > bound**2:
        yield f"the norm is {math.isqrt(squared) / bound:.2g} times its bound"


def _extra_breaks(view: OpenedSum) -> Iterator[str]:
    for one in view.extras:
        low, high = view.u3_count * one.extra.low, view.u3_count * one.extra.high
        if not low <= one.total <= high:
            yield f"extra {one.extra.name} is outside {low}..{high}"
