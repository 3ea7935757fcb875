"""Mask seeds and the arguments of every engine."""

import numpy as np
import pytest

from secagg import errors
from secagg.crypto.prg import Tag
from secagg.engine.interface import MaskSeed, check_arguments

KEY = bytes(range(32))
SEED = MaskSeed(KEY, Tag.PAIR)


def test_a_seed_never_shows_its_key():
    assert repr(SEED) == f"MaskSeed(tag={Tag.PAIR!r})"


def test_seeds_are_equal_by_key_and_tag():
    assert MaskSeed(bytes(range(32)), Tag.PAIR) == SEED
    assert MaskSeed(KEY, Tag.SELF) != SEED
    assert MaskSeed(bytes(32), Tag.PAIR) != SEED
    assert SEED != KEY


def test_a_seed_is_no_dictionary_key():
    with pytest.raises(TypeError):
        hash(SEED)


def test_a_seed_cannot_be_changed():
    with pytest.raises(AttributeError):
        SEED.tag = Tag.SELF  # type: ignore[misc]


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_key_of_another_length_is_refused(size):
    with pytest.raises(errors.ParameterError, match=f"not {size}"):
        MaskSeed(bytes(size), Tag.PAIR)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"start": -1, "stop": 3}, "window"),
        ({"start": 4, "stop": 3}, "window"),
        ({"start": 2**64 - 3, "stop": 2**64 + 1}, "window"),
        ({"stop": 5}, "does not fit"),
        ({"acc": np.zeros((4, 1), np.uint32)}, "does not fit"),
        ({"acc": np.zeros(4, np.uint64)}, "does not fit"),
        ({"acc": np.zeros(8, np.uint32)[::2]}, "contiguous"),
        ({"signs": [1]}, "2 seeds but 1 signs"),
        ({"signs": [1, 0]}, "neither"),
        ({"signs": [1, 2]}, "neither"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(changed, words):
    usual = {
        "acc": np.zeros(4, np.uint32),
        "seeds": [SEED, SEED],
        "signs": [1, -1],
        "start": 0,
        "stop": 4,
    }
    check_arguments(**usual)  # type: ignore[arg-type]
    with pytest.raises(errors.ParameterError, match=words):
        check_arguments(**(usual | changed))
