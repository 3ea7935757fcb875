"""What is particular to the numpy engine: which streams come together, and its sums."""

import itertools

import numpy as np
import pytest

from secagg import errors, field
from secagg.crypto import prg
from secagg.engine import MaskSeed, numpy_threads
from secagg.engine.numpy_threads import NumpyThreads

SEEDS = [MaskSeed(bytes([k]) * 32, prg.Tag.PAIR) for k in range(7)]
SIGNS = [1, -1, 1, 1, -1, -1, 1]


@pytest.mark.parametrize(
    ("whole", "size"), [(range(0), 3), (range(7), 3), (range(2, 8), 6)]
)
def test_parts_make_up_the_whole(whole, size):
    parts = list(numpy_threads._parts(whole, size))
    assert [k for part in parts for k in part] == list(whole)
    assert all(0 < len(part) <= size for part in parts)


@pytest.mark.parametrize("count", [1, 255, 256, 1000])
def test_the_largest_masks_overflow_no_sum(monkeypatch, count):
    for width, sign in itertools.product(range(16, 33), (1, -1)):
        p = field.PRIMES[width]
        monkeypatch.setattr(prg.Keystream, "fill", lambda _, out, p=p: out.fill(p - 1))
        acc = np.array([0, p - 1], dtype=np.uint32)
        NumpyThreads(width, 1).accumulate(acc, [SEEDS[0]] * count, [sign] * count, 0, 2)
        total = sign * count * (p - 1)
        assert acc.tolist() == [total % p, (p - 1 + total) % p]


class Recorder:
    """Sums that change nothing and remember how they were called."""

    most = 5

    def __init__(self):
        self.calls = []

    def begin(self, block, minuses):
        self.calls.append(("begin", len(block), minuses))

    def add(self, words, signs):
        self.calls.append(("add", words.shape, list(signs)))
        return np.empty(0, dtype=np.intp)

    def finish(self):
        self.calls.append(("finish",))


def test_no_more_streams_than_the_sums_hold_come_between_begin_and_finish(
    monkeypatch,
):
    recorder = Recorder()
    monkeypatch.setattr(numpy_threads, "lazy_sums", lambda _: recorder)
    engine = NumpyThreads(20, 1)
    engine.accumulate(np.zeros(9, np.uint32), SEEDS, SIGNS, 0, 9)
    assert recorder.calls == [
        ("begin", 9, 2),
        ("add", (2, 9), [1, -1]),
        ("add", (2, 9), [1, 1]),
        ("add", (1, 9), [-1]),
        ("finish",),
        ("begin", 9, 1),
        ("add", (2, 9), [-1, 1]),
        ("finish",),
    ]


def test_an_engine_shows_its_width_and_threads():
    assert repr(NumpyThreads(20, 3)) == "NumpyThreads(width=20, workers=3)"


@pytest.mark.parametrize("workers", [0, -1])
def test_no_thread_at_all_is_refused(workers):
    with pytest.raises(errors.ParameterError, match=f"workers = {workers}"):
        NumpyThreads(20, workers)
