"""Which tensors a vector holds, in which order, and with which ranges.

A `Layout` lists them sorted by name; its hash says that two sides mean the same. Torch
tensors on any device and numpy arrays are both understood; torch is never loaded here:
if a torch tensor is there, it is loaded.

Only plain floats enter the vector. What else there is, is refused by name: integers and
booleans, whose mean is no integer (a counter such as ``num_batches_tracked`` is no
parameter), complex and sparse tensors, tensors without data. Declare such a one frozen,
and it stays out of the vector and keeps its value. Tensors that share their memory,
such as tied weights, enter once by each of their names.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from secagg import errors
from secagg.names import RangeRuns

if TYPE_CHECKING:
    import torch

Tensor: TypeAlias = "torch.Tensor | NDArray[Any]"
State: TypeAlias = Mapping[str, Any]

SINGLE: Final = "tensor"
"""What a tensor is called that came alone, not in a state_dict."""

MANTISSA_BITS: Final = {
    "float64": 53,
    "float32": 24,
    "float16": 11,
    "bfloat16": 8,
}
"""The types that enter the vector; all of them embed exactly in float64."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor's place in the vector: elements start..stop, row by row."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    start: int

    @property
    def stop(self) -> int:
        """One past its last element."""
        return self.start + math.prod(self.shape)


@dataclass(frozen=True)
class Layout:
    """Which tensors a vector holds, in order.

    Attributes:
        tensors: those that enter the vector, sorted by name.
        frozen: names of those that stay out, sorted.
    """

    tensors: tuple[TensorSpec, ...]
    frozen: tuple[str, ...] = ()

    @classmethod
    def of(cls, value: State | Tensor, frozen: Iterable[str] = ()) -> Layout:
        """Return the layout of a state_dict, or of one tensor.

        Args:
            value: a mapping from names to tensors, or one tensor; torch or numpy.
            frozen: names, or patterns such as ``*.num_batches_tracked``, of what stays
                out of the vector.

        Raises:
            InputError: a tensor that is not frozen is none, or not of a float type; a
                pattern names nothing; or no coordinate is left.
        """
        state = named(value)
        names = _frozen_names(state, tuple(frozen))
        specs: list[TensorSpec] = []
        start = 0
        # By name, so that two sides that build their model in another order still mean
        # the same coordinates.
        for name in sorted(set(state) - names):
            spec = spec_of(name, state[name], start)
            specs.append(spec)
            start = spec.stop
        if start == 0:
            raise errors.InputError("the update has no coordinates that are not frozen")
        return cls(tuple(specs), tuple(sorted(names)))

    @property
    def size(self) -> int:
        """Coordinates of the vector, m."""
        return self.tensors[-1].stop

    @cached_property
    def hash(self) -> bytes:
        """SHA-256 over names, shapes, types, order and what is frozen; 32 bytes."""
        rows = [(spec.name, spec.shape, spec.dtype) for spec in self.tensors]
        text = json.dumps([rows, self.frozen], separators=(",", ":"))
        return hashlib.sha256(text.encode("ascii")).digest()

    def ranges(self, given: Mapping[str, float], default: float) -> RangeRuns:
        """Return the ranges of the coordinates, for a `Task`.

        Args:
            given: range by name, or by a pattern such as ``*.bias``; a name in full
                wins over patterns.
            default: the range of all other tensors.

        Raises:
            InputError: a pattern names no tensor of the vector, or two name the same.
        """
        for pattern in given:
            if not any(fnmatch.fnmatchcase(one.name, pattern) for one in self.tensors):
                known = listed((one.name for one in self.tensors), most=32)
                raise errors.InputError(
                    f"a range for {pattern!r}, which matches no tensor of the vector;"
                    f" there are: {known}"
                )
        radii = [
            (_range_of(one.name, given, default), one.stop - one.start)
            for one in self.tensors
            if one.stop > one.start
        ]
        runs = groupby(radii, key=lambda pair: pair[0])
        return tuple((sum(size for _, size in run), radius) for radius, run in runs)


