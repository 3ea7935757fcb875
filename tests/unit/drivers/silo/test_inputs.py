import numpy as np
import pytest

from secagg import errors, tensors
from secagg.drivers.silo.inputs import Input, coordinates, integer


@pytest.mark.parametrize("value", [7, np.int64(7), np.uint8(7), np.array(7)])
def test_an_integer_of_any_kind_is_one(value) -> None:
    assert type(integer("the weight", value)) is int
    assert integer("the weight", value) == 7


@pytest.mark.parametrize("value", [7.0, np.float64(7), "7", None, np.ones(1)])
def test_what_is_no_integer_is_refused_by_name_rule_5_2(value) -> None:
    with pytest.raises(errors.InputError, match="the weight is a"):
        integer("the weight", value)


def test_an_input_does_not_show_its_update() -> None:
    given = Input(update=np.full(3, 0.125), weight=1, extras={})
    assert "0.125" not in repr(given)


async def test_the_coordinates_are_those_of_the_layout_in_its_order() -> None:
    update = {"b": np.array([3.0]), "w": np.array([[1.0, 2.0]]), "steps": np.array(7)}
    flat = await coordinates(update, tensors.Layout.of(update, ["steps"]), None)
    assert flat.tolist() == [3.0, 1.0, 2.0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
async def test_what_is_not_finite_is_refused_before_anything_is_sent(value) -> None:
    update = np.array([0.0, value])
    with pytest.raises(errors.InputError, match="1"):
        await coordinates(update, tensors.Layout.of(update), None)
