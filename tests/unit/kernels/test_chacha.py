"""ChaCha20 by columns against RFC 8439 and the cipher in plain integers."""

import numpy as np
import pytest

from secagg.kernels import chacha
from tests.helpers_chacha import chacha_block

KEY = bytes(range(32))

# RFC 8439 2.3.2: counter 1, nonce 00:00:00:09:00:00:00:4a:00:00:00:00.
LAST = (1, 0x09000000, 0x4A000000, 0)
FIRST_WORDS = [0xE4E7F110, 0x15593BD1, 0x1FDD0F50, 0xC47120A3]


def test_a_block_is_the_one_of_rfc_8439():
    keys = np.frombuffer(KEY, dtype="<u4").astype(np.uint32).reshape(8, 1)
    found = chacha.blocks(keys, np.array(LAST, dtype=np.uint32).reshape(4, 1))
    assert found.shape == (16, 1)
    assert found[:4, 0].tolist() == FIRST_WORDS


def test_the_plain_cipher_gives_it_too():
    assert chacha_block(KEY, LAST)[:4] == FIRST_WORDS


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_blocks_equal_the_plain_cipher_in_every_column(count):
    source = np.random.default_rng(count)
    keys = source.integers(0, 2**32, (8, count), dtype=np.uint32)
    last = source.integers(0, 2**32, (4, count), dtype=np.uint32)
    found = chacha.blocks(keys, last)
    expected = [
        chacha_block(key.astype("<u4").tobytes(), state.tolist())
        for key, state in zip(keys.T, last.T, strict=True)
    ]
    assert found.T.tolist() == expected


def test_blocks_leaves_its_arguments_alone():
    keys = np.ones((8, 3), dtype=np.uint32)
    last = np.ones((4, 3), dtype=np.uint32)
    chacha.blocks(keys, last)
    assert np.all(keys == 1)
    assert np.all(last == 1)
