"""The keystream against the spec's known answers and a ChaCha20 in plain integers."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import errors, field
from secagg.crypto import prg

KEY = bytes(range(32))
END = 1 << 64
TAGS = st.sampled_from(list(prg.Tag))


def _rotate(x, k):
    return ((x << k) | (x >> (32 - k))) & 0xFFFFFFFF


def _quarter(s, a, b, c, d):
    for x, y, z, k in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        s[x] = (s[x] + s[y]) & 0xFFFFFFFF
        s[z] = _rotate(s[z] ^ s[x], k)


def chacha_block(key, last):
    """RFC 8439 2.3 with the four last state words given."""
    constants = [
        int.from_bytes(b"expand 32-byte k"[i : i + 4], "little") for i in (0, 4, 8, 12)
    ]
    middle = [int.from_bytes(key[i : i + 4], "little") for i in range(0, 32, 4)]
    start = constants + middle + list(last)
    s = list(start)
    for _ in range(10):
        for i in range(4):
            _quarter(s, i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            _quarter(s, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return [(x + y) & 0xFFFFFFFF for x, y in zip(s, start, strict=True)]


def slow_word(key, tag, position, lane=0):
    last = ((position & 0xFFFFFFFF) >> 4, position >> 32, lane, int(tag))
    return chacha_block(key, last)[position & 15]


def slow_element(key, tag, width, position):
    p = field.PRIMES[width]
    cut = [slow_word(key, tag, position, lane) % 2**width for lane in range(9)]
    return next((e for e in cut if e < p), cut[8] % p)


def test_the_slow_block_is_the_one_of_rfc_8439():
    # RFC 8439 2.3.2: counter 1, nonce 00:00:00:09:00:00:00:4a:00:00:00:00.
    block = chacha_block(KEY, (1, 0x09000000, 0x4A000000, 0))
    assert block[:2] == [0xE4E7F110, 0x15593BD1]
    assert block[15] == 0x4E3C50A2


def test_tags_spell_ksm1_to_ksm4_and_are_distinct():
    assert [t.value for t in prg.Tag] == [0x4B534D31 + i for i in range(4)]


def test_words_gives_the_known_answers():
    expected = [1167438381, 2999101832, 1548542426, 3972046286]
    assert prg.words(KEY, prg.Tag.PAIR, 0, 4).tolist() == expected


@pytest.mark.parametrize(
    ("position", "word", "element"),
    [
        (281927744, 4294967294, 837222574),
        (1555346861, 4294967291, 447618465),
        (1603071102, 4294967294, 2684766093),
    ],
)
def test_a_rejected_word_of_32_bits_maps_by_lane_1(position, word, element):
    assert prg.words(KEY, prg.Tag.PAIR, position, position + 1).tolist() == [word]
    window = prg.elements(KEY, prg.Tag.PAIR, 32, position - 3, position + 5)
    assert window[3] == element


# Found by a scan; at w = 16 both lane 0 and lane 1 reject, so lane 2 answers.
REJECTED = [
    (prg.Tag.PAIR, 16, 6899550),
    (prg.Tag.PAIR, 16, 7688985),
    (prg.Tag.SELF, 16, 5560504),
    (prg.Tag.NOISE, 16, 268150),
    (prg.Tag.PAIR, 24, 13155345),
    (prg.Tag.SELF, 24, 1544264),
    (prg.Tag.ROUND, 24, 4175251),
    (prg.Tag.NOISE, 24, 3127322),
    (prg.Tag.PAIR, 32, 281927744),
]


@pytest.mark.parametrize(("tag", "width", "position"), REJECTED)
def test_a_real_rejection_takes_the_next_lane_in_place(tag, width, position):
    p = field.PRIMES[width]
    lanes = 2 if width == 16 else 1
    for lane in range(lanes):
        assert slow_word(KEY, tag, position, lane) % 2**width >= p
    window = prg.elements(KEY, tag, width, position - 2, position + 3)
    around = range(position - 2, position + 3)
    assert window.tolist() == [slow_element(KEY, tag, width, i) for i in around]


def test_after_lane_8_the_element_is_reduced(monkeypatch):
    asked = []

    def rejected(_self, _position, lane):
        asked.append(lane)
        return 0xABCD0000 | (field.PRIMES[16] + lane)

    monkeypatch.setattr(prg._SingleWords, "word", rejected)
    replaced = prg.replacements(KEY, prg.Tag.PAIR, 16, 0, np.array([3]))
    assert list(replaced) == [8]
    assert asked == list(range(1, 9))


@given(
    key=st.binary(min_size=32, max_size=32),
    tag=TAGS,
    lane=st.integers(0, 8),
    start=st.integers(0, END - 40),
    size=st.integers(0, 40),
)
def test_words_equals_the_slow_block_anywhere(key, tag, lane, start, size):
    found = prg.words(key, tag, start, start + size, lane)
    expected = [slow_word(key, tag, i, lane) for i in range(start, start + size)]
    assert found.dtype == np.uint32
    assert found.tolist() == expected


@pytest.mark.parametrize("boundary", [1 << 32, 7 << 32, (1 << 64) - (1 << 32)])
@pytest.mark.parametrize("before", [0, 1, 16, 21])
def test_a_window_crosses_a_segment(boundary, before):
    window = range(boundary - before, boundary + 35)
    found = prg.words(KEY, prg.Tag.SELF, window.start, window.stop)
    assert found.tolist() == [slow_word(KEY, prg.Tag.SELF, i) for i in window]


def test_the_last_positions_can_be_read_and_no_further():
    found = prg.words(KEY, prg.Tag.PAIR, END - 3, END)
    expected = [slow_word(KEY, prg.Tag.PAIR, i) for i in range(END - 3, END)]
    assert found.tolist() == expected
    assert prg.words(KEY, prg.Tag.PAIR, END, END).shape == (0,)
    with pytest.raises(errors.ParameterError, match="2\\^64"):
        prg.words(KEY, prg.Tag.PAIR, END - 3, END + 1)


@given(
    width=st.integers(16, 32),
    tag=TAGS,
    start=st.integers(0, END - 5000),
    cut=st.integers(0, 5000),
    stop=st.integers(0, 5000),
)
def test_any_window_of_elements_is_the_slice_of_the_whole(width, tag, start, cut, stop):
    whole = prg.elements(KEY, tag, width, start, start + 5000)
    low, high = min(cut, stop), max(cut, stop)
    window = prg.elements(KEY, tag, width, start + low, start + high)
    assert np.array_equal(window, whole[low:high])


@pytest.mark.parametrize("width", range(16, 33))
def test_elements_equal_the_slow_map_at_every_width(width):
    start = (3 << 32) + 11
    found = prg.elements(KEY, prg.Tag.ROUND, width, start, start + 50)
    expected = [
        slow_element(KEY, prg.Tag.ROUND, width, i) for i in range(start, start + 50)
    ]
    assert found.tolist() == expected


@pytest.mark.parametrize("width", [16, 24, 32])
def test_elements_are_below_p(width):
    found = prg.elements(KEY, prg.Tag.PAIR, width, 0, 1 << 20)
    assert int(found.max()) < field.PRIMES[width]


def test_elements_of_16_bits_are_uniform_by_chi_square():
    p = field.PRIMES[16]
    counts = np.bincount(prg.elements(KEY, prg.Tag.PAIR, 16, 0, 1 << 21), minlength=p)
    mean = (1 << 21) / p
    z = (((counts - mean) ** 2 / mean).sum() - (p - 1)) / (2 * (p - 1)) ** 0.5
    assert len(counts) == p
    assert abs(z) < 4


def test_a_stream_read_in_pieces_is_the_stream_read_at_once():
    start = (1 << 32) - 1000
    pieces = np.empty(300_000, dtype=np.uint32)
    stream = prg.Keystream(KEY, prg.Tag.PAIR, start, 2)
    cuts = [0, 1, 17, 17, 1000, 1003, 100_000, 300_000]
    for low, high in itertools.pairwise(cuts):
        stream.fill(pieces[low:high])
    assert np.array_equal(
        pieces, prg.words(KEY, prg.Tag.PAIR, start, start + 300_000, 2)
    )


def test_lanes_tags_and_keys_give_different_streams():
    streams = [prg.words(KEY, tag, 0, 8, lane) for tag in prg.Tag for lane in range(9)]
    streams.append(prg.words(bytes(32), prg.Tag.PAIR, 0, 8))
    assert len({s.tobytes() for s in streams}) == len(streams)


def test_a_stream_never_shows_its_key():
    shown = repr(prg.Keystream(KEY, prg.Tag.PAIR, 0))
    assert shown == "Keystream(<redacted>, PAIR, next=0)"


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_key_of_another_length_is_refused(size):
    with pytest.raises(errors.ParameterError, match=f"32 bytes, not {size}"):
        prg.words(bytes(size), prg.Tag.PAIR, 0, 1)


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (3, 2), (0, END + 1)])
def test_a_window_outside_the_positions_is_refused(start, stop):
    with pytest.raises(errors.ParameterError, match="window"):
        prg.words(KEY, prg.Tag.PAIR, start, stop)


@pytest.mark.parametrize("lane", [-1, 9])
def test_a_lane_that_does_not_exist_is_refused(lane):
    with pytest.raises(errors.ParameterError, match=f"lane = {lane}"):
        prg.words(KEY, prg.Tag.PAIR, 0, 1, lane)


@pytest.mark.parametrize("width", [15, 33])
def test_a_width_outside_16_to_32_is_refused(width):
    with pytest.raises(errors.ParameterError, match=f"width = {width}"):
        prg.elements(KEY, prg.Tag.PAIR, width, 0, 1)