def named(value: Any) -> State:
    """Return a state_dict; one tensor alone becomes one of a single entry."""
    return value if isinstance(value, Mapping) else {SINGLE: value}


def is_torch(value: Any) -> bool:
    """Tell a torch tensor without loading torch: if it is one, torch is loaded."""
    module = sys.modules.get("torch")
    return module is not None and isinstance(value, module.Tensor)


def dtype_name(tensor: Any) -> str:
    """Return ``float32`` and the like, for torch and numpy alike."""
    return str(tensor.dtype).removeprefix("torch.")


def _frozen_names(state: State, patterns: tuple[str, ...]) -> frozenset[str]:
    names: set[str] = set()
    for pattern in patterns:
        matched = [name for name in state if fnmatch.fnmatchcase(name, pattern)]
        if not matched:
            raise errors.InputError(
                f"frozen {pattern!r} matches no tensor; there are: {listed(state)}"
            )
        names.update(matched)
    return frozenset(names)


def _range_of(name: str, given: Mapping[str, float], default: float) -> float:
    if name in given:
        return given[name]
    matching = [one for one in given if fnmatch.fnmatchcase(name, one)]
    if len(matching) > 1:
        raise errors.InputError(
            f"tensor {name!r} has several ranges, by {listed(matching)}: give it one by"
            " its name in full"
        )
    return given[matching[0]] if matching else default


def spec_of(name: str, tensor: Any, start: int) -> TensorSpec:
    """Return a tensor's place from `start` on.

    Raises:
        InputError: it is none that enters the vector; says its name and why.
    """
    if not (isinstance(tensor, np.ndarray) or is_torch(tensor)):
        raise errors.InputError(
            f"{name!r} is a {type(tensor).__name__}, not a tensor: declare it frozen,"
            " or leave it out"
        )
    if not isinstance(name, str):
        raise errors.InputError(f"a tensor's name is {name!r}, not a text")
    dtype = dtype_name(tensor)
    if dtype not in MANTISSA_BITS:
        raise errors.InputError(
            f"tensor {name!r} is {dtype}, not one of {', '.join(MANTISSA_BITS)}:"
            " declare it frozen, or convert it"
        )
    if _has_no_plain_data(tensor):
        raise errors.InputError(
            f"tensor {name!r} is sparse, nested, masked, or has no data: declare it"
            " frozen, or convert it"
        )
    return TensorSpec(name, tuple(int(side) for side in tensor.shape), dtype, start)


def _has_no_plain_data(tensor: Any) -> bool:
    if not is_torch(tensor):
        return isinstance(tensor, np.ma.MaskedArray)
    strided = str(tensor.layout) == "torch.strided"
    return not strided or bool(tensor.is_nested) or bool(tensor.is_meta)


def check_same(state: State, layout: Layout) -> None:
    """Refuse a state of other names, shapes or types; their order may differ."""
    expected = {spec.name for spec in layout.tensors} | set(layout.frozen)
    if missing := expected - set(state):
        raise errors.InputError(f"missing from the state: {listed(missing)}")
    if unknown := set(state) - expected:
        raise errors.InputError(f"not in the layout: {listed(unknown)}")
    for spec in layout.tensors:
        found = spec_of(spec.name, state[spec.name], spec.start)
        if found != spec:
            raise errors.InputError(
                f"tensor {spec.name!r} is {found.dtype} of shape {found.shape}, the"
                f" layout has {spec.dtype} of shape {spec.shape}"
            )


def listed(names: Iterable[str], most: int = 8) -> str:
    """Return names for an error, in order, at most so many."""
    ordered = sorted(names)
    rest = f" and {len(ordered) - most} more" if len(ordered) > most else ""
    return ", ".join(ordered[:most]) + rest
