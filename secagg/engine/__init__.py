"""Mask engines: expand seeds and add the masks into an accumulator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.prg import Tag


@dataclass(frozen=True, slots=True)
class MaskSeed:
    """The PRG key of one mask and its domain."""

    key: bytes = field(repr=False)
    tag: Tag


class MaskEngine(Protocol):
    """Expands seeds at one width and adds the masks into an accumulator."""

    def accumulate(
        self,
        acc: NDArray[np.uint32],
        seeds: Sequence[MaskSeed],
        signs: Sequence[int],
        start: int,
        stop: int,
    ) -> None:
        """Add sum of sign * PRG(seed)[start:stop] mod p into `acc`, in place."""
