"""How the loops of the extra ``fast`` are compiled by numba.

Raises ImportError where numba is absent or switched off.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
    raise ImportError("numba's compiler is switched off by NUMBA_DISABLE_JIT")
if sys.byteorder != "little":
    raise ImportError("the compiled loops are for little endian machines")

_Function = TypeVar("_Function", bound=Callable[..., Any])

# It has no types.
_tools: Any = cgutils


def compiled(result: Any, *arguments: list[Any]) -> Callable[[_Function], _Function]:
    """Compile now, for one list of types of the arguments or several."""
    types_ = [result(*types_of_one) for types_of_one in arguments]

    def compiler(function: _Function) -> _Function:
        try:
            made = numba.njit(types_, nogil=True, error_model="numpy", cache=True)(
                function
            )
        except RuntimeError:
            # Neither the package's folder nor the user's cache can be written.
            made = numba.njit(types_, nogil=True, error_model="numpy")(function)
        return cast("_Function", made)

    return compiler


def emitted(function: Callable[..., Any]) -> Any:
    """Compile to what `function` writes with LLVM's builder, given the types."""
    return intrinsic(function)


def data_of(context: Any, build: Any, signature: Any, given: Any, argument: int) -> Any:
    """Write, for an emitted function, where the data of an array begins.

    Args:
        context: as the function got it, and so on up to `given`.
        build: see there.
        signature: see there.
        given: see there.
        argument: which of the arguments is the array.
    """
    kind, array = signature.args[argument], given[argument]
    return _tools.create_struct_proxy(kind)(context, build, array).data


def all_lanes(build: Any, number: Any, lanes: int) -> Any:
    """Write, for an emitted function, a row of one number."""
    row, zero = ir.VectorType(number.type, lanes), ir.Constant(ir.IntType(32), 0)
    unset = ir.Constant(row, ir.Undefined)
    first = build.insert_element(unset, number, zero)
    places = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
    return build.shuffle_vector(first, unset, places)


def inlined(function: _Function) -> _Function:
    """Compile as a part of what calls it."""
    return cast("_Function", numba.njit(nogil=True, error_model="numpy")(function))
