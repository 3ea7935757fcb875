"""Extra coordinates: exact integers in the last places of the vector (spec 2.2, 5).

Each is written in limbs of L bits, so that no sum of n limbs can reach (p - 1)/2.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from secagg import errors
from secagg.names import InputVector, VectorSum
from secagg.params import Limbs, Parameters


def encode(values: Mapping[str, int], params: Parameters) -> InputVector:
    """Write one client's extras as field elements, uint32, shape (M - m',).

    Args:
        values: exactly the names of `params.extras`.
        params: the session's.

    Raises:
        InputError: a name is missing or unknown, or a value is out of its range
            (rule 5-2).
    """
    names = {extra.name for extra in params.extras}
    if set(values) != names:
        raise errors.InputError(
            f"extras {sorted(values)} were given, the session declares {sorted(names)}"
        )
    limbs = [limb for place in params.limbs for limb in _split(values, place, params)]
    return InputVector(np.array(limbs, dtype=np.uint32))


def _split(values: Mapping[str, int], place: Limbs, params: Parameters) -> list[int]:
    extra, value = place.extra, values[place.extra.name]
    if not extra.low <= value <= extra.high:
        raise errors.InputError(
            f"extra {extra.name} = {value} is not in {extra.low}..{extra.high}"
        )
    mask = (1 << params.limb_bits) - 1
    shifted = value - extra.low
    return [shifted >> (params.limb_bits * i) & mask for i in range(place.count)]


def decode(tail: VectorSum, params: Parameters, count: int) -> dict[str, int]:
    """Return the sum of each extra over U3, exact.

    Args:
        tail: the opened sums of the limbs, int64, shape (M - m',).
        params: the session's.
        count: |U3|.
    """
    sums: dict[str, int] = {}
    for place in params.limbs:
        start = place.start - params.coordinates
        limbs = [int(limb) for limb in tail[start : start + place.count]]
        total = sum(limb << (params.limb_bits * i) for i, limb in enumerate(limbs))
        sums[place.extra.name] = total + count * place.extra.low
    return sums
