"""Checks on the sum after it is opened. Spec 10.

To add a check: write it in a file of its own and list it here; the pipeline runs all of
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from secagg.robust.check import Check, ExtraSum, OpenedSum, Sees, Verdict
from secagg.robust.cosine import CosineToPrevious
from secagg.robust.exact_bounds import ExactBounds

__all__ = ["CHECKS", "Check", "ExtraSum", "OpenedSum", "Sees", "Verdict"]

_KNOWN: Final[tuple[Check, ...]] = (ExactBounds(), CosineToPrevious())

CHECKS: Final[Mapping[str, Check]] = MappingProxyType(
    {check.name: check for check in _KNOWN}
)
"""Every check by its name, in the order in which they run."""
