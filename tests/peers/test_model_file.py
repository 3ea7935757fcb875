"""peers.model_file: the same bytes wherever a model is made; means applied once."""

import json
from typing import Any

import numpy as np
import pytest
import torch

from peers import model_file
from secagg import errors, tensors

RNG = np.random.default_rng(5)
ARRAYS: dict[str, Any] = {
    "b.weight": RNG.normal(size=(3, 4)).astype(np.float32),
    "a.bias": RNG.normal(size=3),
    "counter": np.array(7, dtype=np.int64),
    "half": RNG.normal(size=2).astype(np.float16),
}
TENSORS = {name: torch.from_numpy(array) for name, array in ARRAYS.items()}
BLOB = model_file.save(ARRAYS)
LAYOUT = model_file.layout_of(BLOB, ["counter"])


def test_torch_and_numpy_make_the_same_bytes() -> None:
    assert model_file.save(TENSORS) == BLOB


def test_the_order_of_the_state_does_not_matter() -> None:
    shuffled = dict(reversed(TENSORS.items()))
    assert model_file.save(shuffled) == BLOB


@pytest.mark.parametrize("framework", ["torch", "numpy"])
def test_a_model_comes_back_sorted_by_name(framework) -> None:
    state = model_file.load(BLOB, framework)
    assert list(state) == sorted(ARRAYS)
    assert all(np.array_equal(np.asarray(state[name]), ARRAYS[name]) for name in state)


@pytest.mark.parametrize("framework", ["torch", "numpy"])
def test_both_frameworks_have_one_layout(framework) -> None:
    state = model_file.load(BLOB, framework)
    assert tensors.Layout.of(state, ["counter"]).hash == LAYOUT.hash


def test_tied_tensors_are_written_twice() -> None:
    weight = torch.ones(2)
    state = model_file.load(model_file.save({"a": weight, "b": weight}), "numpy")
    assert state["a"].tolist() == state["b"].tolist() == [1, 1]


def test_strides_and_gradients_do_not_change_the_bytes() -> None:
    base = torch.arange(6.0).reshape(2, 3)
    turned = torch.nn.Parameter(base.t().contiguous().t())
    assert model_file.save({"w": turned}) == model_file.save({"w": base})


def test_a_mean_moves_the_floats_alone() -> None:
    mean = RNG.normal(size=LAYOUT.size)
    after = model_file.load(model_file.moved(BLOB, mean, LAYOUT, 0.5), "numpy")
    before = tensors.flatten(ARRAYS, LAYOUT)
    assert np.allclose(tensors.flatten(after, LAYOUT), before + 0.5 * mean, atol=1e-3)
    assert int(after["counter"]) == 7


def test_a_mean_of_zero_leaves_the_bytes_as_they_are() -> None:
    assert model_file.moved(BLOB, np.zeros(LAYOUT.size), LAYOUT) == BLOB


def test_a_mean_beyond_a_tensors_type_is_refused_by_name() -> None:
    mean = np.zeros(LAYOUT.size)
    mean[-1] = 1e9
    with pytest.raises(errors.InputError, match="'half'"):
        model_file.moved(BLOB, mean, LAYOUT)


def test_types_that_numpy_lacks_go_through_torch() -> None:
    blob = model_file.save({"w": torch.ones(3, dtype=torch.bfloat16)})
    layout = model_file.layout_of(blob)
    after = model_file.load(model_file.moved(blob, np.ones(3), layout), "torch")
    assert after["w"].tolist() == [2, 2, 2]
    with pytest.raises(errors.InputError, match="BF16"):
        model_file.load(blob, "numpy")


HEADER = json.dumps({"w": {}}).encode()


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"model",
        b"\xff" * 64,
        bytes(64),
        len(HEADER).to_bytes(8, "little") + HEADER,
    ],
)
def test_other_bytes_are_no_model(blob) -> None:
    with pytest.raises(errors.InputError, match="not a safetensors file"):
        model_file.load(blob, "numpy")


@pytest.mark.parametrize("state", [{}, {"w": torch.ones(1), "note": "x"}])
def test_what_is_no_model_is_not_written(state) -> None:
    with pytest.raises(errors.InputError):
        model_file.save(state)
