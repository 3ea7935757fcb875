"""What is particular to the numpy engine: its threads, slices and scratch space."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from secagg import errors, field
from secagg.crypto import prg
from secagg.engine import numpy_threads
from secagg.engine.interface import MaskSeed
from secagg.engine.numpy_threads import NumpyThreads

SEEDS = [MaskSeed(bytes([k]) * 32, prg.Tag.PAIR) for k in range(7)]
SIGNS = [1, -1, 1, 1, -1, -1, 1]


def masked(engine, start, size):
    acc = np.zeros(size, dtype=np.uint32)
    engine.accumulate(acc, SEEDS, SIGNS, start, start + size)
    return acc


@pytest.mark.parametrize("workers", [1, 2, 3, 5])
@pytest.mark.parametrize("width", [16, 27, 32])
def test_the_number_of_threads_does_not_change_the_sum(width, workers):
    size = 4 * numpy_threads._LEAST_SLICE + 13
    alone = masked(NumpyThreads(width, 1), 3, size)
    assert np.array_equal(masked(NumpyThreads(width, workers), 3, size), alone)


def test_several_threads_may_use_one_engine_at_once():
    engine = NumpyThreads(16, 2)
    windows = [(start, 90_000) for start in range(0, 800_000, 100_000)]
    expected = [masked(engine, *window) for window in windows]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda window: masked(engine, *window), windows))
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("workers", [1, 2, 3, 16])
@pytest.mark.parametrize("size", [0, 1, 32_767, 32_768, 65_535, 65_536, 1_000_003])
def test_slices_make_up_the_window_and_none_is_small(size, workers):
    cuts = numpy_threads._cuts(size, workers)
    assert cuts[0][0] == 0
    assert cuts[-1][1] == size
    assert all(left[1] == right[0] for left, right in itertools.pairwise(cuts))
    assert len(cuts) <= workers
    if len(cuts) > 1:
        assert min(b - a for a, b in cuts) >= numpy_threads._LEAST_SLICE


def test_an_error_in_a_thread_reaches_the_caller(monkeypatch):
    def broken(*_):
        raise errors.ParameterError("broken on purpose")

    monkeypatch.setattr(prg.ElementStream, "fill_cut", broken)
    with pytest.raises(errors.ParameterError, match="on purpose"):
        masked(NumpyThreads(20, 2), 0, 100_000)


def test_the_largest_words_overflow_no_sum(monkeypatch):
    # 2^w - 1 in every place: the most that the lazy sums can be asked to hold.
    def largest(stream, out):
        out[:] = 2**stream.width - 1
        return np.zeros(0, dtype=np.intp)

    monkeypatch.setattr(prg.ElementStream, "fill_cut", largest)
    for width, count in itertools.product((16, 24, 28, 31, 32), (1, 255, 256, 1000)):
        p = field.PRIMES[width]
        for sign in (1, -1):
            acc = np.array([0, p - 1], dtype=np.uint32)
            seeds = [SEEDS[0]] * count
            NumpyThreads(width, 1).accumulate(acc, seeds, [sign] * count, 0, 2)
            total = sign * count * (2**width - 1)
            assert acc.tolist() == [total % p, (p - 1 + total) % p]


def test_an_engine_shows_its_width_and_threads():
    assert repr(NumpyThreads(20, 3)) == "NumpyThreads(width=20, workers=3)"


def test_it_takes_a_thread_per_processor_unless_told(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 6)
    assert "workers=6" in repr(NumpyThreads(20))
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert "workers=1" in repr(NumpyThreads(20))


@pytest.mark.parametrize("workers", [0, -1])
def test_no_thread_at_all_is_refused(workers):
    with pytest.raises(errors.ParameterError, match=f"workers = {workers}"):
        NumpyThreads(20, workers)
