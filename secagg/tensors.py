"""Between a model's tensors and the flat vector of the protocol.

A `Layout` says which tensors enter the vector. Torch tensors on any device and numpy
arrays are both understood; torch is loaded only when a torch tensor is there to be
handled, so a program without torch can use the same module. Knows nothing of clipping
and rounding.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from secagg import errors
from secagg.layout import (
    MANTISSA_BITS,
    SINGLE,
    Layout,
    State,
    Tensor,
    TensorSpec,
    check_same,
    dtype_name,
    is_torch,
    named,
)

if TYPE_CHECKING:
    import torch

__all__ = [
    "Layout",
    "State",
    "Tensor",
    "check_writable",
    "coordinates",
    "device_coordinates",
    "difference",
    "flatten",
    "unflatten",
]

FlatVector: TypeAlias = NDArray[np.floating[Any]]
V = TypeVar("V")

_BLOCK: Final = 1 << 17
"""Coordinates that are checked or converted at a time: 1 MiB of float64."""


class Coordinates(Protocol):
    """A vector that is read window by window: an array, or one that lies in a file."""

    def __len__(self) -> int:
        """Return its length."""
        ...

    def __getitem__(self, window: slice, /) -> FlatVector:
        """Return a window of it."""
        ...


def flatten(
    value: State | Tensor,
    layout: Layout,
    dtype: type[np.float32 | np.float64] = np.float64,
) -> FlatVector:
    """Return the coordinates of `value`, shape (layout.size,), on the CPU.

    Args:
        value: what `layout` was made of, on any device.
        layout: of the same names, shapes and types.
        dtype: float64, which holds every type exactly, or float32 for half the memory.

    Raises:
        InputError: names, shapes or types differ from the layout; a coordinate is NaN
            or infinite (rule 5-1); or float64 tensors would be cut to float32.
    """
    state = named(value)
    check_same(state, layout)
    bits = MANTISSA_BITS[np.dtype(dtype).name]
    vector = np.empty(layout.size, dtype=dtype)
    for spec in layout.tensors:
        if MANTISSA_BITS[spec.dtype] > bits:
            raise errors.InputError(
                f"tensor {spec.name!r} is {spec.dtype}: flatten to float64 instead"
            )
        place = vector[spec.start : spec.stop]
        _copy_out(state[spec.name], place)
        _check_finite(place, spec)
    return vector


def coordinates(value: State | Tensor, layout: Layout) -> FlatVector:
    """Return the coordinates of `value` in as little memory as holds them exactly.

    One array that lies flat on the CPU is not copied: what is returned is a view of it
    that cannot be written through. Whoever changes the array changes the vector.

    Args:
        value: what `layout` was made of, on any device.
        layout: of the same names, shapes and types.

    Returns:
        Shape (layout.size,): float64 if a tensor is, else float32; of one array that is
        not copied, its own type.

    Raises:
        InputError: names, shapes or types differ from the layout, or a coordinate is
            NaN or infinite (rule 5-1).
    """
    state = named(value)
    view = _flat_view(state[SINGLE]) if state.keys() == {SINGLE} else None
    if view is None:
        wide = any(spec.dtype == "float64" for spec in layout.tensors)
        return flatten(value, layout, np.float64 if wide else np.float32)
    check_same(state, layout)
    _check_finite(view, layout.tensors[0])
    view.setflags(write=False)
    return view


def device_coordinates(
    value: State | Tensor, layout: Layout, device: torch.device
) -> torch.Tensor:
    """Return the coordinates of `value` on a device, exactly.

    What lies on a GPU stays on that one, whatever `device` says; one flat tensor is not
    copied, so whoever changes it changes the vector.

    Args:
        value: what `layout` was made of, on any device.
        layout: of the same names, shapes and types.
        device: where to put what does not lie on a GPU.

    Returns:
        Shape (layout.size,), contiguous: float64 if a tensor is, else float32; of one
        tensor that is not copied, its own type.

    Raises:
        InputError: names, shapes or types differ from the layout, or a coordinate is
            NaN or infinite (rule 5-1).
    """
    import torch

    state = named(value)
    check_same(state, layout)
    parts = [_as_torch(state[spec.name]) for spec in layout.tensors]
    there = next((part.device for part in parts if part.is_cuda), device)
    if len(parts) == 1 and parts[0].is_contiguous():
        vector = parts[0].to(there).reshape(-1)
        _check_finite_there(vector, layout)
        return vector
    wide = any(spec.dtype == "float64" for spec in layout.tensors)
    vector = torch.empty(
        layout.size, dtype=torch.float64 if wide else torch.float32, device=there
    )
    for spec, part in zip(layout.tensors, parts, strict=True):
        vector[spec.start : spec.stop].copy_(part.reshape(-1))
    _check_finite_there(vector, layout)
    return vector


def unflatten(vector: Coordinates, layout: Layout, like: V, out: V | None = None) -> V:
    """Return `vector` as tensors: the types and devices of `like`, in new memory.

    Args:
        vector: layout.size coordinates, finite; read window by window.
        layout: where each tensor lies.
        like: a state_dict or tensor of this layout; frozen entries are copied from it,
            and so are the order of its keys and, if it can be written to, its type.
        out: of this layout, to be written instead of new memory, and returned; its
            frozen entries stay as they are. It may be `like` itself.

    Raises:
        InputError: `like` or `out` is not of this layout, a tensor of `out` is not
            contiguous, the vector has another length, or a coordinate is not finite in
            its tensor's type.
    """
    state = named(like if out is None else out)
    check_same(state, layout)
    shape = vector.shape if isinstance(vector, np.ndarray) else (len(vector),)
    if shape != (layout.size,):
        raise errors.InputError(
            f"a vector of shape {shape} does not fill {layout.size} coordinates"
        )
    made = {
        spec.name: _filled(vector, spec, state[spec.name], new=out is None)
        for spec in layout.tensors
    }
    if out is not None:
        return out
    whole: Any = {
        name: made[name] if name in made else _copied(tensor)
        for name, tensor in state.items()
    }
    result: V = _as_mapping(like, whole) if isinstance(like, Mapping) else whole[SINGLE]
    return result


def check_writable(out: State | Tensor, layout: Layout) -> None:
    """Refuse what a vector of this layout cannot be written to.

    Raises:
        InputError: another layout, or a tensor that is not contiguous or not writable.
    """
    state = named(out)
    check_same(state, layout)
    for spec in layout.tensors:
        place = _place(state[spec.name], spec)
        if not is_torch(place) and not place.flags.writeable:
            raise errors.InputError(f"tensor {spec.name!r} to be written is read-only")


def difference(
    new: State | Tensor, old: State | Tensor, layout: Layout
) -> NDArray[np.float64]:
    """Return the update new - old, computed in float64, shape (layout.size,).

    Raises:
        InputError: as `flatten`, of either side.
    """
    update = np.asarray(flatten(new, layout), dtype=np.float64)
    update -= flatten(old, layout)
    return update


def device_difference(
    new: State | Tensor, old: State | Tensor, layout: Layout, device: torch.device
) -> torch.Tensor:
    """Return the same update, bit by bit, where `device_coordinates` puts `new`.

    Raises:
        InputError: as `device_coordinates`, of either side.
    """
    import torch

    there = device_coordinates(new, layout, device)
    update = there.to(torch.float64, copy=True)
    update -= device_coordinates(old, layout, there.device)
    return update


def _as_torch(tensor: Any) -> torch.Tensor:
    """Return a tensor without its gradient; an array as one, copied only if it must."""
    import torch

    if is_torch(tensor):
        return cast("torch.Tensor", tensor).detach()
    return torch.from_numpy(np.require(tensor, requirements=["C", "W"]))


def _copy_out(tensor: Any, place: FlatVector) -> None:
    """Write a tensor's elements to `place`, converted on the way."""
    if not is_torch(tensor):
        place[:] = tensor.reshape(-1)
        return
    import torch

    torch.from_numpy(place).copy_(tensor.detach().reshape(-1))


