"""The word source against the keystream it reads."""

import numpy as np
import pytest

from secagg import errors
from secagg.crypto import prg
from secagg.privacy.words import WordSource

KEY = bytes(range(32))


def test_reads_in_pieces_are_the_stream_from_its_beginning():
    source = WordSource(KEY)
    pieces = [source.read(k) for k in (1, 17, 0, 46)]
    expected = prg.words(KEY, prg.Tag.NOISE, 0, 64)
    assert np.array_equal(np.concatenate(pieces), expected)


def test_lane_0_at_a_position_is_the_word_that_read_returned():
    source = WordSource(KEY)
    read = source.read(40)
    assert [source.word(i, 0) for i in range(40)] == read.tolist()


@pytest.mark.parametrize("lane", [1, 8])
def test_a_word_of_another_lane_is_the_keystreams(lane):
    expected = prg.words(KEY, prg.Tag.NOISE, 1000, 1001, lane)[0]
    assert WordSource(KEY).word(1000, lane) == expected


def test_looking_up_a_word_does_not_move_the_order_of_reading():
    source, undisturbed = WordSource(KEY), WordSource(KEY)
    source.read(5)
    source.word(3, 2)
    undisturbed.read(5)
    assert np.array_equal(source.read(9), undisturbed.read(9))


def test_a_key_of_31_bytes_is_refused():
    with pytest.raises(errors.ParameterError, match="32 bytes"):
        WordSource(KEY[:31])


def test_repr_shows_no_key():
    assert repr(WordSource(KEY)) == "WordSource(<redacted>)"
