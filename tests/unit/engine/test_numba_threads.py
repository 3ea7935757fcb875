"""What is particular to the engine of numba: when it is taken, and what without it."""

import subprocess
import sys

import pytest

from secagg import engine as engines
from secagg import errors, kernels
from secagg.engine import ENGINES, engine, one_thread, resolved

installed = pytest.mark.skipif(
    not kernels.INSTALLED, reason="the extra fast is not installed"
)


@pytest.fixture
def no_numba(monkeypatch):
    """As if numba failed to import, as it does beside a numpy that it does not know."""
    for name in ("secagg.kernels.compiled", "secagg.engine.numba_threads"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delattr(kernels, "compiled", raising=False)
    kernels.compiled_loops.cache_clear()
    yield
    kernels.compiled_loops.cache_clear()


@installed
def test_auto_is_the_compiled_engine_where_there_is_one():
    assert resolved(engines.AUTO) == "numba-threads"
    assert repr(engine(engines.AUTO, 20)).startswith("NumbaThreads(width=20")


def test_auto_is_numpy_where_numba_does_not_work(no_numba):
    assert resolved(engines.AUTO) == "numpy-threads"
    assert repr(engine(engines.AUTO, 20)).startswith("NumpyThreads(width=20")


def test_the_engine_of_one_thread_is_the_fastest_too():
    kind = "NumbaThreads" if kernels.INSTALLED else "NumpyThreads"
    assert repr(one_thread(20)) == f"{kind}(width=20, workers=1)"


def test_the_engine_of_one_thread_without_numba(no_numba):
    assert repr(one_thread(20)) == "NumpyThreads(width=20, workers=1)"


def test_asked_for_by_name_without_numba_it_names_the_extra(no_numba):
    with pytest.raises(errors.ParameterError, match=r"secagg\[fast\]"):
        engine("numba-threads", 20)


def test_every_name_of_the_table_stands_for_itself():
    assert [resolved(name) for name in ENGINES] == list(ENGINES)


WITHOUT = """
import sys
sys.modules["numba"] = None  # which makes its import fail
import numpy as np
import secagg
from secagg.engine import AUTO, ENGINES, resolved
assert resolved(AUTO) == "numpy-threads"
assert "numba-threads" not in ENGINES
updates = np.random.default_rng(1).normal(size=(4, 5000)) / 100
outcome = secagg.simulate(updates, drop={"masked_input": {3}}, seed=7)
assert abs(outcome.mean - updates[:3].mean(axis=0)).max() < 1e-3
"""


def test_a_round_is_whole_without_numba():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
