"""The benchmark of the GPU: what it says where there is none, and what it counts."""

import sys

import pytest
import torch

from secagg.engine import NumpyThreads
from tests.benchmarks import bench, gpu
from tests.benchmarks.rows import Figure


@pytest.fixture
def _no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.usefixtures("_no_gpu")
def test_without_a_gpu_it_says_so_and_ends_well(tmp_path, capsys):
    bench.main(["--only", "gpu", "--results", str(tmp_path)])
    assert "there is no CUDA device" in capsys.readouterr().out
    assert not (tmp_path / "results.json").exists()


@pytest.mark.usefixtures("_no_gpu")
def test_without_a_gpu_no_accelerator_is_named():
    assert gpu.accelerator() == ""


def test_without_torch_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert gpu.missing() == "torch is not installed"


def test_a_gpu_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H200")
    assert gpu.missing() == ""
    assert gpu.accelerator() == "NVIDIA H200"


def test_a_rate_is_highest_where_the_seconds_are_least():
    seconds = Figure(median=2.0, least=1.0, greatest=4.0, repeats=3)
    assert gpu._rate(seconds, 8.0) == Figure(4.0, 2.0, 8.0, 3)


@pytest.mark.usefixtures("fast_interpreter")
def test_what_differs_from_the_cpu_is_counted(monkeypatch):
    sizes = gpu.TOY
    assert gpu._identity_row(sizes, 20).value == 0
    add = NumpyThreads.accumulate

    def off_by_one(engine, acc, *rest):
        add(engine, acc, *rest)
        acc[5] ^= 1

    monkeypatch.setattr(NumpyThreads, "accumulate", off_by_one)
    row = gpu._identity_row(sizes, 20)
    assert row.value == 1
    assert row.short_by
