"""Packing against one big integer, at every width, and each refusal."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import errors, field, packing
from secagg.kernels import plain

WIDTHS = range(16, 33)
pytestmark = pytest.mark.usefixtures("every_form")


def stream(elements, width):
    """The definition: one integer with element i at bit i * width."""
    total = sum(int(e) << i * width for i, e in enumerate(elements))
    return total.to_bytes(-(-len(elements) * width // 8), "little")


def some(count, width, seed=1):
    p = field.PRIMES[width]
    values = np.random.default_rng(seed).integers(0, p, count, dtype=np.uint32)
    values[::7] = p - 1
    return values


def assert_refused(rule, data, count, width):
    for taker in (packing.unpack, packing.check_packed, added):
        with pytest.raises(errors.CodecError) as caught:
            taker(data, count, width)
        assert caught.value.rule == rule


def added(data, count, width):
    """Add up what is packed, as the aggregator does."""
    packing.check_shape(data, count, width)
    sums = np.zeros(count, dtype=np.uint64)
    packing.add_unpacked(sums, data, width)
    return sums


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 9, 63, 64, 65, 127, 128, 200])
def test_pack_is_the_bit_stream_and_unpack_its_inverse(width, count):
    elements = some(count, width)
    data = packing.pack(elements, width)
    assert data == stream(elements, width)
    assert len(data) == packing.packed_size(count, width)
    found = packing.unpack(data, count, width)
    assert found.dtype == np.uint32
    assert np.array_equal(found, elements)


@given(data=st.data(), width=st.integers(16, 32))
def test_pack_is_the_bit_stream_for_any_elements(data, width):
    drawn = data.draw(st.lists(st.integers(0, field.PRIMES[width] - 1), max_size=150))
    elements = np.array(drawn, dtype=np.uint32)
    assert packing.pack(elements, width) == stream(elements, width)
    found = packing.unpack(stream(elements, width), len(drawn), width)
    assert found.tolist() == drawn


@pytest.mark.parametrize("width", WIDTHS)
def test_a_vector_longer_than_a_block_is_one_stream(width):
    count = plain._BLOCK + 100
    elements = some(count, width)
    data = packing.pack(elements, width)
    assert np.array_equal(packing.unpack(data, count, width), elements)
    seam = (plain._BLOCK - 64) * width // 8
    assert data[seam:] == stream(elements[plain._BLOCK - 64 :], width)


@given(
    width=st.integers(16, 32),
    count=st.integers(1, 400),
    cuts=st.sets(st.integers(0, 6)),
    shift=st.integers(0, 8),
)
def test_slices_that_are_added_make_up_the_whole(width, count, cuts, shift):
    elements = some(count, width, seed=count)
    frame = b"\xff" * shift + packing.pack(elements, width)
    data = memoryview(frame)[shift:]
    packing.check_packed(data, count, width)
    bounds = sorted({0, count} | {64 * k for k in cuts if 64 * k < count})
    sums = np.arange(count, dtype=np.uint64)
    for low, high in itertools.pairwise(bounds):
        packing.add_unpacked(sums[low:high], data, width, first=low)
    assert np.array_equal(sums, elements + np.arange(count, dtype=np.uint64))


def test_blocks_may_be_cut_at_any_multiple_of_8():
    elements = some(72, 23)
    parts = packing.pack(elements[:40], 23) + packing.pack(elements[40:], 23)
    assert parts == packing.pack(elements, 23)


def test_nothing_packs_to_nothing():
    assert packing.pack(np.zeros(0, dtype=np.uint32), 17) == b""
    assert packing.unpack(b"", 0, 17).shape == (0,)


def test_unpack_takes_a_view_of_a_frame():
    elements = some(100, 26)
    frame = b"\1head" + packing.pack(elements, 26)
    assert np.array_equal(packing.unpack(memoryview(frame)[5:], 100, 26), elements)


def test_pack_takes_a_strided_vector():
    elements = some(200, 21)[::2]
    assert packing.pack(elements, 21) == stream(elements, 21)


@pytest.mark.parametrize("width", WIDTHS)
def test_unpack_refuses_another_length(width):
    data = packing.pack(some(13, width), width)
    assert_refused("7.1-3", data[:-1], 13, width)
    assert_refused("7.1-3", data + b"\0", 13, width)
    assert_refused("7.1-3", b"", 13, width)


@pytest.mark.parametrize(("width", "count"), [(17, 1), (23, 3), (31, 5), (26, 1)])
def test_unpack_refuses_each_padding_bit(width, count):
    data = packing.pack(some(count, width), width)
    for bit in range(count * width % 8, 8):
        assert_refused("7.1-4", data[:-1] + bytes([data[-1] | 1 << bit]), count, width)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("place", [0, 31, 99])
def test_unpack_refuses_an_element_at_or_above_p(width, place):
    elements = some(100, width)
    for wrong in (field.PRIMES[width], 2**width - 1):
        elements[place] = wrong
        assert_refused("7.1-5", stream(elements, width), 100, width)


def test_unpack_refuses_an_element_above_p_in_a_later_block():
    elements = some(plain._BLOCK + 64, 16)
    tail = elements[plain._BLOCK :].copy()
    tail[5] = field.PRIMES[16]
    data = packing.pack(elements[: plain._BLOCK], 16) + stream(tail, 16)
    assert_refused("7.1-5", data, len(elements), 16)


@pytest.mark.parametrize(
    ("rule", "data"),
    [
        ("7.1-3", stream([5, 6, 7], 17) + b"\0"),
        ("7.1-3", stream([5, 6, 7], 17)[:-2]),
        ("7.1-4", stream([5, 6, 7], 17)[:-1] + b"\x80"),
        ("7.1-5", stream([5, 2**17 - 1, 7], 17)),
    ],
)
def test_bad_bytes_break_one_rule_alone(monkeypatch, rule, data):
    require = errors.require

    def relaxed(number, *arguments, **options):
        if number != rule:
            require(number, *arguments, **options)

    assert_refused(rule, data, 3, 17)
    monkeypatch.setattr(errors, "require", relaxed)
    assert packing.unpack(data, 3, 17)[0] == 5


@pytest.mark.parametrize("width", WIDTHS)
def test_pack_refuses_an_element_at_or_above_p(width):
    wrong = np.array([0, field.PRIMES[width]], dtype=np.uint32)
    with pytest.raises(errors.ParameterError, match="not below p"):
        packing.pack(wrong, width)


@pytest.mark.parametrize("width", [15, 33])
def test_a_width_outside_16_to_32_is_refused(width):
    with pytest.raises(errors.ParameterError, match=f"width = {width}"):
        packing.pack(some(4, 16), width)
    with pytest.raises(errors.ParameterError, match=f"width = {width}"):
        packing.unpack(b"", 0, width)


def test_packed_size_is_the_bits_rounded_up_to_bytes():
    assert [packing.packed_size(k, 17) for k in (0, 1, 7, 8)] == [0, 3, 15, 17]
