"""How loops come to be compiled."""

import importlib

import pytest

numba = pytest.importorskip("numba", reason="the extra fast is not installed")

from secagg.kernels import compiler  # noqa: E402 after numba is known to be there


def test_what_cannot_be_cached_is_compiled_all_the_same(monkeypatch):
    """A read-only install of a user without a home."""
    njit, tried = numba.njit, []

    def nowhere(*arguments, **options):
        tried.append(options.get("cache", False))
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return njit(*arguments, **options)

    def twice(number):
        return 2 * number

    monkeypatch.setattr(numba, "njit", nowhere)
    made = compiler.compiled(numba.int64, [numba.int64])(twice)
    assert made is not twice
    assert (made(21), tried) == (42, [True, False])


def test_numba_without_its_compiler_counts_as_absent(monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    with pytest.raises(ImportError, match="switched off by NUMBA_DISABLE_JIT"):
        importlib.reload(compiler)
