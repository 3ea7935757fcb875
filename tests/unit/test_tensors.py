"""secagg.tensors: what enters the vector, in which place, and how it comes back."""

import subprocess
import sys
from collections import OrderedDict, defaultdict
from types import MappingProxyType

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from secagg import errors, tensors
from secagg.tensors import Layout

FLOATS = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


def network():
    """A small model with a counter among its buffers."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def state_of(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


COUNTER = "1.num_batches_tracked"
STATE = state_of(network())
LAYOUT = Layout.of(STATE, frozen=[COUNTER])


def refusal(call, *args, **kwargs):
    with pytest.raises(errors.InputError) as caught:
        call(*args, **kwargs)
    return str(caught.value)


# --- the layout


def test_a_layout_lists_float_tensors_by_name_whatever_the_states_order() -> None:
    names = [spec.name for spec in LAYOUT.tensors]
    assert names == sorted(name for name in STATE if name != COUNTER)
    shuffled = Layout.of(OrderedDict(reversed(STATE.items())), frozen=[COUNTER])
    assert shuffled.hash == LAYOUT.hash
    assert LAYOUT.size == sum(t.numel() for n, t in STATE.items() if n != COUNTER)


def test_tensors_lie_one_behind_the_other() -> None:
    starts = [spec.start for spec in LAYOUT.tensors]
    assert starts == [0, *(spec.stop for spec in LAYOUT.tensors[:-1])]


def test_a_frozen_pattern_leaves_out_all_it_matches() -> None:
    layout = Layout.of(STATE, frozen=["1.*"])
    assert layout.frozen == tuple(sorted(n for n in STATE if n.startswith("1.")))
    assert all(not spec.name.startswith("1.") for spec in layout.tensors)


def test_a_frozen_pattern_that_matches_nothing_is_refused() -> None:
    assert "'2.running_mean'" in refusal(Layout.of, STATE, frozen=["2.running_mean"])


@pytest.mark.parametrize("state", [{}, {"w": torch.ones(0)}, {"w": torch.ones(0, 3)}])
def test_a_state_without_coordinates_is_refused(state) -> None:
    assert "no coordinates" in refusal(Layout.of, state)


def test_the_hash_is_the_same_for_torch_and_numpy() -> None:
    arrays = {"w": np.ones((2, 3), np.float32), "b": np.ones((), np.float64)}
    as_torch = {name: torch.from_numpy(array) for name, array in arrays.items()}
    assert Layout.of(arrays).hash == Layout.of(as_torch).hash


CHANGES = {
    "a name": {"v": torch.ones(2, 3), "b": torch.ones(1)},
    "a shape": {"w": torch.ones(3, 2), "b": torch.ones(1)},
    "a type": {"w": torch.ones(2, 3, dtype=torch.float64), "b": torch.ones(1)},
    "one more": {"w": torch.ones(2, 3), "b": torch.ones(1), "c": torch.ones(0)},
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_hash_changes_with(change) -> None:
    base = Layout.of({"w": torch.ones(2, 3), "b": torch.ones(1)})
    assert Layout.of(CHANGES[change]).hash != base.hash


def test_the_hash_changes_with_what_is_frozen() -> None:
    state = {"w": torch.ones(2), "b": torch.ones(1)}
    assert Layout.of(state, frozen=["b"]).hash != Layout.of({"w": state["w"]}).hash


# --- there and back


def test_flatten_is_the_concatenation_of_the_rows() -> None:
    state = {"w": torch.tensor([[1.0, 2.0], [3.0, 4.0]]), "z": torch.tensor(5.0)}
    vector = tensors.flatten(state, Layout.of(state))
    assert vector.tolist() == [1, 2, 3, 4, 5]
    assert vector.dtype == np.float64


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0, 2), (2, 3), (2, 1, 4)])
def test_every_type_and_shape_comes_back_bit_for_bit(dtype, shape) -> None:
    tensor = torch.randn(shape, generator=torch.manual_seed(1)).to(dtype)
    state = {"first": torch.ones(1), "it": tensor, "last": torch.ones(2)}
    layout = Layout.of(state)
    back = tensors.unflatten(tensors.flatten(state, layout), layout, like=state)
    assert back["it"].dtype == dtype
    assert torch.equal(back["it"], tensor)


def test_a_model_loads_what_comes_back() -> None:
    vector = tensors.flatten(STATE, LAYOUT)
    model = network()
    model.load_state_dict(tensors.unflatten(vector + 1, LAYOUT, like=STATE))
    moved = tensors.flatten(state_of(model), LAYOUT)
    assert np.allclose(moved, vector + 1)


def test_a_frozen_tensor_keeps_its_value_in_memory_of_its_own() -> None:
    state = {**STATE, COUNTER: torch.tensor(7)}
    vector = tensors.flatten(state, LAYOUT)
    back = tensors.unflatten(vector, LAYOUT, like=state)
    state[COUNTER] += 1
    assert int(back[COUNTER]) == 7


def test_a_frozen_entry_that_is_no_tensor_is_passed_on() -> None:
    state = {"w": torch.ones(2), "_extra_state": "note"}
    layout = Layout.of(state, frozen=["_extra_state"])
    back = tensors.unflatten(np.zeros(2), layout, like=state)
    assert back["_extra_state"] == "note"


def test_one_tensor_comes_back_as_one_tensor() -> None:
    tensor = torch.arange(6.0).reshape(2, 3)
    layout = Layout.of(tensor)
    back = tensors.unflatten(tensors.flatten(tensor, layout), layout, like=tensor)
    assert torch.equal(back, tensor)


def test_one_array_comes_back_as_one_array() -> None:
    array = np.arange(6.0, dtype=np.float32).reshape(2, 3)
    layout = Layout.of(array)
    back = tensors.unflatten(tensors.flatten(array, layout), layout, like=array)
    assert back.dtype == np.float32
    assert np.array_equal(back, array)


def test_parameters_with_gradients_and_strides_are_read() -> None:
    weight = nn.Parameter(torch.arange(6.0).reshape(2, 3)).t()
    vector = tensors.flatten({"w": weight}, Layout.of({"w": weight}))
    assert vector.tolist() == [0, 3, 1, 4, 2, 5]


def test_a_state_in_another_order_is_the_same_vector() -> None:
    shuffled = OrderedDict(reversed(STATE.items()))
    vector = tensors.flatten(shuffled, LAYOUT)
    assert np.array_equal(vector, tensors.flatten(STATE, LAYOUT))
    assert list(tensors.unflatten(vector, LAYOUT, like=shuffled)) == list(shuffled)


def test_what_comes_back_shares_no_memory_with_the_vector() -> None:
    vector = np.zeros(2)
    back = tensors.unflatten(vector, Layout.of(np.ones(2)), like=np.ones(2))
    vector[:] = 9
    assert back.tolist() == [0, 0]


def test_a_read_only_vector_is_taken() -> None:
    vector = np.frombuffer(np.ones(2).tobytes(), dtype=np.float64)
    state = {"w": torch.zeros(2)}
    back = tensors.unflatten(vector, Layout.of(state), like=state)
    assert back["w"].tolist() == [1, 1]


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_float32_survives_both_vector_types(values) -> None:
    state = {"w": np.array(values, dtype=np.float32)}
    layout = Layout.of(state)
    for dtype in (np.float32, np.float64):
        vector = tensors.flatten(state, layout, dtype)
        assert vector.dtype == dtype
        back = tensors.unflatten(vector, layout, like=state)
        assert np.array_equal(back["w"], state["w"])


def test_float64_is_not_cut_to_float32_silently() -> None:
    state = {"w": torch.ones(2, dtype=torch.float64)}
    assert "'w'" in refusal(tensors.flatten, state, Layout.of(state), np.float32)


# --- what is refused on the way


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", FLOATS)
def test_5_1_a_coordinate_that_is_not_finite_is_refused_by_name(value, dtype) -> None:
    state = {"ok": torch.ones(3), "head": torch.zeros(2, 3, dtype=dtype)}
    layout = Layout.of(state)
    state["head"][1, 2] = value
    text = refusal(tensors.flatten, state, layout)
    assert "'head'" in text
    assert "[1, 2]" in text


def test_a_scalar_that_is_not_finite_is_refused_by_name() -> None:
    state = {"temperature": torch.tensor(float("nan"))}
    text = refusal(tensors.flatten, state, Layout.of(state))
    assert "'temperature'" in text


OTHERS = {
    "a missing tensor": ({"w": torch.ones(2)}, "missing from the state: b"),
    "one more": ({"w": torch.ones(2), "b": torch.ones(1), "c": torch.ones(1)}, "c"),
    "a shape": ({"w": torch.ones(2, 1), "b": torch.ones(1)}, "'w'"),
    "a type": ({"w": torch.ones(2).double(), "b": torch.ones(1)}, "'w'"),
    "an integer": ({"w": torch.ones(2).int(), "b": torch.ones(1)}, "'w'"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_state_of_another_layout_is_refused_by_name(other) -> None:
    state, named = OTHERS[other]
    layout = Layout.of({"w": torch.ones(2), "b": torch.ones(1)})
    assert named in refusal(tensors.flatten, state, layout)
    assert named in refusal(tensors.unflatten, np.zeros(3), layout, like=state)


@pytest.mark.parametrize("shape", [(0,), (2,), (4,), (3, 1)])
def test_a_vector_of_another_shape_is_refused(shape) -> None:
    state = {"w": torch.ones(3)}
    text = refusal(tensors.unflatten, np.zeros(shape), Layout.of(state), like=state)
    assert "3 coordinates" in text


@pytest.mark.parametrize("make", [torch.zeros, np.zeros])
def test_a_value_beyond_the_tensors_type_is_refused_by_name(make) -> None:
    state = {"w": make(2, dtype=torch.float16 if make is torch.zeros else np.float16)}
    text = refusal(tensors.unflatten, np.array([0, 1e6]), Layout.of(state), like=state)
    assert "'w'" in text
    assert "float16" in text


# --- the update


def test_the_difference_is_exact_where_float32_would_round() -> None:
    old = {"w": torch.tensor([1.0])}
    new = {"w": torch.tensor([2.0**-24])}
    update = tensors.difference(new, old, Layout.of(old))
    assert update.tolist() == [2.0**-24 - 1.0]


def test_the_difference_leaves_frozen_tensors_out() -> None:
    new = {name: tensor + 1 for name, tensor in STATE.items()}
    update = tensors.difference(new, STATE, LAYOUT)
    assert update.shape == (LAYOUT.size,)
    assert np.allclose(update, 1)


def test_the_difference_refuses_a_diverged_model_by_name() -> None:
    new = {**STATE, "2.bias": torch.tensor([0.0, float("nan")])}
    assert "'2.bias'" in refusal(tensors.difference, new, STATE, LAYOUT)


# --- where it runs


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_tensors_on_a_gpu_come_back_to_it() -> None:
    state = {name: tensor.cuda() for name, tensor in STATE.items()}
    vector = tensors.flatten(state, LAYOUT)
    assert np.array_equal(vector, tensors.flatten(STATE, LAYOUT))
    back = tensors.unflatten(vector, LAYOUT, like=state)
    assert all(tensor.is_cuda for tensor in back.values())
    assert all(torch.equal(back[name], state[name]) for name in state)


def somewhere() -> torch.device:
    """A GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def there(value, layout):
    return tensors.device_coordinates(value, layout, somewhere())