def _flat_view(tensor: Any) -> NDArray[Any] | None:
    """Return an array's own memory as a vector; None if it does not lie flat here."""
    if is_torch(tensor):
        here = tensor.device.type == "cpu" and dtype_name(tensor) != "bfloat16"
        whole = here and tensor.is_contiguous()
        return tensor.detach().reshape(-1).numpy() if whole else None
    if not isinstance(tensor, np.ndarray):
        return None
    return tensor.reshape(-1) if tensor.flags.c_contiguous else None


def _filled(vector: Coordinates, spec: TensorSpec, tensor: Any, *, new: bool) -> Any:
    """Return a tensor's part of `vector`, in memory like its or in its own."""
    made = _empty_like(tensor) if new else tensor
    place = _place(made, spec)
    for low, high in _blocks(spec.stop - spec.start):
        part = vector[spec.start + low : spec.start + high]
        if not _copy_in(part, place[low:high]):
            raise errors.InputError(
                f"tensor {spec.name!r}: a coordinate is not finite in {spec.dtype}"
            )
    return made


def _empty_like(tensor: Any) -> Any:
    """Return new memory of the shape, type and device of `tensor`, row by row."""
    if not is_torch(tensor):
        return np.empty(tensor.shape, dtype=tensor.dtype)
    import torch

    return torch.empty(tensor.shape, dtype=tensor.dtype, device=tensor.device)


