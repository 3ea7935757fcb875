"""Words of scattered blocks, both forms: RFC 8439 and a cipher in plain integers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.kernels import plain
from tests.helpers_chacha import chacha_block

pytest.importorskip("numba", reason="the extra fast is not installed")

from secagg.kernels import compiled

FORMS = pytest.mark.parametrize("form", [plain, compiled], ids=["numpy", "numba"])


@FORMS
def test_the_words_of_a_block_are_those_of_rfc_8439(form):
    """2.3.2: counter 1, nonce 00:00:00:09:00:00:00:4a:00:00:00:00."""
    keys = np.arange(32, dtype=np.uint8).view("<u4").astype(np.uint32)
    last = np.array([1, 0x09000000, 0x4A000000, 0], dtype=np.uint32)
    places = np.array([0, 1, 2, 3, 15])
    found = form.chacha_words(np.tile(keys, (5, 1)), np.tile(last[:, None], 5), places)
    assert found.tolist() == [
        0xE4E7F110,
        0x15593BD1,
        0x1FDD0F50,
        0xC47120A3,
        0x4E3C50A2,
    ]


@FORMS
@given(count=st.integers(0, 40), seed=st.integers(0, 2**32 - 1))
def test_the_words_of_scattered_blocks_are_those_of_the_plain_cipher(form, count, seed):
    source = np.random.default_rng(seed)
    keys = source.integers(0, 2**32, (count, 8), dtype=np.uint32)
    last = source.integers(0, 2**32, (4, count), dtype=np.uint32)
    places = source.integers(0, 16, count)
    before = keys.copy(), last.copy()
    found = form.chacha_words(keys, last, places)
    assert found.tolist() == [
        chacha_block(key.astype("<u4").tobytes(), state.tolist())[place]
        for key, state, place in zip(keys, last.T, places, strict=True)
    ]
    assert np.array_equal(keys, before[0])
    assert np.array_equal(last, before[1])
