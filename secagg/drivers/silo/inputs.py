"""What a silo puts into a round, checked before anything else happens."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from secagg import errors, tensors
from secagg.norm import FloatArray, l2_norm

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


async def coordinates(
    update: tensors.State | tensors.Tensor,
    layout: tensors.Layout,
    device: torch.device | None,
) -> Any:
    """Return the coordinates of an update, checked for what nobody can send.

    Args:
        update: as it was given.
        layout: which tensors enter the vector.
        device: where it is masked; None for this process's own memory.

    Raises:
        InputError: it does not fit the layout, or is not finite (rule 5-2).
    """
    if device is None:
        flat = await asyncio.to_thread(tensors.coordinates, update, layout)
        await asyncio.to_thread(l2_norm, flat)
        return flat
    from secagg.device.norm import l2_norm as device_l2_norm

    there = await asyncio.to_thread(tensors.device_coordinates, update, layout, device)
    await asyncio.to_thread(device_l2_norm, there)
    return there
