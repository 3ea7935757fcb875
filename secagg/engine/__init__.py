"""Mask engines: expand seeds and add the masks into an accumulator. Spec section 6.

Every engine gives the same numbers. To add one, write its module and name it in
`ENGINES`: the tests run over that table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from secagg import errors
from secagg.engine.interface import MaskEngine, MaskSeed
from secagg.engine.numpy_threads import NumpyThreads

__all__ = ["ENGINES", "MaskEngine", "MaskSeed", "NumpyThreads", "engine"]


def _triton(width: int) -> MaskEngine:
    try:
        from secagg.engine.triton import Triton
    except ImportError as error:
        raise errors.ParameterError(
            f"the engine 'triton' needs torch and triton ({error}): pip install"
            " 'secagg[gpu]', or use the engine 'numpy-threads'"
        ) from error
    return Triton(width)


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
