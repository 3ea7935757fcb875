"""The only way out of the device: single numbers, and packed chunks of y_u.

Chunks go through memory that the device writes by itself, in two buffers: while the
host sends from one, the other is filled. Where there is no GPU the same code runs on
the CPU, whose streams and events do nothing.
"""

from __future__ import annotations

from typing import NewType

import torch

PackedChunks = NewType("PackedChunks", torch.Tensor)
"""Consecutive chunks of y_u at w bits, uint8: masked, so they may leave."""


def number(value: torch.Tensor) -> float:
    """Return a tensor of one element; waits for it."""
    return float(value.item())


class Outbox:
    """Two buffers of page-locked memory through which packed chunks leave."""

    def __init__(self, device: torch.device, size: int) -> None:
        """Allocate both buffers.

        Args:
            device: where chunks are made.
            size: bytes of each buffer.
        """
        on_gpu = device.type == "cuda"
        self._torch = torch.get_device_module(device)
        self._buffers = [
            torch.empty(size, dtype=torch.uint8, pin_memory=on_gpu) for _ in range(2)
        ]
        self._copying = self._torch.Stream(device) if on_gpu else self._torch.Stream()
        self._copied = [self._torch.Event(), self._torch.Event()]

    def put(self, slot: int, packed: PackedChunks) -> None:
        """Queue a copy behind what the current stream is doing.

        Args:
            slot: 0 or 1; what was in it is overwritten.
            packed: uint8, on the device; left as it is until `take` of this slot.
        """
        self._copying.wait_stream(self._torch.current_stream(packed.device))
        with self._torch.stream(self._copying):
            self._buffers[slot][: len(packed)].copy_(packed, non_blocking=True)
            self._copied[slot].record()

    def take(self, slot: int, start: int, stop: int) -> bytes:
        """Wait for a slot's copy, and return bytes of it."""
        self.wait(slot)
        return self._buffers[slot][start:stop].numpy().tobytes()

    def wait(self, slot: int) -> None:
        """Wait until nothing reads what was put into a slot."""
        self._copied[slot].synchronize()
