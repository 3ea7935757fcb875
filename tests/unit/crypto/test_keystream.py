"""The keystream against the spec's known answers and a ChaCha20 in plain integers."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import errors, kernels
from secagg.crypto import keystream
from tests.helpers_chacha import slow_word

KEY = bytes(range(32))
END = 1 << 64
TAGS = st.sampled_from(list(keystream.Tag))


def test_tags_spell_ksm_and_a_digit_from_1_on():
    spelled = [tag.value.to_bytes(4, "big") for tag in keystream.Tag]
    assert spelled == [f"KSM{digit}".encode() for digit in range(1, len(spelled) + 1)]


def test_words_gives_the_known_answers():
    expected = [1167438381, 2999101832, 1548542426, 3972046286]
    assert keystream.words(KEY, keystream.Tag.PAIR, 0, 4).tolist() == expected


@given(
    key=st.binary(min_size=32, max_size=32),
    tag=TAGS,
    lane=st.integers(0, 8),
    start=st.integers(0, END - 40),
    size=st.integers(0, 40),
)
def test_words_equals_the_slow_block_anywhere(key, tag, lane, start, size):
    found = keystream.words(key, tag, start, start + size, lane)
    expected = [slow_word(key, tag, i, lane) for i in range(start, start + size)]
    assert found.dtype == np.uint32
    assert found.tolist() == expected


@pytest.mark.parametrize("boundary", [1 << 32, 7 << 32, (1 << 64) - (1 << 32)])
@pytest.mark.parametrize("before", [0, 1, 16, 21])
def test_a_window_crosses_a_segment(boundary, before):
    window = range(boundary - before, boundary + 35)
    found = keystream.words(KEY, keystream.Tag.SELF, window.start, window.stop)
    assert found.tolist() == [slow_word(KEY, keystream.Tag.SELF, i) for i in window]


def test_the_last_positions_can_be_read_and_no_further():
    found = keystream.words(KEY, keystream.Tag.PAIR, END - 3, END)
    expected = [slow_word(KEY, keystream.Tag.PAIR, i) for i in range(END - 3, END)]
    assert found.tolist() == expected
    assert keystream.words(KEY, keystream.Tag.PAIR, END, END).shape == (0,)
    with pytest.raises(errors.ParameterError, match="2\\^64"):
        keystream.words(KEY, keystream.Tag.PAIR, END - 3, END + 1)


def test_a_stream_read_in_pieces_is_the_stream_read_at_once():
    start = (1 << 32) - 1000
    pieces = np.empty(300_000, dtype=np.uint32)
    stream = keystream.Keystream(KEY, keystream.Tag.PAIR, start, 2)
    cuts = [0, 1, 17, 17, 1000, 1003, 100_000, 300_000]
    for low, high in itertools.pairwise(cuts):
        stream.fill(pieces[low:high])
    assert np.array_equal(
        pieces, keystream.words(KEY, keystream.Tag.PAIR, start, start + 300_000, 2)
    )


def test_lanes_tags_and_keys_give_different_streams():
    streams = [
        keystream.words(KEY, tag, 0, 8, lane)
        for tag in keystream.Tag
        for lane in range(9)
    ]
    streams.append(keystream.words(bytes(32), keystream.Tag.PAIR, 0, 8))
    assert len({s.tobytes() for s in streams}) == len(streams)


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_key_of_another_length_is_refused(size):
    with pytest.raises(errors.ParameterError, match=f"32 bytes, not {size}"):
        keystream.words(bytes(size), keystream.Tag.PAIR, 0, 1)


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (3, 2), (0, END + 1)])
def test_a_window_outside_the_positions_is_refused(start, stop):
    with pytest.raises(errors.ParameterError, match="window"):
        keystream.words(KEY, keystream.Tag.PAIR, start, stop)


@pytest.mark.parametrize("lane", [-1, 9])
def test_a_lane_that_does_not_exist_is_refused(lane):
    with pytest.raises(errors.ParameterError, match=f"lane = {lane}"):
        keystream.words(KEY, keystream.Tag.PAIR, 0, 1, lane)


@pytest.mark.parametrize("count", [0, 1, keystream._MANY - 1, keystream._MANY, 200])
@pytest.mark.parametrize("lane", [0, 3, 8])
@pytest.mark.parametrize("form", ["any", "numpy"])
def test_scattered_words_are_those_of_their_streams(count, lane, form, monkeypatch):
    if form == "numpy":
        monkeypatch.setattr(kernels, "compiled_loops", lambda: None)
    source = np.random.default_rng(count)
    keys = source.integers(0, 2**32, (count, 8), dtype=np.uint32)
    tags = source.choice(np.array(list(keystream.Tag), dtype=np.uint32), count)
    positions = source.integers(0, 2**64, count, dtype=np.uint64)
    found = keystream.scattered_words(keys, tags, positions, lane)
    expected = [
        slow_word(key.astype("<u4").tobytes(), tag, position, lane)
        for key, tag, position in zip(
            keys, tags.tolist(), positions.tolist(), strict=True
        )
    ]
    assert found.dtype == np.uint32
    assert found.tolist() == expected


def test_a_stream_that_never_moved_tells_its_start():
    assert keystream.Keystream(KEY, keystream.Tag.PAIR, END).position == END


def test_a_keystream_never_shows_its_key():
    shown = repr(keystream.Keystream(KEY, keystream.Tag.PAIR, 7))
    assert shown == "Keystream(<redacted>, PAIR, next=7)"
