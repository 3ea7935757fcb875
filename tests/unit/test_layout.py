"""secagg.layout: what enters a vector, what is refused by name, and the ranges."""

import numpy as np
import pytest
import torch

from secagg import errors
from secagg.layout import Layout

ONE = torch.ones(2)
STATE = {
    "0.bias": torch.ones(3),
    "0.weight": torch.ones(3, 4),
    "1.bias": torch.ones(0),
    "2.bias": torch.ones(()),
    "2.weight": torch.ones(5, 2),
}
INTEGERS = [torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64, torch.bool]


def refusal(value, frozen=()) -> str:
    with pytest.raises(errors.InputError) as caught:
        Layout.of(value, frozen)
    return str(caught.value)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_an_integer_tensor_is_refused_by_name(dtype) -> None:
    text = refusal({"w": ONE, "steps": torch.ones(2, dtype=dtype)})
    assert "'steps'" in text
    assert "frozen" in text


REFUSED = {
    "complex": lambda: torch.ones(2, dtype=torch.complex64),
    "eight bits": lambda: torch.ones(2).to(torch.float8_e4m3fn),
    "sparse": lambda: torch.eye(3).to_sparse(),
    "compressed rows": lambda: torch.eye(3).to_sparse_csr(),
    "meta": lambda: torch.ones(3, device="meta"),
    "nested": lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
    "complex array": lambda: np.ones(2, np.complex128),
    "integer array": lambda: np.ones(2, np.int64),
    "boolean array": lambda: np.ones(2, np.bool_),
    "other byte order": lambda: np.ones(2, ">f4"),
    "objects": lambda: np.array([1.0, None], dtype=object),
    "masked": lambda: np.ma.masked_array([1.0, 2.0], mask=[True, False]),
    "long double": lambda: np.ones(2, np.longdouble),
    "text": lambda: "hello",
    "list": lambda: [1.0, 2.0],
    "number": lambda: 1.0,
    "none": lambda: None,
}


@pytest.mark.filterwarnings("ignore:.*(Sparse CSR|nested tensors)")
@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_plain_float_tensor_is_refused_by_name(kind) -> None:
    state = {"w": ONE, "odd": REFUSED[kind]()}
    assert "'odd'" in refusal(state)
    # And may be left out under its name.
    assert Layout.of(state, frozen=["odd"]).size == 2


def test_a_name_that_is_no_text_is_refused() -> None:
    assert "name is 7" in refusal({7: ONE})


def test_a_batch_norms_counter_is_refused_until_it_is_frozen() -> None:
    state = torch.nn.BatchNorm1d(3).state_dict()
    assert "'num_batches_tracked'" in refusal(state)
    layout = Layout.of(state, frozen=["num_batches_tracked"])
    assert layout.size == 12
    assert layout.frozen == ("num_batches_tracked",)


def test_types_may_be_mixed_and_a_tensor_may_be_empty_or_a_number() -> None:
    state = {
        "a": torch.ones(2, dtype=torch.bfloat16),
        "b": np.ones((), np.float16),
        "c": torch.ones(0, 3),
        "d": np.ones((2, 1)),
        "e": torch.ones(1, requires_grad=True),
    }
    places = [(one.dtype, one.start, one.stop) for one in Layout.of(state).tensors]
    assert places == [
        ("bfloat16", 0, 2),
        ("float16", 2, 3),
        ("float32", 3, 3),
        ("float64", 3, 5),
        ("float32", 5, 6),
    ]


def test_tensors_that_share_memory_enter_by_each_of_their_names() -> None:
    tied = torch.ones(4)
    layout = Layout.of({"embed": tied, "head": tied.reshape(2, 2)})
    assert [one.start for one in layout.tensors] == [0, 4]
    assert layout.size == 8


# -- ranges


def test_ranges_follow_the_order_of_the_vector() -> None:
    layout = Layout.of(STATE)
    found = layout.ranges({"0.weight": 0.5, "2.bias": 0.1}, default=1.0)
    assert found == ((3, 1.0), (12, 0.5), (1, 0.1), (10, 1.0))
    assert sum(count for count, _ in found) == layout.size


def test_neighbours_of_one_range_are_one_run() -> None:
    layout = Layout.of(STATE)
    assert layout.ranges({}, default=1.0) == ((26, 1.0),)
    assert layout.ranges({"0.*": 0.5}, default=1.0) == ((15, 0.5), (11, 1.0))
    # An empty tensor has no run, whatever its range.
    assert layout.ranges({"1.bias": 0.5}, default=1.0) == ((26, 1.0),)


def test_a_name_in_full_wins_over_a_pattern() -> None:
    found = Layout.of(STATE).ranges({"*.bias": 0.1, "2.bias": 0.2}, default=1.0)
    assert found == ((3, 0.1), (12, 1.0), (1, 0.2), (10, 1.0))


def test_a_range_for_an_unknown_tensor_is_refused_with_those_there_are() -> None:
    with pytest.raises(errors.InputError) as caught:
        Layout.of(STATE, frozen=["2.weight"]).ranges({"2.weight": 0.5}, default=1.0)
    assert "'2.weight'" in str(caught.value)
    assert "0.bias, 0.weight, 1.bias, 2.bias" in str(caught.value)


def test_two_patterns_for_one_tensor_are_refused_by_its_name() -> None:
    with pytest.raises(errors.InputError, match=r"'0\.bias' has several ranges"):
        Layout.of(STATE).ranges({"0.*": 0.5, "*.bias": 0.1}, default=1.0)
