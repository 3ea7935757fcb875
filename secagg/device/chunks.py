"""y_u on the device, a batch of chunks at a time, each batch ahead of its sending.

A batch is quantized, masked and packed on one stream and copied out on another, while
the host sends the batch before. Memory: on the host two batches packed, at most 32 MiB;
on the device the same again and one batch of integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch

from secagg.device import kernels
from secagg.device.leaving import Outbox, PackedChunks
from secagg.device.norm import BATCH
from secagg.device.update import DeviceUpdate
from secagg.engine.interface import MaskSeed
from secagg.engine.triton import Triton, run
from secagg.names import InputVector
from secagg.vector import Chunks

_WORD_BITS: Final = 32


class DeviceChunks:
    """The packed chunks of one y_u, made on the device that holds the update."""

    def __init__(
        self,
        coordinates: DeviceUpdate,
        tail: InputVector,
        seeds: Sequence[MaskSeed],
        signs: Sequence[int],
        chunks: Chunks,
    ) -> None:
        """Prepare; nothing is masked yet.

        Args:
            coordinates: the update.
            tail: the limbs behind it, uint32, shape (M - m',).
            seeds: of the masks.
            signs: +1 or -1 for each.
            chunks: how the vector of M elements is cut.
        """
        self._coordinates = coordinates
        self._tail = tail
        self._seeds, self._signs = seeds, signs
        self._chunks = chunks
        device = coordinates.device
        self._engine = Triton(chunks.width, device)
        self._per_batch = max(BATCH >> chunks.chunk_log2, 1)
        self._count = -(-chunks.count // self._per_batch)
        size = min(self._per_batch << chunks.chunk_log2, chunks.length)
        words = -(-size * chunks.width // _WORD_BITS)
        self._elements = torch.empty(size, dtype=torch.uint32, device=device)
        self._packed = [
            torch.empty(words, dtype=torch.uint32, device=device) for _ in range(2)
        ]
        self._outbox = Outbox(device, 4 * words)
        self._torch = torch.get_device_module(device)
        on_gpu = device.type == "cuda"
        self._making = self._torch.Stream(device) if on_gpu else self._torch.Stream()
        # Whoever computed the update did so on the stream that is current here.
        self._making.wait_stream(self._torch.current_stream(device))
        self._holds: list[int | None] = [None, None]

    def __repr__(self) -> str:
        """Show how the vector is cut, nothing of it."""
        return f"DeviceChunks(<redacted>, {self._chunks})"

    def chunk(self, index: int) -> bytes:
        """Return one packed chunk of y_u, and begin with the batch after its own.

        The same index gives the same bytes each time (rule 4.5-6). One thread at a
        time.

        Raises:
            LocalProtocolError: there is no such chunk.
        """
        size = self._chunks.size_bytes(index)
        batch, place = divmod(index, self._per_batch)
        self._make(batch)
        self._make(batch + 1)
        start = place * self._chunks.size_bytes(0)
        return self._outbox.take(batch % 2, start, start + size)

    def _make(self, batch: int) -> None:
        """Queue a batch, unless it was queued before or there is none such."""
        slot = batch % 2
        if batch >= self._count or self._holds[slot] == batch:
            return
        self._outbox.wait(slot)
        self._holds[slot] = None
        with self._torch.stream(self._making):
            y_u = self._masked(batch)
            words = -(-len(y_u) * self._chunks.width // _WORD_BITS)
            packed = self._packed[slot][:words]
            width = self._chunks.width
            run(kernels.pack, words, packed, y_u, len(y_u), words, width=width)
            self._outbox.put(slot, PackedChunks(packed.view(torch.uint8)))
        self._holds[slot] = batch

    def _masked(self, batch: int) -> torch.Tensor:
        """Return the elements of y_u of a batch: x_u and the masks, mod p."""
        start = (batch * self._per_batch) << self._chunks.chunk_log2
        stop = min(start + len(self._elements), self._chunks.length)
        y_u = self._elements[: stop - start]
        m = self._chunks.length - len(self._tail)
        if start < m:
            head = y_u[: min(stop, m) - start]
            self._coordinates.write(start, min(stop, m), self._engine, head)
        if stop > m:
            limbs = torch.from_numpy(self._tail[max(start - m, 0) : stop - m])
            y_u[max(m - start, 0) :].copy_(limbs)
        with self._engine.table(self._seeds, self._signs) as table:
            self._engine.add(y_u, table, start)
        return y_u
