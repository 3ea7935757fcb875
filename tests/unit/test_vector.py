"""secagg.vector: chunks, their root and frames."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import errors, field, packing, vector
from secagg.crypto import merkle
from secagg.names import MaskedVector, SessionId

SID = SessionId(bytes(range(32)))
FULL = 1 << 12
SMALL = vector.Chunks(length=2 * FULL + 5, width=17, chunk_log2=12)


def elements(chunks, seed=1):
    """A vector of field elements, with the largest one first and last."""
    p = field.prime(chunks.width)
    values = np.arange(chunks.length, dtype=np.uint64) * (2654435761 * seed) % p
    values[[0, -1]] = p - 1
    return MaskedVector(values.astype(np.uint32))


def refused_rule(call, *args):
    with pytest.raises(errors.RemoteProtocolError) as caught:
        call(*args)
    return caught.value.rule


# --- geometry


@pytest.mark.parametrize("width", [16, 17, 31, 32])
@pytest.mark.parametrize(
    "length", [1, 7, FULL - 1, FULL, FULL + 1, 2 * FULL, 5 * FULL - 3]
)
def test_the_spans_partition_the_vector_and_the_sizes_its_bytes(length, width) -> None:
    chunks = vector.Chunks(length=length, width=width, chunk_log2=12)
    spans = [chunks.span(i) for i in range(chunks.count)]
    assert [i for start, stop in spans for i in range(start, stop)] == [*range(length)]
    assert all(stop - start == FULL for start, stop in spans[:-1])
    sizes = [chunks.size_bytes(i) for i in range(chunks.count)]
    assert sizes == [-(-(stop - start) * width // 8) for start, stop in spans]
    assert chunks.total_bytes == sum(sizes)


def test_a_billion_elements_have_3815_chunks() -> None:
    chunks = vector.Chunks(length=10**9, width=24, chunk_log2=18)
    assert chunks.count == 3815
    assert chunks.span(3814) == (3814 * 2**18, 10**9)
    assert chunks.total_bytes == 3 * 10**9


@pytest.mark.parametrize("index", [-1, 3])
def test_there_is_no_chunk_outside_the_vector(index) -> None:
    with pytest.raises(errors.LocalProtocolError, match=str(index)):
        SMALL.span(index)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("length", 0),
        ("length", (1 << 44) + 1),
        ("width", 15),
        ("width", 33),
        ("chunk_log2", 11),
        ("chunk_log2", 21),
    ],
)
def test_a_geometry_out_of_range_is_refused_by_name(name, value) -> None:
    fields = {"length": 1, "width": 16, "chunk_log2": 12}
    with pytest.raises(errors.ParameterError, match=f"{name} = {value}"):
        vector.Chunks(**{**fields, name: value})


# --- chunks


def packed(y_u, index, chunks):
    """One chunk of a whole vector, packed."""
    start, stop = chunks.span(index)
    return packing.pack(y_u[start:stop], chunks.width)


def test_the_chunks_of_a_vector_are_the_slices_of_its_bit_stream() -> None:
    y_u = elements(SMALL)
    stream = sum(int(e) << (17 * i) for i, e in enumerate(y_u))
    whole = stream.to_bytes(SMALL.total_bytes, "little")
    parts = [packed(y_u, i, SMALL) for i in range(SMALL.count)]
    assert b"".join(parts) == whole


def test_a_chunk_gives_back_its_elements() -> None:
    y_u = elements(SMALL)
    parts = [packed(y_u, i, SMALL) for i in range(SMALL.count)]
    got = []
    for i, part in enumerate(parts):
        vector.check_chunk(part, i, SMALL)
        start, stop = SMALL.span(i)
        got.append(packing.unpack(part, stop - start, SMALL.width))
    assert np.array_equal(np.concatenate(got), y_u)


LAST = packed(elements(SMALL), 2, SMALL)


def test_7_1_2_chunks_come_in_order_and_a_repeat_is_ignored() -> None:
    for stored in range(SMALL.count + 1):
        for index in range(SMALL.count + 2):
            if index > stored or index >= SMALL.count:
                assert refused_rule(vector.is_next, index, stored, SMALL) == "7.1-2"
            else:
                assert vector.is_next(index, stored, SMALL) == (index == stored)


def test_a_chunk_behind_the_end_has_no_elements() -> None:
    with pytest.raises(errors.LocalProtocolError, match="3"):
        vector.check_chunk(LAST, 3, SMALL)


@pytest.mark.parametrize("chunk", [b"", LAST[:-1], LAST + b"\0"])
def test_7_1_3_a_chunk_of_another_length_is_refused(chunk) -> None:
    assert refused_rule(vector.check_chunk, chunk, 2, SMALL) == "7.1-3"


@pytest.mark.parametrize("bit", [5, 6, 7])
def test_7_1_4_a_padding_bit_that_is_set_is_refused(bit) -> None:
    # The last chunk has 5 elements of 17 bits: 85 bits in 11 bytes.
    chunk = LAST[:-1] + bytes([LAST[-1] | 1 << bit])
    assert refused_rule(vector.check_chunk, chunk, 2, SMALL) == "7.1-4"


def test_7_1_5_an_element_that_is_not_below_p_is_refused() -> None:
    p = field.prime(17)
    chunk = (p << 34).to_bytes(11, "little")
    assert refused_rule(vector.check_chunk, chunk, 2, SMALL) == "7.1-5"


# --- the root


def root_of(chunks):
    """The root over chunks of SID, from its leaves as the spec writes them."""
    places = [i.to_bytes(4, "little") for i in range(len(chunks))]
    hashed = [b"\x00" + SID + at + c for at, c in zip(places, chunks, strict=True)]
    return merkle.root([hashlib.sha256(leaf).digest() for leaf in hashed])


@pytest.mark.parametrize("count", [1, 2, 3, 8, 300])
def test_a_leaf_is_bound_to_its_session_and_its_place(count) -> None:
    builder = vector.RootBuilder(SID)
    for index in range(count):
        builder.add(index, b"the same")
    assert builder.count == count
    assert builder.root() == root_of([b"the same"] * count)


def test_a_chunk_may_be_added_by_its_leaf() -> None:
    builder = vector.RootBuilder(SID)
    for index in range(3):
        builder.add_leaf(vector.leaf_hash(SID, index, b"the same"))
    assert builder.root() == root_of([b"the same"] * 3)


@pytest.mark.parametrize("index", [0, 2])
def test_a_chunk_out_of_order_changes_no_root(index) -> None:
    builder = vector.RootBuilder(SID)
    builder.add(0, b"a")
    before = builder.root()
    with pytest.raises(errors.LocalProtocolError):
        builder.add(index, b"b")
    assert builder.root() == before


def test_no_chunks_have_no_root() -> None:
    with pytest.raises(errors.LocalProtocolError):
        vector.RootBuilder(SID).root()


# --- frames

BYTES = st.binary(min_size=1, max_size=40)
HASHES = st.binary(min_size=32, max_size=32)


@given(BYTES)
def test_an_envelope_frame_is_a_zero_byte_and_the_envelope(envelope) -> None:
    frame = vector.envelope_frame(envelope)
    assert frame == b"\x00" + envelope
    assert vector.parse_frame(frame) == vector.EnvelopeFrame(envelope)


@given(HASHES, st.integers(0, 2**32 - 1), BYTES)
def test_a_chunk_frame_names_session_and_index(sid, index, chunk) -> None:
    frame = vector.chunk_frame(sid, index, chunk)
    assert frame == b"\x01" + sid + index.to_bytes(4, "little") + chunk
    assert vector.parse_frame(frame) == vector.ChunkFrame(sid, index, chunk)


@given(HASHES, st.integers(0, 2**64 - 1), BYTES)
def test_a_blob_frame_names_hash_and_offset(digest, offset, part) -> None:
    frame = vector.blob_frame(digest, offset, part)
    assert frame == b"\x02" + digest + offset.to_bytes(8, "little") + part
    assert vector.parse_frame(frame) == vector.BlobFrame(digest, offset, part)


def test_7_1_1_a_frame_of_another_kind_is_refused() -> None:
    frames = [bytes([kind]) + bytes(60) for kind in range(3, 256)]
    assert {refused_rule(vector.parse_frame, frame) for frame in frames} == {"7.1-1"}


@pytest.mark.parametrize(
    "frame",
    [b"", b"\x00", *(b"\x01" + bytes(k) for k in (0, 31, 32, 36)), b"\x02" + bytes(40)],
)
def test_7_1_1_a_frame_that_holds_nothing_is_refused(frame) -> None:
    assert refused_rule(vector.parse_frame, frame) == "7.1-1"


def test_7_1_1_a_frame_beyond_the_expected_size_is_refused() -> None:
    frame = vector.envelope_frame(bytes(99))
    assert vector.parse_frame(frame, 100) == vector.EnvelopeFrame(bytes(99))
    assert refused_rule(vector.parse_frame, frame, 99) == "7.1-1"


@given(st.binary(max_size=80))
def test_any_bytes_are_a_frame_or_refused_by_7_1_1(data) -> None:
    try:
        frame = vector.parse_frame(data)
    except errors.CodecError as error:
        assert error.rule == "7.1-1"  # noqa: PT017 either outcome is right
        return
    match frame:
        case vector.EnvelopeFrame(envelope):
            assert vector.envelope_frame(envelope) == data
        case vector.ChunkFrame(sid, index, chunk):
            assert vector.chunk_frame(sid, index, chunk) == data
        case vector.BlobFrame(digest, offset, part):
            assert vector.blob_frame(digest, offset, part) == data


def test_frames_do_not_show_what_they_carry() -> None:
    frames = [
        vector.EnvelopeFrame(b"5ec2e7"),
        vector.ChunkFrame(SID, 1, b"5ec2e7"),
        vector.BlobFrame(SID, 1, b"5ec2e7"),
    ]
    assert "5ec2e7" not in "".join(map(repr, frames))


# --- beyond 2 and 4 GB, where nothing is allocated


@pytest.mark.parametrize("chunk_log2", [12, 18, 20])
@pytest.mark.parametrize("length", [(1 << 33) + 5, (1 << 40) - 1, 1 << 40])
def test_a_vector_of_up_to_2_40_elements_is_cut_without_gap(length, chunk_log2) -> None:
    chunks = vector.Chunks(length=length, width=23, chunk_log2=chunk_log2)
    last, step = chunks.count - 1, 1 << chunk_log2
    assert last < 1 << 32
    far = (1 << 32) // step
    for index in (0, far - 1, far, far + 1, last - 1):
        assert chunks.span(index) == (index * step, index * step + step)
        assert chunks.size_bytes(index) * 8 == step * 23
    assert chunks.span(last) == (last * step, length)
    whole = last * chunks.size_bytes(0) + chunks.size_bytes(last)
    assert chunks.total_bytes == whole == -(-length * 23 // 8)


def test_a_chunk_beyond_2_31_is_next_and_one_beyond_the_last_is_not() -> None:
    chunks = vector.Chunks(length=1 << 44, width=32, chunk_log2=12)
    assert chunks.count == 1 << 32
    for index in (1 << 31, (1 << 32) - 1):
        assert vector.is_next(index, index, chunks)
        assert not vector.is_next(index, index + 1, chunks)
    assert refused_rule(vector.is_next, 1 << 32, 1 << 32, chunks) == "7.1-2"


def test_frames_carry_the_last_index_and_offsets_beyond_4_gib() -> None:
    chunk = vector.parse_frame(vector.chunk_frame(SID, (1 << 32) - 1, b"x"))
    assert chunk == vector.ChunkFrame(SID, (1 << 32) - 1, b"x")
    for offset in ((1 << 32) + 3, (1 << 63) + 5):
        blob = vector.parse_frame(vector.blob_frame(SID, offset, b"x"))
        assert blob == vector.BlobFrame(SID, offset, b"x")


def test_the_leaf_of_a_chunk_beyond_2_31_names_its_index() -> None:
    index = (1 << 31) + 7
    stream = b"\x00" + SID + bytes([7, 0, 0, 0x80]) + b"chunk"
    assert vector.leaf_hash(SID, index, b"chunk") == hashlib.sha256(stream).digest()
