"""Sixteen blocks at once against RFC 8439 and a cipher in plain integers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers_chacha import chacha_block

numba = pytest.importorskip("numba", reason="the extra fast is not installed")

from secagg.kernels.compiled_blocks import (  # noqa: E402 numba is known to be there
    LANES,
    SEED_WORDS,
    WORDS,
    draw_words,
)

NUMBER = st.integers(0, 2**32 - 1)


@numba.njit
def drawn(seeds, k, block, segment, lane, words):
    draw_words(seeds, k, block, segment, lane, words)


def table(seeds, k, block, segment, lane):
    words = np.zeros((WORDS, LANES), dtype=np.uint32)
    numbers = [np.uint32(number) for number in (block, segment, lane)]
    drawn(np.array(seeds, dtype=np.uint32), k, *numbers, words)
    return words


def test_the_words_of_a_block_are_those_of_rfc_8439():
    """2.3.2: counter 1, nonce 00:00:00:09:00:00:00:4a:00:00:00:00."""
    key = np.arange(32, dtype=np.uint8).view("<u4").tolist()
    words = table([[*key, 0]], 0, 1, 0x09000000, 0x4A000000)
    assert words[:4, 0].tolist() == [0xE4E7F110, 0x15593BD1, 0x1FDD0F50, 0xC47120A3]
    assert words[15, 0] == 0x4E3C50A2


@given(
    seeds=st.lists(
        st.lists(NUMBER, min_size=SEED_WORDS, max_size=SEED_WORDS),
        min_size=1,
        max_size=3,
    ),
    block=st.integers(0, 2**28 - LANES),
    segment=NUMBER,
    lane=st.integers(0, 8),
)
def test_each_column_is_the_block_of_the_next_counter(seeds, block, segment, lane):
    k = len(seeds) - 1
    words = table(seeds, k, block, segment, lane)
    key = np.array(seeds[k][:8], dtype="<u4").tobytes()
    for i in (0, 7, LANES - 1):
        last = (block + i, segment, lane, seeds[k][8])
        assert words[:, i].tolist() == chacha_block(key, last)
