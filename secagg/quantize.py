"""From floats to bounded integers and back: spec section 5.

An update is clipped to L2 norm C, scaled, saturated and rounded stochastically with a
keystream, so that the integers are unbiased, bounded by x_max in every coordinate and
by delta_int in L2 norm, whatever the words of the stream are. Floats end here: nothing
further down sees one. Knows the parameters as plain numbers, no message, no session.

Why ||x||_2 <= delta_int, rounding of floats included; u = 2^-53, h = 2^-44:

1. `l2_norm` gives N >= ||g|| (1 - 2^-45).
2. The clip is at C (1 - h). If N <= C (1 - h) the gain k of a range is its scale s;
   else it is s C (1 - h) / N. These are three roundings, none subnormal within the
   ranges of `Scale`, so either way k ||g|| <= s C (1 - h) (1 + u)^3 / (1 - 2^-45).
3. A weight in (0, 1] cannot raise k: rounding is monotone. Nor can another range: s
   is from here on the largest scale.
4. fl(k g_i) adds (1 + u), and less than 2^-1000 in all where it underflows. It is v_i;
   or with a rotation, k divided by sqrt(B) exactly, goes through signs and at most 12
   butterflies. In exact numbers these keep the norm, and each adds (1 + u): it errs by
   u of each value, and sums do not underflow. As h > 2^-45 + 17 u + 2^-1000,
   ||v|| <= s C. Saturation only lowers it.
5. |x_i - v_i| < 1, so ||x|| < s C + sqrt(m').

And |x_i| <= x_max: v_i is saturated there, and x_max is an integer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg import errors, kernels
from secagg.crypto import prg
from secagg.names import InputVector
from secagg.norm import BLOCK, FloatArray, blocks, l2_norm
from secagg.rotation import Rotation
from secagg.scale import Scale

_FLOATS: Final = (np.float16, np.float32, np.float64)

_HAIR: Final = 2.0**-44

WORD: Final = 2.0**32
"""How many words a rounding stream draws from: integers are made in steps of 2^-32."""

Integers = Callable[[int, int], NDArray[np.signedinteger[Any]]]
"""Returns the coordinates [low, high) of a sum."""


class QuantizedUpdate:
    """An update as integers, made block by block whenever they are asked for.

    The same window gives the same integers each time, as does any other cut of it; so
    a chunk can be sent again without keeping it. The update is referred to, not copied:
    it must not change.
    """

    def __init__(
        self,
        update: FloatArray,
        scale: Scale,
        *,
        weight: float = 1.0,
        rounding_key: bytes,
        name: str = "update",
    ) -> None:
        """Check the update and fix its gain.

        Args:
            update: finite, shape (m,), float16 to float64; rotated here, if at all.
            scale: the session's.
            weight: w_u / w_max, in (0, 1].
            rounding_key: 32 bytes, fresh for this session.
            name: what errors call the update.

        Raises:
            InputError: another type, shape or length, a NaN, an infinity (rule 5-1) or
                a norm beyond float64.
            ParameterError: the weight or the key is out of its range.
        """
        _check_shape(update, scale.length, name)
        if not 0 < weight <= 1:
            raise errors.ParameterError(f"weight = {weight} is outside (0, 1]")
        self._update = update
        self._scale = scale
        self._key = rounding_key
        # The stream refuses a key of another length here, not at the first chunk.
        prg.words(rounding_key, prg.Tag.ROUND, 0, 0)
        self._gains = gains(l2_norm(update, name), scale, weight)

    def __repr__(self) -> str:
        """Show the scale alone."""
        return f"QuantizedUpdate(<redacted>, {self._scale})"

    def chunk(self, start: int, stop: int, p: int) -> InputVector:
        """Return x_u[start:stop] mod p.

        Args:
            start: first coordinate, 0 <= start <= stop.
            stop: end of the window, at most m'.
            p: the field's prime, above 2 x_max.

        Raises:
            ParameterError: the window or the prime is out of its range.
        """
        most = self._scale.coordinates
        if not 0 <= start <= stop <= most:
            raise errors.ParameterError(
                f"window [{start}, {stop}) is not within 0..{most}"
            )
        if 2 * self._scale.x_max >= p:
            raise errors.ParameterError(
                f"p = {p} does not hold +-{self._scale.x_max}: use more bits"
            )
        out = np.empty(stop - start, dtype=np.uint32)
        words = np.empty(min(BLOCK, stop - start), dtype=np.uint32)
        stream = prg.Keystream(self._key, prg.Tag.ROUND, start)
        limit = self._scale.x_max * WORD
        loops = kernels.loops()
        for low, high in blocks(start, stop):
            drawn = words[: high - low]
            stream.fill(drawn)
            place = out[low - start : high - start]
            loops.rounded(self._scaled(low, high), drawn, limit, p, place)
        return InputVector(out)

    def saturated(self) -> int:
        """Return how many coordinates were cut to x_max; exact, 0 if r = C."""
        return self._saturated

    @cached_property
    def _saturated(self) -> int:
        limit = self._scale.x_max * WORD
        return sum(
            int(np.count_nonzero(np.abs(self._scaled(low, high)) > limit))
            for low, high in blocks(0, self._scale.coordinates)
        )

    def _scaled(self, start: int, stop: int) -> NDArray[np.float64]:
        """Return v_i 2^32 before saturation; the factor 2^32 is exact."""
        if self._scale.rotation is not None:
            return self._rotated(self._scale.rotation, start, stop)
        scaled = np.empty(stop - start)
        for low, high, entry in self._scale.spans(start, stop):
            place = scaled[low - start : high - start]
            gain = self._gains[entry]
            # The type says that float32 is widened first, and not multiplied as it is.
            np.multiply(self._update[low:high], gain, out=place, dtype=np.float64)
        return scaled

    def _rotated(
        self, rotation: Rotation, start: int, stop: int
    ) -> NDArray[np.float64]:
        first, last = start // rotation.block, -(-stop // rotation.block)
        made = rotation.forward(self._update, self._gains[0], first, last)
        return made[start - first * rotation.block :][: stop - start]


def gains(norm: float, scale: Scale, weight: float) -> tuple[float, ...]:
    """Return, for each entry of the ranges, what g_i is multiplied by: 2^32 v_i / g_i.

    With a rotation it is divided by sqrt(B), exactly, which the butterflies put back.

    Args:
        norm: of the update.
        scale: the session's.
        weight: w_u / w_max, in (0, 1].
    """
    root = 1.0 if scale.rotation is None else scale.rotation.root
    return tuple(
        weight * (clip_factor(norm, scale.clip, unit=s) * WORD) / root
        for s in scale.scales
    )


def clip_factor(norm: float, clip: float, unit: float = 1.0) -> float:
    """Return what brings a vector of this norm to at most `clip`, a hair below it.

    Args:
        norm: finite, from `l2_norm`.
        clip: C.
        unit: what a factor of 1 is; s gives the factor and the scale in one. Multiplied
            in first, so that the quotient does not underflow.

    Returns:
        `unit` if norm <= C (1 - 2^-44), else unit C (1 - 2^-44) / norm.
    """
    held = clip * (1 - _HAIR)
    return unit if norm <= held else unit * held / norm


class MeanView:
    """The mean that an integer sum gives, window by window: ``view[low:high]``."""

    def __init__(self, integers: Integers, scale: Scale, divisor: float) -> None:
        """Refer to the sum; nothing is read yet.

        Args:
            integers: returns a window of the sum, of its m' coordinates. With a
                rotation it is asked for whole groups, of 2^20 at most.
            scale: the session's.
            divisor: |U3| for uniform weights, W / w_max for weighted ones.

        Raises:
            ParameterError: the divisor is not positive and finite.
        """
        if not 0 < divisor < math.inf:
            raise errors.ParameterError(
                f"divisor = {divisor} must be positive and finite"
            )
        self._integers = integers
        self._scale = scale
        self._divisor = divisor
        # Only with a rotation, whose windows need the whole group they lie in.
        self._last: tuple[int, NDArray[np.float64]] | None = None

    def __len__(self) -> int:
        """Return m."""
        return self._scale.length

    def __getitem__(self, window: slice) -> NDArray[np.float64]:
        """Return total_j / (s_j divisor), rotated back; the window's step is 1."""
        start, stop, _ = window.indices(len(self))
        mean = np.empty(max(0, stop - start))
        if self._scale.rotation is not None:
            self._turn_back(self._scale.rotation, start, mean)
            return mean
        for low, high, entry in self._scale.spans(start, stop):
            unit = self._scale.scales[entry] * self._divisor
            place = mean[low - start : high - start]
            np.divide(self._integers(low, high), unit, out=place)
        return mean

    def windows(self, step: int) -> Iterator[tuple[int, int]]:
        """Yield consecutive windows of about `step` that are cheap to read."""
        if self._scale.rotation is not None:
            step = self._scale.rotation.group_length
        for low in range(0, len(self), step):
            yield low, min(low + step, len(self))

    def _turn_back(
        self, rotation: Rotation, start: int, mean: NDArray[np.float64]
    ) -> None:
        stop = start + len(mean)
        for group, low, high in rotation.groups(start, stop):
            turned = self._group(rotation, group, low, high)
            begin, end = max(low, start), min(low + len(turned), stop)
            mean[begin - start : end - start] = turned[begin - low : end - low]

    def _group(
        self, rotation: Rotation, group: int, low: int, high: int
    ) -> NDArray[np.float64]:
        if self._last is None or self._last[0] != group:
            turned = rotation.backward(self._integers(low, high), group)
            turned /= self._scale.s * self._divisor * rotation.root
            self._last = (group, turned)
        return self._last[1]


def dequantize(
    total: NDArray[np.signedinteger[Any]], scale: Scale, divisor: float
) -> NDArray[np.float64]:
    """Return the mean whose integer sum is `total`, shape (m,).

    Args:
        total: the opened sum, shape (m',), |values| below 2^53.
        scale: the session's.
        divisor: |U3| for uniform weights, W / w_max for weighted ones.

    Raises:
        ParameterError: the divisor is not positive and finite.
    """
    return MeanView(window_of(total), scale, divisor)[:]


def window_of(total: NDArray[np.signedinteger[Any]]) -> Integers:
    """Return what gives the windows of a sum in memory."""
    return lambda low, high: total[low:high]


def _check_shape(update: FloatArray, length: int, name: str) -> None:
    if update.dtype not in _FLOATS:
        raise errors.InputError(f"{name}: type {update.dtype} is not float16, 32 or 64")
    if update.size == 0:
        raise errors.InputError(f"{name}: has no coordinates")
    if update.shape != (length,):
        raise errors.InputError(
            f"{name}: shape {update.shape} is not the session's ({length},)"
        )
