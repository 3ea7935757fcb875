"""peers.model_guard: which models a hospital trains on (4.1-5)."""

import numpy as np
import pytest

from peers import model_file
from peers.model_guard import architecture, check_architecture
from secagg import errors
from tests.helpers import refused_rule

STATE = {"a.weight": np.zeros((2, 3), np.float32), "b": np.zeros(4, np.float32)}
BLOB = model_file.save(STATE)
KIND = architecture(BLOB)


def test_values_are_no_part_of_an_architecture() -> None:
    other = {name: array + 1 for name, array in STATE.items()}
    assert architecture(model_file.save(other)) == KIND


@pytest.mark.parametrize(
    "changed",
    [
        {"c": np.zeros(1, np.float32)},
        {"b": np.zeros(5, np.float32)},
        {"b": np.zeros((4, 1), np.float32)},
        {"b": np.zeros(4, np.float64)},
    ],
    ids=["one more", "longer", "another shape", "another type"],
)
def test_a_name_a_type_and_a_shape_are(changed) -> None:
    blob = model_file.save({**STATE, **changed})
    assert architecture(blob) != KIND
    assert refused_rule(check_architecture, blob, [KIND]) == "4.1-5"


def test_a_model_is_allowed_by_its_architecture_or_by_none_being_asked_for() -> None:
    check_architecture(BLOB, None)
    check_architecture(BLOB, [bytes(32), KIND])


def test_a_refusal_gives_the_digest_and_how_many_are_allowed_and_not_which() -> None:
    other = bytes(31) + b"\1"
    with pytest.raises(errors.RemoteProtocolError) as caught:
        check_architecture(BLOB, [other])
    assert KIND.hex() in caught.value.detail
    assert "not among the 1 of architectures" in caught.value.detail
    assert other.hex() not in caught.value.detail


def test_what_is_no_model_has_no_architecture() -> None:
    with pytest.raises(errors.InputError, match="safetensors"):
        architecture(b"no model")