def test_the_coordinates_on_a_device_are_those_here() -> None:
    vector = there(STATE, LAYOUT)
    assert vector.device.type == somewhere().type
    assert vector.dtype == torch.float32
    assert np.array_equal(vector.cpu().numpy(), tensors.flatten(STATE, LAYOUT))


@pytest.mark.parametrize("dtype", FLOATS)
def test_one_flat_tensor_on_the_device_is_not_copied(dtype) -> None:
    tensor = torch.ones(2, 3, dtype=dtype, device=somewhere(), requires_grad=True)
    vector = there(tensor, Layout.of(tensor))
    assert vector.data_ptr() == tensor.data_ptr()
    assert (vector.shape, vector.dtype) == ((6,), dtype)
    assert not vector.requires_grad


def test_one_tensor_that_does_not_lie_flat_is_copied_row_by_row() -> None:
    tensor = torch.arange(6.0, dtype=torch.float64).reshape(2, 3).T
    vector = there(tensor, Layout.of(tensor))
    assert vector.tolist() == [0, 3, 1, 4, 2, 5]
    assert vector.dtype == torch.float64


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0)[::-1],
        np.broadcast_to(np.float32(2), (6,)),
        np.arange(12, dtype=np.float16)[::2],
    ],
)
def test_any_array_may_go_to_the_device(array) -> None:
    vector = there(array, Layout.of(array))
    assert vector.tolist() == array.tolist()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("alone", [True, False])
