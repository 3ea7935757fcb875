"""peers.model_guard: which models a hospital trains on (4.1-5)."""

import numpy as np
import pytest

from peers import model_file
from peers.model_guard import architecture, check_model
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
    assert refused_rule(check_model, blob, architectures=[KIND]) == "4.1-5"


def test_a_model_is_allowed_by_its_hash_or_its_architecture() -> None:
    check_model(BLOB)
    check_model(BLOB, models=[model_file.model_hash(BLOB)], architectures=[KIND])
    assert refused_rule(check_model, BLOB, models=[bytes(32)]) == "4.1-5"


def test_a_refusal_gives_the_digest_to_compare() -> None:
    with pytest.raises(errors.RemoteProtocolError) as caught:
        check_model(BLOB, architectures=[])
    assert KIND.hex() in caught.value.detail


def test_what_is_no_model_has_no_architecture() -> None:
    with pytest.raises(errors.InputError, match="safetensors"):
        architecture(b"no model")
