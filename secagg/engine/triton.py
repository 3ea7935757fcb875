"""The mask engine for a GPU: one Triton kernel for all seeds. Spec section 6.

The same elements as every engine, bit by bit. An accumulator may lie in the machine's
memory, and is then copied to the GPU and back, or on the GPU, where it stays. Works on
NVIDIA GPUs through CUDA; where ``TRITON_INTERPRET=1`` is set before this module is
imported, Triton interprets the kernels on the CPU, slowly.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self, TypeVar

import numpy as np
import torch
import triton
from numpy.typing import NDArray

from secagg import errors
from secagg import field as gf
from secagg.engine import triton_kernels
from secagg.engine.interface import MaskSeed, check_arguments

_Part = TypeVar("_Part")
_Made = TypeVar("_Made")

# A warp a program: whether one of its words is rejected is then one instruction, with
# no barrier. 32 lanes, a ChaCha20 block each.
_WARP: Final = 32

# Blocks times seeds that are interpreted together; 16 sums of 8 bytes each.
_INTERPRETED: Final = 1 << 17

# Elements of the accumulator that are copied to the GPU at a time: 256 MiB.
_SLICE: Final = 1 << 26

BLOCK_WORDS: Final = 16
"""Words of a ChaCha20 block."""

# Launching takes microseconds; the interpreter keeps its state in globals.
_LAUNCHING: Final = threading.Lock()


@dataclass(frozen=True, slots=True)
class SeedTable:
    """Seeds and signs on the device, in the form the kernel reads.

    A context: at its end the keys are overwritten, behind the kernels that read them.

    Attributes:
        rows: uint32, shape (count, 12): keys, hence secret.
        base: what the kernel adds to make up for the masks that are taken away.
        side: seeds that are handled side by side.
    """

    rows: torch.Tensor = field(repr=False)
    base: int
    side: int

    def __enter__(self) -> Self:
        """Return the table."""
        return self

    def __exit__(self, *_: object) -> None:
        """Overwrite the keys."""
        self.rows.view(torch.int32).zero_()


class Triton:
    """Adds masks on one GPU; several threads may call it at once."""

    def __init__(self, width: int, device: torch.device | None = None) -> None:
        """Prepare an engine for elements of GF(p_w).

        Args:
            width: w, 16..32.
            device: where it runs; by default the current CUDA device.

        Raises:
            ParameterError: the width is outside its range, or no GPU can be used; the
                message says what is missing.
        """
        self.p = gf.prime(width)
        self._width = width
        self.device = usable_device() if device is None else device

    def __repr__(self) -> str:
        """Show the width and the device."""
        return f"Triton(width={self._width}, device={str(self.device)!r})"

    def accumulate(
        self,
        acc: NDArray[np.uint32],
        seeds: Sequence[MaskSeed],
        signs: Sequence[int],
        start: int,
        stop: int,
    ) -> None:
        """Add sum of sign * PRG(seed)[start:stop] mod p into `acc`, in place.

        See `MaskEngine.accumulate`.
        """
        check_arguments(acc, seeds, signs, start, stop)
        with self.table(seeds, signs) as table:
            for low in range(0, len(acc), _SLICE):
                here = torch.from_numpy(acc[low : low + _SLICE])
                there = here.to(self.device)
                self.add(there, table, start + low)
                here.copy_(there)

    def on_threads(
        self, work: Callable[[_Part], _Made], parts: Iterable[_Part]
    ) -> Iterator[_Made]:
        """See `MaskEngine.on_threads`; this engine has none."""
        return iter([work(part) for part in parts])

    def alone(self) -> Self:
        """See `MaskEngine.alone`."""
        return self

    def table(self, seeds: Sequence[MaskSeed], signs: Sequence[int]) -> SeedTable:
        """Return seeds and signs in the kernel's form, on the device.

        Args:
            seeds: of the masks, any number.
            signs: +1 or -1 for each seed.
        """
        side = _side(len(seeds)) if _interpreted() else 1
        cut = (1 << self._width) - 1
        rows = np.zeros((-(-len(seeds) // side) * side, triton_kernels.ROW), np.uint32)
        for row, seed, sign in zip(rows, seeds, signs, strict=False):
            row[:8] = np.frombuffer(seed.key, dtype="<u4")
            row[8:11] = seed.tag, cut, cut if sign < 0 else 0
        base = -sum(sign < 0 for sign in signs) * cut % self.p
        return SeedTable(torch.from_numpy(rows).to(self.device), base, side)

    def add(self, acc: torch.Tensor, table: SeedTable, start: int) -> None:
        """Add a table's masks from position `start` on into `acc`, in place.

        Queued on the device's current stream, like any operation of torch.

        Args:
            acc: elements in [0, p), uint32, contiguous, shape (k,), on the device.
            table: from `table`.
            start: position of the first element; start + k is at most 2^64.
        """
        first, skip = divmod(start, BLOCK_WORDS)
        run(
            triton_kernels.accumulate,
            -(-(skip + len(acc)) // BLOCK_WORDS),
            acc,
            table.rows,
            len(table.rows),
            first,
            skip,
            len(acc),
            table.base,
            side=table.side,
            p=self.p,
        )


def run(
    kernel: Any,
    blocks: int,
    *given: torch.Tensor | int,
    side: int = 1,
    **constants: int,
) -> None:
    """Queue a kernel on the current stream of its first tensor's device.

    Args:
        kernel: of Triton; takes constants `side` and `blocks`, the shape of its tile.
        blocks: how many there are in all; with none, nothing is done.
        given: its arguments, a tensor first.
        side: rows of a tile.
        constants: its other constants.
    """
    if not blocks:
        return
    first = given[0]
    assert isinstance(first, torch.Tensor)  # noqa: S101 see above
    tile = _interpreted_blocks(blocks, side) if _interpreted() else _WARP
    with _LAUNCHING, torch.cuda.device(first.get_device()):
        # No kernel has floats to fuse; unsaid, Triton warns that a default will change.
        kernel[(-(-blocks // tile),)](
            *given,
            side=side,
            blocks=tile,
            num_warps=1,
            enable_fp_fusion=False,
            **constants,
        )


def _interpreted() -> bool:
    """Whether the kernels run in Triton's interpreter."""
    return not isinstance(triton_kernels.accumulate, triton.runtime.JITFunction)


def _side(seeds: int) -> int:
    """Return how many seeds the interpreter takes at once, a power of two."""
    return min(1 << max(seeds - 1, 0).bit_length(), 1 << 10)


def _interpreted_blocks(blocks: int, side: int) -> int:
    """Return how many blocks the interpreter takes at once, a power of two."""
    return min(1 << (blocks - 1).bit_length(), max(_INTERPRETED // side, 1))


def usable_device() -> torch.device:
    """Return the current CUDA device; the CPU where kernels are interpreted.

    Raises:
        ParameterError: there is none; the message says what is missing.
    """
    if _interpreted():
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    if torch.version.cuda is None:
        missing = (
            f"this torch ({torch.__version__}) was built without CUDA: install a build"
            " with it"
        )
    else:
        missing = (
            f"torch {torch.__version__} sees no device: nvidia-smi says whether the"
            " driver does, and CUDA_VISIBLE_DEVICES must not hide it"
        )
    raise errors.ParameterError(
        f"engine 'triton' needs an NVIDIA GPU, and {missing}; or use the engine"
        " 'numpy-threads'"
    )