def test_5_1_what_is_not_finite_on_the_device_is_named(value, dtype, alone) -> None:
    head = torch.zeros(2, 3, dtype=dtype)
    head[1, 2] = value
    state = {"head": head} if alone else {"head": head, "ok": torch.ones(3)}
    text = refusal(there, state, Layout.of(state))
    assert "'head' has 1 coordinates" in text
    assert "[1, 2]" in text
    assert ("NaN" in text) == (value != value)


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_difference_on_a_device_is_the_one_here(dtype) -> None:
    old = {"w": torch.linspace(-3, 3, 100).to(dtype), "b": torch.ones(2)}
    new = {"w": torch.linspace(-2, 4.1, 100).to(dtype), "b": torch.zeros(2)}
    layout = Layout.of(old)
    found = tensors.device_difference(new, old, layout, somewhere())
    assert found.dtype == torch.float64
    expected = tensors.difference(new, old, layout)
    assert np.array_equal(found.cpu().numpy(), expected)


def test_the_difference_leaves_both_models_as_they_are() -> None:
    new, old = torch.ones(4, dtype=torch.float64), torch.full((4,), 0.25)
    layout = Layout.of(new)
    tensors.device_difference(new, old.double(), layout, somewhere())
    assert new.tolist() == [1.0] * 4
    assert old.tolist() == [0.25] * 4


