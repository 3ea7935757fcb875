"""What a mask engine is: seeds in, one accumulator out. Spec sections 4.5, 4.8, 6."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from secagg import errors
from secagg.crypto.prg import KEY_SIZE, POSITIONS, Tag

_Part = TypeVar("_Part")
_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True, eq=False)
class MaskSeed:
    """The PRG key of one mask, 32 bytes, and what the mask is for."""

    key: bytes = field(repr=False)
    tag: Tag

    __hash__ = None  # type: ignore[assignment]  # a secret is no dictionary key

    def __post_init__(self) -> None:
        if len(self.key) != KEY_SIZE:
            raise errors.ParameterError(
                f"a stream key has 32 bytes, not {len(self.key)}"
            )

    def __eq__(self, other: object) -> bool:
        """Compare in a time that does not depend on the keys."""
        if not isinstance(other, MaskSeed):
            return NotImplemented
        return self.tag is other.tag and hmac.compare_digest(self.key, other.key)


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
        """Add sum of sign * PRG(seed)[start:stop] mod p into `acc`, in place.

        Args:
            acc: elements in [0, p), shape (stop - start,), contiguous.
            seeds: of the masks, any number.
            signs: +1 or -1 for each seed.
            start: first position of the window; any, not only a block's first.
            stop: end of the window.

        Raises:
            ParameterError: the arguments do not fit each other; `acc` is as it was.
        """
        ...

    def on_threads(
        self, work: Callable[[_Part], _Made], parts: Iterable[_Part]
    ) -> Iterator[_Made]:
        """Do other work on the engine's threads of this CPU, if it has several.

        Args:
            work: done for each part, side by side; it must not call the engine.
            parts: all of them are taken at once.

        Returns:
            What `work` returned, in order; taking it waits, and raises what it raised.
        """
        ...

    def alone(self) -> MaskEngine:
        """Return one that gives the same on the caller's thread; itself if it does."""
        ...


def check_arguments(
    acc: NDArray[np.uint32],
    seeds: Sequence[MaskSeed],
    signs: Sequence[int],
    start: int,
    stop: int,
) -> None:
    """Refuse arguments of `MaskEngine.accumulate` that do not fit each other.

    Raises:
        ParameterError: a shape, type, number, sign or window is wrong.
    """
    if not 0 <= start <= stop <= POSITIONS:
        raise errors.ParameterError(
            f"window [{start}, {stop}) is not within the positions 0..2^64"
        )
    if acc.shape != (stop - start,) or acc.dtype != np.uint32:
        raise errors.ParameterError(
            f"an accumulator of {acc.dtype}{acc.shape} does not fit uint32"
            f"({stop - start},)"
        )
    if not acc.flags.c_contiguous:
        raise errors.ParameterError("the accumulator is not contiguous")
    if len(seeds) != len(signs):
        raise errors.ParameterError(f"{len(seeds)} seeds but {len(signs)} signs")
    if any(sign not in (1, -1) for sign in signs):
        raise errors.ParameterError("a sign is neither +1 nor -1")
