"""Mask engines: expand seeds and add the masks into an accumulator. Spec section 6.

Every engine gives the same numbers. To add one, write its module and name it in
`_MAKERS`: the tests run over `ENGINES`. Which one is taken where nobody chose is
decided by `resolved`, here alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Final

from secagg import errors, kernels
from secagg.engine.interface import MaskEngine, MaskSeed
from secagg.engine.numpy_threads import NumpyThreads

if TYPE_CHECKING:
    import torch

__all__ = [
    "AUTO",
    "ENGINES",
    "MaskEngine",
    "MaskSeed",
    "NumpyThreads",
    "device_of",
    "engine",
    "one_thread",
    "resolved",
]

AUTO: Final = "auto"
"""Stands for the fastest engine for a CPU that is installed."""


def _numba_threads(width: int, workers: int | None = None) -> MaskEngine:
    try:
        from secagg.engine.numba_threads import NumbaThreads
    except ImportError as error:
        raise errors.ParameterError(
            f"the engine 'numba-threads' needs numba ({error}): pip install"
            " 'secagg[fast]', or use the engine 'numpy-threads'"
        ) from error
    return NumbaThreads(width, workers)


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


_MAKERS: Final[Mapping[str, Callable[[int], MaskEngine]]] = {
    "numpy-threads": NumpyThreads,
    "numba-threads": _numba_threads,
    "triton": _triton,
}

ENGINES: Final[Mapping[str, Callable[[int], MaskEngine]]] = MappingProxyType(
    {
        name: maker
        for name, maker in _MAKERS.items()
        if kernels.INSTALLED or name != "numba-threads"
    }
)
"""What makes an engine of a width, by name; numba's only where it is installed."""


def engine(name: str, width: int) -> MaskEngine:
    """Return a new engine for elements of GF(p_w).

    Args:
        name: a key of `ENGINES`, or `AUTO`.
        width: w, 16..32.

    Raises:
        ParameterError: there is no such engine, what it needs is not installed, or the
            width is outside its range.
    """
    return _MAKERS[resolved(name)](width)


def one_thread(width: int) -> MaskEngine:
    """Return the fastest engine for one thread of a CPU, where others take the rest.

    Args:
        width: w, 16..32.

    Raises:
        ParameterError: the width is outside its range.
    """
    if resolved(AUTO) == "numba-threads":
        return _numba_threads(width, 1)
    return NumpyThreads(width, 1)


def resolved(name: str) -> str:
    """Return which engine a name stands for.

    For `AUTO` the first call imports numba, which takes half a second, and compiles
    where it finds nothing compiled before.

    Raises:
        ParameterError: there is no such engine.
    """
    if name == AUTO:
        compiled = kernels.compiled_loops() is not None
        return "numba-threads" if compiled else "numpy-threads"
    if name not in _MAKERS:
        known = ", ".join(sorted([AUTO, *_MAKERS]))
        raise errors.ParameterError(f"engine {name!r} is not one of: {known}")
    return name


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
