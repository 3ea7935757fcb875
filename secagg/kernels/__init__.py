"""Which form the inner loops take here: compiled where numba is installed, else numpy.

Both forms give the same results to the last bit. `compiled_loops` is the one place that
chooses.
"""

from __future__ import annotations

import functools
import importlib.util
from types import ModuleType
from typing import Final

INSTALLED: Final = importlib.util.find_spec("numba") is not None
"""Whether the extra ``fast`` is there; `compiled_loops` knows whether it works."""


@functools.cache
def compiled_loops() -> ModuleType | None:
    """Return the compiled loops, or None where numba is absent or does not work.

    Imports numba, which takes half a second, and compiles, which takes some more where
    nothing is cached on the disk yet: call it first when nobody waits.
    """
    if not INSTALLED:
        return None
    try:
        from secagg.kernels import compiled
    except ImportError:
        return None
    return compiled
