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
4. v_i = fl(k g_i) adds (1 + u), and less than 2^-1000 in all where it underflows. As
   h > 2^-45 + 5 u + 2^-1000, ||v|| <= s C. Saturation only lowers it.
5. |x_i - v_i| < 1, so ||x|| < s C + sqrt(m).

And |x_i| <= x_max: v_i is saturated there, and x_max is an integer.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg import errors, field
from secagg.crypto import prg
from secagg.names import InputVector
from secagg.norm import FloatArray, blocks, l2_norm
from secagg.scale import Scale

_FLOATS: Final = (np.float16, np.float32, np.float64)

_HAIR: Final = 2.0**-44

WORD: Final = 2.0**32
"""How many words a rounding stream draws from: integers are made in steps of 2^-32."""


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
            update: finite, shape (m,), float16 to float64.
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
            stop: end of the window, at most m.
            p: the field's prime, above 2 x_max.

        Raises:
            ParameterError: the window or the prime is out of its range.
        """
        if not 0 <= start <= stop <= self._scale.length:
            raise errors.ParameterError(
                f"window [{start}, {stop}) is not within 0..{self._scale.length}"
            )
        if 2 * self._scale.x_max >= p:
            raise errors.ParameterError(
                f"p = {p} does not hold +-{self._scale.x_max}: use more bits"
            )
        out = np.empty(stop - start, dtype=np.uint32)
        for low, high in blocks(start, stop):
            out[low - start : high - start] = field.to_field(self._round(low, high), p)
        return InputVector(out)

    def saturated(self) -> int:
        """Return how many coordinates were cut to x_max; exact, 0 if r = C."""
        return self._saturated

    @cached_property
    def _saturated(self) -> int:
        limit = self._scale.x_max * WORD
        return sum(
            int(np.count_nonzero(np.abs(self._scaled(low, high)) > limit))
            for low, high in blocks(0, self._scale.length)
        )

    def _scaled(self, start: int, stop: int) -> NDArray[np.float64]:
        """Return v_i 2^32 before saturation; the factor 2^32 is exact."""
        scaled = np.empty(stop - start)
        for low, high, entry in self._scale.spans(start, stop):
            place = scaled[low - start : high - start]
            gain = self._gains[entry]
            # The type says that float32 is widened first, and not multiplied as it is.
            np.multiply(self._update[low:high], gain, out=place, dtype=np.float64)
        return scaled

    def _round(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return floor(v) + [word < 2^32 (v - floor(v))] as integers, exactly.

        With V = ceil(2^32 v), an integer below 2^56, the bracket holds exactly if
        word < V - 2^32 floor(v), whose right side is in [0, 2^32]. So the whole is
        floor((V + 2^32 - 1 - word) / 2^32).
        """
        limit = self._scale.x_max * WORD
        scaled = self._scaled(start, stop)
        np.clip(scaled, -limit, limit, out=scaled)
        np.ceil(scaled, out=scaled)
        rounded = scaled.astype(np.int64)
        words = prg.words(self._key, prg.Tag.ROUND, start, stop)
        rounded += np.invert(words, out=words)
        rounded >>= np.int64(32)
        return rounded


def gains(norm: float, scale: Scale, weight: float) -> tuple[float, ...]:
    """Return, for each entry of the ranges, what g_i is multiplied by: 2^32 v_i / g_i.

    Args:
        norm: of the update.
        scale: the session's.
        weight: w_u / w_max, in (0, 1].
    """
    return tuple(
        weight * (clip_factor(norm, scale.clip, unit=s) * WORD) for s in scale.scales
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


def dequantize(
    total: NDArray[np.signedinteger[Any]],
    scale: Scale,
    divisor: float,
    *,
    start: int = 0,
) -> NDArray[np.float64]:
    """Return the mean whose integer sum is `total`, or a window of it.

    Args:
        total: a window of the opened sum, |values| below 2^53.
        scale: the session's.
        divisor: |U3| for uniform weights, W / w_max for weighted ones.
        start: the window's first coordinate.

    Returns:
        total_j / (s_j divisor), shape of `total`.

    Raises:
        ParameterError: the divisor is not positive and finite.
    """
    if not 0 < divisor < math.inf:
        raise errors.ParameterError(f"divisor = {divisor} must be positive and finite")
    mean = np.empty(len(total))
    for low, high, entry in scale.spans(start, start + len(total)):
        place = slice(low - start, high - start)
        np.divide(total[place], scale.scales[entry] * divisor, out=mean[place])
    return mean


def _check_shape(update: FloatArray, length: int, name: str) -> None:
    if update.dtype not in _FLOATS:
        raise errors.InputError(f"{name}: type {update.dtype} is not float16, 32 or 64")
    if update.size == 0:
        raise errors.InputError(f"{name}: has no coordinates")
    if update.shape != (length,):
        raise errors.InputError(
            f"{name}: shape {update.shape} is not the session's ({length},)"
        )
