"""secagg.released: the released vector as bytes, and what is read of it."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from secagg import errors
from secagg.messages import BlobRef
from secagg.names import VectorSum
from secagg.released import PART, ReleasedVector, encoded, reference, width_of
from secagg.scale import Scale

SUMS = hnp.arrays(
    np.int64, st.integers(1, 9), elements=st.integers(-(2**63), 2**63 - 1)
)
NARROW_SUMS = hnp.arrays(
    np.int64, st.integers(1, 9), elements=st.integers(-(2**31), 2**31 - 1)
)


def written(total) -> tuple[bytes, int]:
    width = width_of(VectorSum(total))
    return b"".join(encoded(VectorSum(total), width)), width


def long_sum() -> VectorSum:
    """More than two parts, which a reader has to put together."""
    return VectorSum(np.arange(2 * PART + 3, dtype=np.int64) - PART)


@given(SUMS | NARROW_SUMS)
def test_a_released_sum_is_its_integers_in_as_few_bytes_as_hold_all(total) -> None:
    data, width = written(total)
    assert width == (4 if all(-(2**31) <= x < 2**31 for x in total.tolist()) else 8)
    spelt = [int(x).to_bytes(width, "little", signed=True) for x in total]
    assert data == b"".join(spelt)
    read = ReleasedVector.of(data, width=width, length=len(total))
    assert np.array_equal(read.sum(), total)


@pytest.mark.parametrize("edge", [-(2**31), 2**31 - 1])
def test_the_edges_of_four_bytes_fit(edge) -> None:
    at, beyond = np.array([edge]), np.array([edge + (1 if edge > 0 else -1)])
    assert width_of(VectorSum(at)) == 4
    assert width_of(VectorSum(beyond)) == 8


def test_a_sum_in_32_bits_has_the_bytes_of_one_in_64() -> None:
    total = long_sum()
    narrow = VectorSum(total.astype(np.int32))
    assert written(narrow) == written(total)


def test_the_reference_is_the_hash_and_size_of_all_parts() -> None:
    data, width = written(long_sum())
    digest = hashlib.sha256(data).digest()
    said = BlobRef(hash=digest, size=len(data), width=width)
    assert reference(long_sum()) == said


def test_no_part_is_larger_than_stated() -> None:
    sizes = [len(part) for part in encoded(long_sum(), 4)]
    assert sizes == [4 * PART, 4 * PART, 12]


@pytest.mark.parametrize(("size", "width"), [(11, 4), (13, 4), (12, 8), (3, 1), (0, 4)])
def test_4_8_2_a_released_vector_of_another_size_is_refused(size, width) -> None:
    with pytest.raises(errors.RemoteProtocolError) as caught:
        ReleasedVector.of(bytes(size), width=width, length=3)
    assert caught.value.rule == "4.8-2"


def test_a_slice_is_that_window_of_the_mean() -> None:
    total = long_sum()
    data, width = written(total)
    said = BlobRef(hash=b"", size=len(data), width=width)
    read = ReleasedVector(
        lambda offset, size: data[offset : offset + size],
        said,
        scale=Scale(bits=8, clip=127.0, ranges=((PART, 127 / 8), (PART + 3, 127.0))),
        divisor=5,
    )
    mean = np.concatenate([total[:PART] / 40, total[PART:] / 5])
    assert len(read) == len(total)
    assert np.array_equal(read.mean(), mean)
    assert np.array_equal(read[PART - 1 : PART + 2], mean[PART - 1 : PART + 2])
    assert np.array_equal(read[-2:], mean[-2:])
    assert len(read[5:5]) == 0


def test_beyond_4_gib_the_bytes_of_a_window_are_at_their_offset() -> None:
    asked: list[tuple[int, int]] = []

    def read(offset: int, size: int) -> bytes:
        asked.append((offset, size))
        return bytes(size)

    length = 1 << 40
    scale = Scale(bits=8, clip=1.0, ranges=((length, 1.0),))
    said = BlobRef(hash=b"", size=8 * length, width=8)
    vector = ReleasedVector(read, said, scale=scale, divisor=1)
    vector.integers(length - 2, length)
    vector.integers((1 << 32) + 1, (1 << 32) + 4)
    assert asked == [(8 * length - 16, 16), (8 * (1 << 32) + 8, 24)]


def test_its_repr_shows_no_values() -> None:
    assert repr(ReleasedVector.of(bytes(12), width=4, length=3)) == (
        "ReleasedVector(3 coordinates)"
    )