def _place(tensor: Any, spec: TensorSpec) -> Any:
    """Return the memory of a tensor as a vector to write to."""
    if is_torch(tensor):
        flat = tensor.is_contiguous()
        tensor = tensor.detach()
    else:
        flat = tensor.flags.c_contiguous
    if not flat:
        raise errors.InputError(f"tensor {spec.name!r} to be written is not contiguous")
    return tensor.reshape(-1)


def _copy_in(part: FlatVector, place: Any) -> bool:
    """Write a window to a tensor; return whether all of it is finite there."""
    if is_torch(place):
        import torch

        place.copy_(torch.from_numpy(np.require(part, requirements=["C", "W"])))
        return bool(torch.isfinite(place).all())
    with np.errstate(over="ignore"):
        place[:] = part
    return bool(np.isfinite(place).all())


def _blocks(size: int) -> Iterator[tuple[int, int]]:
    """Yield the bounds of consecutive blocks that make up `size` coordinates."""
    for low in range(0, size, _BLOCK):
        yield low, min(low + _BLOCK, size)


def _copied(tensor: Any) -> Any:
    """Return a copy of a frozen entry; what is no tensor is passed on as it is."""
    if is_torch(tensor):
        return tensor.detach().clone()
    return tensor.copy() if isinstance(tensor, np.ndarray) else tensor


def _as_mapping(like: State, whole: dict[str, Any]) -> Any:
    """Return `whole` as a mapping of the type of `like`; a read-only one as a dict."""
    if not isinstance(like, MutableMapping):
        return whole
    # A copy keeps what a type has beside its items, such as a state_dict's versions.
    made = copy.copy(like)
    for name, tensor in whole.items():
        made[name] = tensor
    return made


def _check_finite(place: FlatVector, spec: TensorSpec) -> None:
    wrong = [
        (low, np.flatnonzero(~np.isfinite(place[low:high])))
        for low, high in _blocks(len(place))
        if not np.isfinite(place[low:high]).all()
    ]
    if not wrong:
        return
    count = sum(len(places) for _, places in wrong)
    first = wrong[0][0] + int(wrong[0][1][0])
    raise _not_finite(spec, count, first, nan=bool(np.isnan(place[first])))


def _check_finite_there(vector: torch.Tensor, layout: Layout) -> None:
    """Check a vector on its device: of its values, none comes here."""
    import torch

    # One pass and nothing allocated; a NaN anywhere makes both of them NaN.
    if bool(torch.isfinite(torch.stack(torch.aminmax(vector))).all()):
        return
    for spec in layout.tensors:
        part = vector[spec.start : spec.stop]
        wrong = torch.nonzero(~torch.isfinite(part))
        if len(wrong):
            first = int(wrong[0])
            nan = bool(torch.isnan(part[first]))
            raise _not_finite(spec, len(wrong), first, nan=nan)


def _not_finite(
    spec: TensorSpec, count: int, first: int, *, nan: bool
) -> errors.InputError:
    index = tuple(int(i) for i in np.unravel_index(first, spec.shape)) or ()
    kind = "NaN" if nan else "infinite"
    return errors.InputError(
        f"tensor {spec.name!r} has {count} coordinates that are not"
        f" finite, the first at {list(index)} is {kind}: training diverged, lower the"
        " learning rate"
    )