@pytest.mark.parametrize("other", OTHERS)
def test_a_state_of_another_layout_goes_to_no_device(other) -> None:
    state, named = OTHERS[other]
    layout = Layout.of({"w": torch.ones(2), "b": torch.ones(1)})
    assert named in refusal(there, state, layout)


def test_arrays_are_handled_without_loading_torch() -> None:
    program = (
        "import sys, numpy as np\n"
        "from secagg import tensors\n"
        "state = {'w': np.ones(3, np.float32)}\n"
        "layout = tensors.Layout.of(state)\n"
        "tensors.unflatten(tensors.flatten(state, layout), layout, like=state)\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def reversed_items(state):
    """The same entries, in the reverse order."""
    return [(name, state[name]) for name in reversed(list(state))]


@pytest.mark.parametrize(
    "kind", [dict, OrderedDict, lambda items: defaultdict(list, items)]
)
def test_what_comes_back_is_of_the_same_type_and_in_the_same_order(kind) -> None:
    like = kind(reversed_items({"b": np.ones(2), "frozen": 7, "a": np.zeros(3)}))
    layout = Layout.of(like, ["frozen"])
    back = tensors.unflatten(np.arange(5.0), layout, like)
    assert type(back) is type(like)
    assert list(back) == ["a", "frozen", "b"]
    assert back["a"].tolist() == [0, 1, 2]
    assert like["a"].tolist() == [0, 0, 0]
    assert back["frozen"] == 7


def test_a_read_only_mapping_comes_back_as_a_dict() -> None:
    like = MappingProxyType({"b": np.ones(2), "a": np.zeros(1)})
    back = tensors.unflatten(np.arange(3.0), Layout.of(like), like)
    assert list(back) == ["b", "a"]
    assert back["b"].tolist() == [1, 2]


def test_a_state_dict_keeps_the_versions_of_its_modules() -> None:
    state = nn.BatchNorm1d(3).state_dict()
    layout = Layout.of(state, ["num_batches_tracked"])
    back = tensors.unflatten(np.ones(layout.size), layout, state)
    assert vars(back) == vars(state)
    assert "_metadata" in vars(back)
    nn.BatchNorm1d(3).load_state_dict(back)


# --- as little memory as holds it


@pytest.mark.parametrize("shape", [(6,), (2, 3), ()])
def test_one_flat_array_is_read_where_it_lies_and_not_written_through(shape) -> None:
    array = np.ones(shape, dtype=np.float32)
    vector = tensors.coordinates(array, Layout.of(array))
    assert np.shares_memory(vector, array)
    assert not vector.flags.writeable
    assert array.flags.writeable


def test_one_flat_tensor_is_read_where_it_lies() -> None:
    tensor = torch.ones(2, 3, requires_grad=True)
    vector = tensors.coordinates(tensor, Layout.of(tensor))
    assert np.shares_memory(vector, tensor.detach().numpy())


@pytest.mark.parametrize(
    "value",
    [
        np.arange(12, dtype=np.float32).reshape(3, 4).T,
        torch.arange(4).to(torch.bfloat16),
        {"a": np.arange(3, dtype=np.float16), "b": np.arange(2, dtype=np.float32)},
    ],
    ids=["strided", "bfloat16", "several"],
)
def test_what_does_not_lie_flat_is_copied_in_single_precision(value) -> None:
    layout = Layout.of(value)
    vector = tensors.coordinates(value, layout)
    assert vector.dtype == np.float32
    assert np.array_equal(vector, tensors.flatten(value, layout))


def test_a_state_with_one_double_is_copied_in_double_precision() -> None:
    state = {"a": np.ones(2, dtype=np.float32), "b": np.full(1, 1 / 3)}
    vector = tensors.coordinates(state, Layout.of(state))
    assert vector.tolist() == [1, 1, 1 / 3]


def test_5_1_a_flat_array_is_checked_block_by_block(monkeypatch) -> None:
    monkeypatch.setattr(tensors, "_BLOCK", 4)
    array = np.zeros(11)
    array[[6, 9, 10]] = np.nan, np.inf, np.inf
    said = refusal(tensors.coordinates, array, Layout.of(array))
    assert "3 coordinates" in said
    assert "first at [6] is NaN" in said


def test_a_mean_is_written_block_by_block_where_one_says(monkeypatch) -> None:
    monkeypatch.setattr(tensors, "_BLOCK", 4)
    state = state_of(network())
    places = {name: tensor.data_ptr() for name, tensor in state.items()}
    vector = np.arange(LAYOUT.size, dtype=np.float64)
    made = tensors.unflatten(vector, LAYOUT, STATE, out=state)
    assert made is state
    assert {name: tensor.data_ptr() for name, tensor in made.items()} == places
    assert np.array_equal(tensors.flatten(made, LAYOUT), vector)
    assert made[COUNTER] == STATE[COUNTER]


def test_a_mean_may_be_written_over_the_update() -> None:
    update = np.ones((2, 2), dtype=np.float32)
    layout = Layout.of(update)
    assert tensors.unflatten(np.arange(4.0), layout, update, out=update) is update
    assert update.tolist() == [[0, 1], [2, 3]]


def test_what_cannot_be_written_in_place_is_refused_by_name() -> None:
    strided = np.ones((2, 3)).T
    sealed = np.ones(3)
    sealed.setflags(write=False)
    for out, why in ((strided, "not contiguous"), (sealed, "read-only")):
        said = refusal(tensors.check_writable, out, Layout.of(out))
        assert why in said
    other = np.ones(4)
    assert "shape" in refusal(tensors.check_writable, other, Layout.of(sealed))
    tensors.check_writable(torch.ones(3, dtype=torch.float64), Layout.of(sealed))
