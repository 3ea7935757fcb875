"""A hospital's input: clip, saturate, round, and the extras behind it (spec 5).

The vector is never held as a whole: any window of x_u is made when it is asked for, the
same each time, so that memory stays at the update and a chunk can be sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from secagg import errors, extras
from secagg.crypto import transcript
from secagg.entropy import Entropy
from secagg.names import InputVector, SessionId
from secagg.norm import FloatArray
from secagg.params import SATURATED, WEIGHT, Parameters
from secagg.quantize import QuantizedUpdate

if TYPE_CHECKING:
    import torch

    from secagg.device.update import DeviceUpdate


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """One silo's x_u: m' coordinates, then the limbs of the extras.

    Attributes:
        params: the session's.
        coordinates: the quantized update.
        tail: the limbs, uint32, shape (M - m',).
    """

    params: Parameters
    coordinates: QuantizedUpdate = field(repr=False)
    tail: InputVector = field(repr=False)

    def window(self, start: int, stop: int) -> InputVector:
        """Return x_u[start:stop] mod p, uint32; 0 <= start <= stop <= M."""
        end, p = self.params.coordinates, self.params.p
        head = self.coordinates.chunk(min(start, end), min(stop, end), p)
        if stop <= end:
            return head
        tail = self.tail[max(start - end, 0) : stop - end]
        return InputVector(np.concatenate([head, tail]))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceContribution:
    """One silo's x_u whose coordinates stay on the device that holds the update.

    Attributes:
        params: the session's.
        coordinates: the quantized update; no window of it can be read here.
        tail: the limbs, uint32, shape (M - m',).
    """

    params: Parameters
    coordinates: DeviceUpdate = field(repr=False)
    tail: InputVector = field(repr=False)


def contribution(
    update: FloatArray,
    *,
    weight: int,
    values: Mapping[str, int],
    params: Parameters,
    sid: SessionId,
    entropy: Entropy,
) -> Contribution:
    """Prepare one silo's input for one session.

    Args:
        update: finite, shape (m,).
        weight: w_u in 1..w_max; 1 for uniform weighting.
        values: the declared extras, by name.
        params: the session's.
        sid: the session; salts the rounding key.
        entropy: draws ``round``, the rounding seed (rule 5-3).

    Raises:
        InputError: the update, the weight or an extra is not within its range (rules
            5-1, 5-2); nothing was sent.
    """
    check_weight(weight, params)
    coordinates = QuantizedUpdate(
        update,
        params.scale,
        weight=weight / params.max_weight,
        rounding_key=transcript.rounding_key(sid, entropy.draw("round", 32)),
    )
    tail = _tail(weight, values, coordinates.saturated, params)
    return Contribution(params=params, coordinates=coordinates, tail=tail)


def device_contribution(
    update: torch.Tensor,
    *,
    weight: int,
    values: Mapping[str, int],
    params: Parameters,
    sid: SessionId,
    entropy: Entropy,
) -> DeviceContribution:
    """Prepare the same input, bit by bit, from an update on a GPU.

    The arguments and errors are those of `contribution`.
    """
    from secagg.device.update import DeviceUpdate

    check_weight(weight, params)
    coordinates = DeviceUpdate(
        update,
        params.scale,
        weight=weight / params.max_weight,
        rounding_key=transcript.rounding_key(sid, entropy.draw("round", 32)),
    )
    tail = _tail(weight, values, coordinates.saturated, params)
    return DeviceContribution(params=params, coordinates=coordinates, tail=tail)


def _tail(
    weight: int,
    values: Mapping[str, int],
    saturated: Callable[[], int],
    params: Parameters,
) -> InputVector:
    """Return the limbs of the extras, those that are derived included."""
    derived = {extra.name for extra in params.extras} - {
        extra.name for extra in params.declared_extras
    }
    if derived & set(values):
        taken = sorted(derived & set(values))
        raise errors.InputError(f"extras {taken} are derived here, not given")
    known = {WEIGHT: lambda: weight, SATURATED: saturated}
    complete = {**values, **{name: known[name]() for name in derived}}
    return extras.encode(complete, params)


def check_weight(weight: int, params: Parameters) -> None:
    """Check that 1 <= w_u <= w_max (rule 5-2).

    Raises:
        InputError: it is not.
    """
    if not 1 <= weight <= params.max_weight:
        raise errors.InputError(
            f"weight {weight} is not in 1..{params.max_weight} (the session's "
            f"{params.weighting} weighting)"
        )
