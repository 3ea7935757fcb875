"""What the engines of a CPU share: threads over slices."""

import importlib
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from secagg import errors, kernels
from secagg.crypto import prg
from secagg.engine import MaskSeed, threads
from secagg.engine.numpy_threads import NumpyThreads
from secagg.engine.threads import aligned

SEEDS = [MaskSeed(bytes([k]) * 32, prg.Tag.PAIR) for k in range(7)]
SIGNS = [1, -1, 1, 1, -1, -1, 1]
CLASSES = {"numpy": ("numpy_threads", "NumpyThreads")}
if kernels.INSTALLED:
    CLASSES["numba"] = ("numba_threads", "NumbaThreads")


@pytest.fixture(params=sorted(CLASSES))
def made(request):
    """What makes a threaded engine of a width and a number of threads."""
    module, name = CLASSES[request.param]
    return getattr(importlib.import_module(f"secagg.engine.{module}"), name)


def masked(engine, start, size):
    acc = np.zeros(size, dtype=np.uint32)
    engine.accumulate(acc, SEEDS, SIGNS, start, start + size)
    return acc


@pytest.mark.parametrize("workers", [1, 2, 3, 5])
@pytest.mark.parametrize("width", [16, 27, 32])
def test_the_number_of_threads_does_not_change_the_sum(made, width, workers):
    size = (1 << 17) + 13
    alone = masked(NumpyThreads(width, 1), 3, size)
    assert np.array_equal(masked(made(width, workers), 3, size), alone)


def test_several_threads_may_use_one_engine_at_once(made):
    engine = made(16, 2)
    windows = [(start, 90_000) for start in range(0, 800_000, 100_000)]
    expected = [masked(engine, *window) for window in windows]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda window: masked(engine, *window), windows))
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("workers", [1, 2, 3, 16])
@pytest.mark.parametrize("each", [1, 4])
@pytest.mark.parametrize("least", [0, 32, 1 << 15])
@pytest.mark.parametrize("size", [0, 1, 32_767, 32_768, 65_535, 65_536, 1_000_003])
def test_slices_make_up_the_window_and_none_is_small(size, workers, each, least):
    cuts = threads._cuts(size, workers, each, least)
    assert cuts[0][0] == 0
    assert cuts[-1][1] == size
    assert all(left[1] == right[0] for left, right in itertools.pairwise(cuts))
    assert len(cuts) <= workers * each
    if len(cuts) > 1:
        assert min(b - a for a, b in cuts) >= least


@pytest.mark.parametrize("workers", [2, 3, 16])
@pytest.mark.parametrize("size", [100_000, 1_000_003])
def test_no_thread_waits_for_one_with_a_slice_more(size, workers):
    count = len(threads._cuts(size, workers, 4, 1 << 15))
    assert count < workers or count % workers == 0


def test_an_error_in_a_thread_reaches_the_caller(made, monkeypatch):
    def broken(*_):
        raise errors.ParameterError("broken on purpose")

    monkeypatch.setattr(made, "_adder", lambda *_: broken)
    with pytest.raises(errors.ParameterError, match="on purpose"):
        masked(made(20, 2), 0, 100_000)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint32, np.uint64])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_aligned_memory_begins_with_a_cache_line(size, dtype):
    made = [aligned(size, dtype) for _ in range(5)]
    assert {(a.ctypes.data % 64, a.shape, a.dtype) for a in made} == {
        (0, (size,), np.dtype(dtype))
    }


def test_an_engine_takes_a_thread_per_processor_unless_told(made, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 6)
    assert "workers=6" in repr(made(20))
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert "workers=1" in repr(made(20))


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 10])
def test_other_work_comes_back_in_order(made, workers, count):
    found = made(16, workers).on_threads(lambda part: part * part, range(count))
    assert [*found] == [part * part for part in range(count)]


def test_other_work_is_side_by_side(made):
    barrier = threading.Barrier(2, timeout=60)
    # Each part waits for the other, so one thread alone would not get through.
    found = made(16, 2).on_threads(lambda _: barrier.wait(), range(2))
    assert sorted(found) == [0, 1]


@pytest.mark.parametrize("workers", [1, 2])
def test_what_other_work_raises_is_raised(made, workers):
    def work(part):
        if part == 1:
            raise errors.ParameterError("part 1")

    with pytest.raises(errors.ParameterError, match="part 1"):
        list(made(16, workers).on_threads(work, range(3)))


def test_alone_it_is_the_same_engine_on_one_thread(made):
    one = made(16, 2).alone()
    assert repr(one) == repr(made(16, 1))
    assert one.alone() is one
