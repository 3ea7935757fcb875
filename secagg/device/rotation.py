"""The rotation of an update on the device that holds it, with the CPU's bits. Spec 5.1.

The same additions in the same order as in `secagg.rotation`, where it stands what they
are for; the signs and shifts are public, made on the host and copied in.
"""

from __future__ import annotations

import torch

from secagg.rotation import GROUP_BLOCKS, Rotation


def forward(
    rotation: Rotation, update: torch.Tensor, gain: float, first: int, last: int
) -> torch.Tensor:
    """Return blocks [first, last) of gain H D P update, on the update's device.

    Args:
        rotation: the session's.
        update: finite, shape (m,).
        gain: what every coordinate is multiplied by before all else.
        first: a block.
        last: one past the last block, at most N.

    Returns:
        float64, shape ((last - first) B,).
    """
    shape = (last - first, rotation.block)
    out = torch.empty(shape, dtype=torch.float64, device=update.device)
    for low, high in rotation.runs(first, last, GROUP_BLOCKS):
        columns = _placed(rotation, update, gain, low, high)
        columns *= _signs(rotation, low, high, update.device)
        out[low - first : high - first] = _butterflies(columns).T
    return out.view(-1)


def _placed(
    rotation: Rotation, update: torch.Tensor, gain: float, low: int, high: int
) -> torch.Tensor:
    """Return what stands in blocks [low, high), times gain: one column a block."""
    group = low // GROUP_BLOCKS
    first, size = rotation.group_span(group)
    shifts = torch.from_numpy(rotation.shifts(group)).to(update.device)
    place = torch.arange(low - first, high - first, device=update.device)
    place = (place + shifts[:, None]) % size
    rows = torch.arange(rotation.block, device=update.device)
    place += first * rotation.block + rows[:, None] * size
    taken = update[place.clamp(max=rotation.length - 1)].to(torch.float64)
    taken *= gain
    return taken.masked_fill_(place >= rotation.length, 0.0)


def _signs(
    rotation: Rotation, low: int, high: int, device: torch.device
) -> torch.Tensor:
    """Return 1 or -1 for each place of blocks [low, high): one column a block."""
    stored = torch.from_numpy(rotation.sign_bits(low, high)).to(device)
    bits = stored[:, None] >> torch.arange(8, dtype=torch.uint8, device=device) & 1
    count = high - low
    signs = 1.0 - 2.0 * bits.view(-1)[: count * rotation.block].to(torch.float64)
    return signs.view(count, rotation.block).T


def _butterflies(columns: torch.Tensor) -> torch.Tensor:
    """Return the Hadamard transform of each column, in the stated order."""
    block, count = columns.shape
    here, there = columns.contiguous(), torch.empty_like(columns)
    stride = 1
    while stride < block:
        a = here.view(block // (2 * stride), 2, stride * count)
        b = there.view(a.shape)
        torch.add(a[:, 0], a[:, 1], out=b[:, 0])
        torch.sub(a[:, 0], a[:, 1], out=b[:, 1])
        here, there = there, here
        stride *= 2
    return here
