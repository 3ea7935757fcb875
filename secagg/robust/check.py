"""What a check sees of an opened sum, and what it says about it. Spec 10.

Every member's vector is hidden, so a check has the sum over U3 alone. What it may say
is limited too: verdicts are published, the exact sum behind a noised release is not. So
a check of the exact sum must say nothing of it while it passes, and a check that
measures something looks at what is released anyway, which costs no privacy.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from secagg.messages import Extra
from secagg.names import VectorSum


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtraSum:
    """The opened sum of an extra coordinate, and the range of each member's part."""

    extra: Extra
    total: int


class Means(Protocol):
    """A mean that is read window by window: an array, or one that lies in a file."""

    def __len__(self) -> int:
        """Return m."""
        ...

    def __getitem__(self, window: slice, /) -> NDArray[np.floating[Any]]:
        """Return a window of it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedSum:
    """The sum over U3 with its masks removed.

    Attributes:
        vector: the integer sum of x_u over U3, centred, shape (m',).
        u3_count: |U3|, 1 or more.
        x_max: the bound on every coordinate of one x_u.
        delta_int: the bound on the L2 norm of one x_u.
        extras: the sums of the extra coordinates, in the Manifest's order.
        previous: the mean released in the round before, of length m; None in the
            first.
        mean: that `vector` gives, of length m; None before it may be released.
    """

    vector: VectorSum
    u3_count: int
    x_max: int
    delta_int: int
    extras: tuple[ExtraSum, ...] = ()
    previous: Means | None = None
    mean: Means | None = None


class Sees(enum.Enum):
    """Which sum a check is given."""

    OPENED = enum.auto()
    """The exact one. A passing verdict must not depend on it."""

    RELEASED = enum.auto()
    """The one that is published, noise included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one check said.

    Attributes:
        check: its name.
        passed: whether the sum is as it should be.
        detail: the numbers, at most 512 printable ASCII characters.
        fatal: whether the round is discarded if it did not pass.
    """

    check: str
    passed: bool
    detail: str
    fatal: bool


class Check(Protocol):
    """A check on the opened sum."""

    @property
    def name(self) -> str:
        """The name in the registry and the record."""
        ...

    @property
    def sees(self) -> Sees:
        """Which sum it is given."""
        ...

    def __call__(self, view: OpenedSum) -> Verdict:
        """Judge `view`."""
        ...
