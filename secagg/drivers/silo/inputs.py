"""What a silo puts into a round, checked before anything else happens."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from secagg import errors
from secagg.norm import FloatArray

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """What a silo puts in: the update, its weight and the declared extras.

    Attributes:
        update: shape (m,); a tensor if it is masked on the device where it lies.
        weight: w_u.
        extras: exact integers by name.
    """

    update: FloatArray | torch.Tensor = field(repr=False)
    weight: int
    extras: Mapping[str, int]


def integer(what: str, value: int) -> int:
    """Return `value` as an exact integer; those of numpy are such, too.

    Raises:
        InputError: a float, or anything else that is no integer (rule 5-2).
    """
    try:
        return operator.index(value)
    except TypeError:
        raise errors.InputError(
            f"{what} is a {type(value).__name__}, not an integer: sums are exact, so"
            " round it, or scale it to an integer"
        ) from None
