"""Triton's interpreter, made fast enough for tests.

It spends 70 us on an operation and 600 us on a call, whatever the tensors' size. The
rounds of one ChaCha20 block are 1,600 operations and 410 calls, all of them on uint32,
where Triton's operators mean what numpy's do. So the kernel's own functions, the same
code objects, are run on the arrays beneath the interpreter's tensors.
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import Iterator

import pytest
import triton
import triton.language as tl
from triton.runtime.interpreter import TensorHandle

from secagg.engine import triton_kernels

INTERPRETED = not isinstance(triton_kernels.accumulate, triton.runtime.JITFunction)


def _plain(fn, **callees):
    """Return a kernel's function as Python has it, with its callees in that form."""
    return types.FunctionType(fn.fn.__code__, callees)


def _on_arrays():
    quarter = _plain(triton_kernels._quarter, _rotated=_plain(triton_kernels._rotated))
    double_round = _plain(triton_kernels.double_round, _quarter=quarter)

    def run(x):
        words = double_round([word.handle.data for word in x])
        return tuple(
            tl.tensor(TensorHandle(word, tl.uint32), old.type)
            for word, old in zip(words, x, strict=True)
        )

    return run


@contextlib.contextmanager
def fast_rounds() -> Iterator[None]:
    """Run ChaCha20's rounds on arrays; on a GPU, leave everything as it is."""
    with pytest.MonkeyPatch.context() as patch:
        if INTERPRETED:
            patch.setattr(triton_kernels, "double_round", _on_arrays())
        yield


@contextlib.contextmanager
def slow_rounds() -> Iterator[None]:
    """Within `fast_rounds`: interpret every operation all the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(triton_kernels, "double_round", _INTERPRETED_ROUND)
        yield


_INTERPRETED_ROUND = triton_kernels.double_round
