"""An update on the device as bounded integers, made window by window. Spec section 5.

What `secagg.quantize` does on the CPU, with the same bits: there stands why they are
bounded. Unmasked integers are written to memory of the device and are never returned.
"""

from __future__ import annotations

from functools import cached_property
from typing import Final

import torch

from secagg import errors
from secagg.crypto.prg import Tag
from secagg.device import kernels
from secagg.device.leaving import number
from secagg.device.norm import BATCH, l2_norm
from secagg.device.rotation import forward
from secagg.engine.interface import MaskSeed
from secagg.engine.triton import BLOCK_WORDS, Triton, run
from secagg.quantize import WORD, gains
from secagg.scale import Scale

_FLOATS: Final = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class DeviceUpdate:
    """An update where it lies, and the integers of any window of it.

    The same window gives the same integers each time. The update is referred to, not
    copied: it must not change.
    """

    def __init__(
        self,
        update: torch.Tensor,
        scale: Scale,
        *,
        weight: float = 1.0,
        rounding_key: bytes,
        name: str = "update",
    ) -> None:
        """Check the update and fix its gain.

        Args:
            update: finite, shape (m,), float16 to float64 or bfloat16, contiguous.
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
        self._seed = MaskSeed(rounding_key, Tag.ROUND)
        self._gains = gains(l2_norm(update, name), scale, weight)

    def __repr__(self) -> str:
        """Show the scale alone."""
        return f"DeviceUpdate(<redacted>, {self._scale})"

    @property
    def device(self) -> torch.device:
        """Where the update lies."""
        return self._update.device

    def write(self, start: int, stop: int, engine: Triton, out: torch.Tensor) -> None:
        """Write x_u[start:stop] mod p, on the device's current stream.

        Args:
            start: first coordinate, a multiple of 16, 0 <= start <= stop.
            stop: end of the window, at most m'.
            engine: of the session's field and this device.
            out: uint32, shape (stop - start,), on the device.

        Raises:
            ParameterError: the window or the prime is out of its range.
        """
        most = self._scale.coordinates
        if start % BLOCK_WORDS or not 0 <= start <= stop <= most:
            raise errors.ParameterError(
                f"window [{start}, {stop}) is not within 0..{most}, from"
                f" a multiple of {BLOCK_WORDS}"
            )
        if 2 * self._scale.x_max >= engine.p:
            raise errors.ParameterError(
                f"p = {engine.p} does not hold +-{self._scale.x_max}: use more bits"
            )
        limit = self._limit
        scaled = self._scaled(start, stop).clamp_(-limit, limit).ceil_()
        whole = scaled.to(torch.int64)
        first, size = start // BLOCK_WORDS, len(out)
        blocks = -(-size // BLOCK_WORDS)
        with engine.table([self._seed], [1]) as table:
            seed = table.rows
            run(kernels.round_off, blocks, out, whole, seed, first, size, p=engine.p)

    def saturated(self) -> int:
        """Return how many coordinates were cut to x_max; exact, 0 if r = C."""
        return self._saturated

    @cached_property
    def _saturated(self) -> int:
        total = torch.zeros((), dtype=torch.int64, device=self.device)
        end = self._scale.coordinates
        for start in range(0, end, BATCH):
            scaled = self._scaled(start, min(start + BATCH, end))
            total += (scaled.abs_() > self._limit).sum()
        return int(number(total))

    @property
    def _limit(self) -> float:
        return self._scale.x_max * WORD

    def _scaled(self, start: int, stop: int) -> torch.Tensor:
        """Return v_i 2^32 before saturation; the factor 2^32 is exact."""
        rotation = self._scale.rotation
        if rotation is not None:
            first, last = start // rotation.block, -(-stop // rotation.block)
            turned = forward(rotation, self._update, self._gains[0], first, last)
            return turned[start - first * rotation.block :][: stop - start]
        scaled = self._update[start:stop].to(torch.float64, copy=True)
        for low, high, entry in self._scale.spans(start, stop):
            scaled[low - start : high - start] *= self._gains[entry]
        return scaled


def _check_shape(update: torch.Tensor, length: int, name: str) -> None:
    if update.dtype not in _FLOATS:
        raise errors.InputError(f"{name}: type {update.dtype} is no float of 16 to 64")
    if not update.numel():
        raise errors.InputError(f"{name}: has no coordinates")
    if update.shape != (length,) or not update.is_contiguous():
        raise errors.InputError(
            f"{name}: shape {tuple(update.shape)} is not the session's ({length},), in"
            " one piece"
        )
