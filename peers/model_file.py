"""A model as a safetensors file: bytes to tensors, a mean onto a model, and back.

The order of a vector's coordinates follows from the file alone: tensors by their names,
so that a hospital and the aggregator cannot differ. The bytes of a model are the same
wherever they are made, since its hash is its name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError

from peers.training import State
from secagg import errors
from secagg.tensors import Layout, flatten, unflatten

TORCH: Final = "torch"
NUMPY: Final = "numpy"

_NUMPY_TYPES: Final = frozenset(
    {"F64", "F32", "F16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL"}
)
_METADATA: Final = "__metadata__"
_NO_MODEL: Final = "the model is not a safetensors file"

# What the format's own reader allows.
_MAX_HEADER: Final = 100_000_000


def model_hash(blob: bytes) -> bytes:
    """Return the SHA-256 of a model's bytes, by which it is fetched."""
    return hashlib.sha256(blob).digest()


def load(blob: bytes, framework: str) -> State:
    """Return the tensors of a model, sorted by name.

    Args:
        blob: a safetensors file.
        framework: `TORCH` for torch tensors, `NUMPY` for arrays.

    Raises:
        InputError: not a safetensors file, or of a type that numpy does not have.
    """
    foreign = {kind for kind in _types(blob) if kind not in _NUMPY_TYPES}
    if framework == NUMPY and foreign:
        raise errors.InputError(
            f"the model has tensors of type {', '.join(sorted(foreign))}, which numpy"
            ' does not know: use framework = "torch"'
        )
    state: Mapping[str, Any]
    try:
        if framework == TORCH:
            from safetensors import torch as torch_files

            state = torch_files.load(blob)
        else:
            from safetensors import numpy as numpy_files

            state = numpy_files.load(blob)
    except SafetensorError as error:
        raise errors.InputError(
            f"the model is not a safetensors file: {error}"
        ) from None
    return {name: state[name] for name in sorted(state)}


def save(state: Mapping[str, Any]) -> bytes:
    """Return the safetensors file of a state_dict; equal states give equal bytes.

    Raises:
        InputError: an entry is no tensor, or there is none.
    """
    if not state:
        raise errors.InputError("the model has no tensors")
    arrays = all(isinstance(tensor, np.ndarray) for tensor in state.values())
    if arrays:
        from safetensors import numpy as numpy_files

        blob: bytes = numpy_files.save(
            {name: np.asarray(state[name], order="C") for name in sorted(state)}
        )
        return blob
    from safetensors import torch as torch_files

    for name, tensor in state.items():
        if not hasattr(tensor, "detach"):
            raise errors.InputError(f"{name!r} is a {type(tensor).__name__}, no tensor")
    # Cloned one by one: tied tensors share memory, which the format does not have.
    made: bytes = torch_files.save(
        {
            name: state[name].detach().cpu().contiguous().clone()
            for name in sorted(state)
        }
    )
    return made


def framework_for(blob: bytes) -> str:
    """Return what can handle a model: numpy where its types allow, else torch."""
    return NUMPY if _types(blob) <= _NUMPY_TYPES else TORCH


def layout_of(blob: bytes, frozen: Iterable[str] = ()) -> Layout:
    """Return the layout of a model's vector.

    Raises:
        InputError: it is no model, or has tensors that are neither floats nor frozen.
    """
    return Layout.of(load(blob, framework_for(blob)), frozen)


def moved(
    blob: bytes, mean: NDArray[np.float64], layout: Layout, learning_rate: float = 1.0
) -> bytes:
    """Return the model after ``model += learning_rate * mean``.

    Computed in float64 and rounded once to each tensor's type.

    Args:
        blob: the model before.
        mean: the released mean update, shape (layout.size,).
        layout: of `blob`.
        learning_rate: the server's, above 0.

    Raises:
        InputError: a coordinate of the new model is not finite.
    """
    state = load(blob, framework_for(blob))
    vector = flatten(state, layout)
    vector += learning_rate * mean
    return save(unflatten(vector, layout, like=state))


def _types(blob: bytes) -> frozenset[str]:
    """Return the element types that a file's header names."""
    return frozenset(row["dtype"] for row in header_of(blob).values())


def header_of(blob: bytes) -> dict[str, dict[str, Any]]:
    """Return what a file's header says of each tensor: its dtype and its shape.

    Raises:
        InputError: not a safetensors file.
    """
    size = int.from_bytes(blob[:8], "little")
    fits = 2 <= size <= min(_MAX_HEADER, len(blob) - 8)
    try:
        header: Any = json.loads(blob[8 : 8 + size]) if fits else None
        rows = {
            name: {"dtype": row["dtype"], "shape": row["shape"]}
            for name, row in header.items()
            if name != _METADATA
        }
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise errors.InputError(_NO_MODEL) from None
    if not all(isinstance(row["dtype"], str) for row in rows.values()):
        raise errors.InputError(_NO_MODEL)
    return rows
