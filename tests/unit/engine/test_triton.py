"""What is particular to the GPU's engine: its table of seeds, tiles and devices."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from secagg import errors, field
from secagg.crypto import prg
from secagg.engine import device_of, engine, triton, triton_kernels
from secagg.engine.interface import MaskSeed
from secagg.engine.numpy_threads import NumpyThreads
from secagg.engine.triton import Triton
from tests.interpreter import INTERPRETED

interpreted = pytest.mark.skipif(not INTERPRETED, reason="runs on a GPU here")

SEEDS = [MaskSeed(bytes([k]) * 32, prg.Tag.PAIR) for k in range(7)]
SIGNS = [1, -1, 1, 1, -1, -1, 1]


def masked(machine, start, size, count=7):
    acc = np.zeros(size, dtype=np.uint32)
    machine.accumulate(acc, SEEDS[:count], SIGNS[:count], start, start + size)
    return acc


def expected(width, start, size, count=7):
    return masked(NumpyThreads(width, 1), start, size, count)


@interpreted
@pytest.mark.parametrize("tile", [1, 16, 64])
def test_programs_make_up_the_window(monkeypatch, tile):
    monkeypatch.setattr(triton, "_INTERPRETED", tile)
    assert np.array_equal(masked(Triton(16), 37, 150), expected(16, 37, 150))


def test_a_long_accumulator_is_copied_slice_by_slice(monkeypatch):
    monkeypatch.setattr(triton, "_SLICE", 50)
    assert np.array_equal(masked(Triton(16), 37, 120), expected(16, 37, 120))


@interpreted
@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_rows_that_fill_up_the_table_add_nothing(monkeypatch, count):
    # Eight side by side, whatever there is: every lane of a filler is 0.
    monkeypatch.setattr(triton, "_side", lambda _: 8)
    assert np.array_equal(masked(Triton(16), 0, 64, count), expected(16, 0, 64, count))


@interpreted
def test_seeds_are_taken_side_by_side_and_one_after_the_other(monkeypatch):
    monkeypatch.setattr(triton, "_side", lambda _: 2)
    assert np.array_equal(masked(Triton(21), 3, 64), expected(21, 3, 64))


def test_an_accumulator_on_the_device_is_added_to_where_it_lies():
    machine = Triton(20)
    acc = torch.zeros(100, dtype=torch.uint32, device=machine.device)
    there = acc.data_ptr()
    machine.add(acc, machine.table(SEEDS, SIGNS), 11)
    assert acc.data_ptr() == there
    assert np.array_equal(acc.cpu().numpy(), expected(20, 11, 100))


def test_an_empty_accumulator_is_left_alone():
    machine = Triton(20)
    acc = torch.zeros(0, dtype=torch.uint32, device=machine.device)
    machine.add(acc, machine.table(SEEDS, SIGNS), 11)
    assert len(acc) == 0


@interpreted
@pytest.mark.parametrize("width", [16, 31, 32])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_words_overflow_no_sum(monkeypatch, width, sign):
    # 2^w - 1 in every place and none rejected: the most that the sums can be asked
    # to hold.
    drawn = triton_kernels.block_words
    monkeypatch.setattr(
        triton_kernels,
        "block_words",
        lambda *given: tuple(words | 0xFFFFFFFF for words in drawn(*given)),
    )
    monkeypatch.setattr(triton_kernels, "_any_rejected", lambda *_: False)
    p, count = field.PRIMES[width], 300
    acc = np.array([0, p - 1], dtype=np.uint32)
    Triton(width).accumulate(acc, [SEEDS[0]] * count, [sign] * count, 0, 2)
    total = sign * count * (2**width - 1)
    assert acc.tolist() == [total % p, (p - 1 + total) % p]


def test_the_keys_are_overwritten_on_the_device():
    machine = Triton(20)
    with machine.table(SEEDS, SIGNS) as table:
        assert table.rows.cpu().numpy().any()
    assert not table.rows.cpu().numpy().any()


def test_a_table_never_shows_its_keys():
    assert "rows" not in repr(Triton(20).table(SEEDS, SIGNS))


def test_accumulate_overwrites_its_keys_also_when_it_fails(monkeypatch):
    made = []
    table = Triton.table

    def noted(*given):
        made.append(table(*given))
        return made[0]

    def broken(*_):
        raise errors.ParameterError("broken on purpose")

    monkeypatch.setattr(Triton, "table", noted)
    monkeypatch.setattr(Triton, "add", broken)
    with pytest.raises(errors.ParameterError, match="on purpose"):
        masked(Triton(20), 0, 10)
    assert not made[0].rows.cpu().numpy().any()


@interpreted
def test_an_engine_shows_its_width_and_device():
    assert repr(Triton(20)) == "Triton(width=20, device='cpu')"


@interpreted
@pytest.mark.parametrize(
    ("cuda", "words"),
    [(None, r"built without CUDA"), ("12.8", r"sees no device.*nvidia-smi")],
)
def test_without_a_gpu_the_engine_says_what_is_missing(monkeypatch, cuda, words):
    monkeypatch.setattr(triton, "_interpreted", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    with pytest.raises(errors.ParameterError, match=words) as refused:
        Triton(20)
    assert "numpy-threads" in str(refused.value)


@interpreted
def test_it_takes_the_current_gpu(monkeypatch):
    monkeypatch.setattr(triton, "_interpreted", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    assert Triton(20).device == torch.device("cuda", 3)


@pytest.mark.parametrize("missing", ["torch", "triton"])
def test_without_its_extra_the_engine_names_it(monkeypatch, missing):
    monkeypatch.delitem(sys.modules, "secagg.engine.triton")
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(errors.ParameterError, match=rf"{missing}.*secagg\[gpu\]"):
        engine("triton", 20)


def test_only_this_engine_wants_the_update_on_its_device():
    assert device_of("numpy-threads") is None
    assert device_of("triton") == Triton(16).device


def test_an_update_goes_to_no_gpu_that_is_not_there(monkeypatch):
    monkeypatch.setattr(triton, "_interpreted", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(errors.ParameterError, match="needs an NVIDIA GPU"):
        device_of("triton")


def test_the_engines_are_listed_without_loading_torch():
    said = "import sys, secagg.engine; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", said], check=False).returncode == 0
