"""Mask engines: expand seeds and add the masks into an accumulator. Spec section 6.

Every engine gives the same numbers. To add one, write its module and name it in
`ENGINES`: the tests run over that table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Final

from secagg import errors
from secagg.engine.interface import MaskEngine, MaskSeed
from secagg.engine.numpy_threads import NumpyThreads

if TYPE_CHECKING:
    import torch

__all__ = ["ENGINES", "MaskEngine", "MaskSeed", "NumpyThreads", "device_of", "engine"]


def _triton_module() -> ModuleType:
    try:
        import secagg.engine.triton as module
    except ImportError as error:
        raise errors.ParameterError(
            f"the engine 'triton' needs torch and triton ({error}): pip install"
            " 'secagg[gpu]', or use the engine 'numpy-threads'"
        ) from error
    return module


def _triton(width: int) -> MaskEngine:
    machine: MaskEngine = _triton_module().Triton(width)
    return machine


ENGINES: Final[Mapping[str, Callable[[int], MaskEngine]]] = MappingProxyType(
    {"numpy-threads": NumpyThreads, "triton": _triton}
)
"""What makes an engine of a width, by name."""


def engine(name: str, width: int) -> MaskEngine:
    """Return a new engine for elements of GF(p_w).

    Args:
        name: a key of `ENGINES`.
        width: w, 16..32.

    Raises:
        ParameterError: there is no such engine, or the width is outside its range.
    """
    if name not in ENGINES:
        known = ", ".join(sorted(ENGINES))
        raise errors.ParameterError(f"engine {name!r} is not one of: {known}")
    return ENGINES[name](width)


def device_of(name: str) -> torch.device | None:
    """Return where an engine wants an update to lie; None for this machine's memory.

    Args:
        name: a key of `ENGINES`.

    Raises:
        ParameterError: the engine's device or its libraries are missing.
    """
    if name != "triton":
        return None
    device: torch.device = _triton_module().usable_device()
    return device
