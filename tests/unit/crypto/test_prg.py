"""The map into GF(p_w) against the spec's known answers and the map in integers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import errors, field
from secagg.crypto import prg
from tests.helpers_chacha import slow_word

KEY = bytes(range(32))
END = 1 << 64
TAGS = st.sampled_from(list(prg.Tag))


def slow_element(key, tag, width, position):
    p = field.PRIMES[width]
    cut = [slow_word(key, tag, position, lane) % 2**width for lane in range(9)]
    return next((e for e in cut if e < p), cut[8] % p)


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

    def rejected(_keys, _tags, positions, lane):
        asked.append(lane)
        return np.full(
            len(positions), 0xABCD0000 | (field.PRIMES[16] + lane), np.uint32
        )

    monkeypatch.setattr(prg, "scattered_words", rejected)
    stream = prg.ElementStream(KEY, prg.Tag.PAIR, 16, 0)
    places = np.array([3, 5], dtype=np.uint64)
    assert prg.replacements([stream], np.zeros(2, np.intp), places).tolist() == [8, 8]
    assert asked == list(range(1, 9))


@pytest.mark.parametrize("count", [0, 1, 200])
def test_replacements_of_many_streams_are_the_elements_of_each(count):
    keys = [bytes([k]) * 32 for k in range(3)]
    tags = [prg.Tag.PAIR, prg.Tag.SELF, prg.Tag.PAIR]
    streams = [prg.ElementStream(k, t, 16, 0) for k, t in zip(keys, tags, strict=True)]
    which: list[int] = []
    places: list[int] = []
    for index, stream in enumerate(streams):
        words = np.empty(1 << 19, dtype=np.uint32)
        stream.words.fill(words)
        rejected = prg.cut(words, 16)
        which += [index] * len(rejected)
        places += rejected.tolist()
    taken = slice(50, 50 + count)
    expected = [
        slow_element(keys[k], tags[k], 16, i)
        for k, i in zip(which[taken], places[taken], strict=True)
    ]
    found = prg.replacements(
        streams, np.array(which[taken], np.intp), np.array(places[taken], np.uint64)
    )
    assert found.tolist() == expected


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


@given(width=st.integers(16, 32), cuts=st.lists(st.integers(0, 300)))
def test_elements_read_in_pieces_are_those_read_at_once(width, cuts):
    start = (1 << 32) - 500
    stream = prg.ElementStream(KEY, prg.Tag.SELF, width, start)
    assert stream.words.position == start
    for size in cuts:
        here = stream.words.position
        piece = np.empty(size, dtype=np.uint32)
        stream.words.fill(piece)
        rejected = prg.cut(piece, width)
        whole = prg.elements(KEY, prg.Tag.SELF, width, here, here + size)
        piece[rejected] = whole[rejected]
        assert np.array_equal(piece, whole)


@pytest.mark.parametrize("width", range(16, 33))
@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 1000, 70_000])
@pytest.mark.parametrize("every", [1, 7, 997, 10**9])
def test_cut_makes_elements_and_tells_what_it_rejects(width, size, every):
    p = field.PRIMES[width]
    words = np.random.default_rng(size).integers(0, 2**32, size, dtype=np.uint32)
    words[every - 1 :: every] |= np.uint32(2**width - 1)
    words[every - 1 :: every] -= np.uint32(2**width - 1 - p)
    low = words & np.uint32(2**width - 1)
    rejected = prg.cut(words, width)
    assert sorted(rejected.tolist()) == np.flatnonzero(low >= p).tolist()
    assert np.array_equal(words, np.where(low < p, low, 0))


@pytest.mark.parametrize("width", [15, 33])
def test_a_width_outside_16_to_32_is_refused(width):
    with pytest.raises(errors.ParameterError, match=f"width = {width}"):
        prg.elements(KEY, prg.Tag.PAIR, width, 0, 1)


def test_an_element_stream_never_shows_its_key():
    shown = repr(prg.ElementStream(KEY, prg.Tag.PAIR, 16, 7))
    assert shown == ("ElementStream(Keystream(<redacted>, PAIR, next=7), width=16)")
