"""The canonical encoding: known bytes, round trips, and each rule's refusals."""

import math
import struct

import msgpack
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from secagg import errors
from secagg.crypto import canonical

LEAVES = (
    st.none()
    | st.integers(-(2**63), 2**64 - 1)
    | st.binary(max_size=300)
    | st.text(st.characters(max_codepoint=127), max_size=300)
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=20).map(tuple), max_leaves=40
)
LIMIT = 1 << 20


def nested(depth):
    value: tuple[object, ...] = ()
    for _ in range(depth - 1):
        value = (value,)
    return value


def assert_refused(rule, data, limit=LIMIT):
    with pytest.raises(errors.CodecError) as caught:
        canonical.unpack(data, limit)
    assert caught.value.rule == rule


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "c0"),
        (0, "00"),
        (127, "7f"),
        (128, "cc80"),
        (256, "cd0100"),
        (65536, "ce00010000"),
        (2**32, "cf0000000100000000"),
        (2**64 - 1, "cfffffffffffffffff"),
        (-1, "ff"),
        (-32, "e0"),
        (-33, "d0df"),
        (-129, "d1ff7f"),
        (-32769, "d2ffff7fff"),
        (-(2**31) - 1, "d3ffffffff7fffffff"),
        (-(2**63), "d38000000000000000"),
        ("", "a0"),
        ("a" * 31, "bf" + "61" * 31),
        ("a" * 32, "d920" + "61" * 32),
        (b"", "c400"),
        (b"\xff" * 256, "c50100" + "ff" * 256),
        ([], "90"),
        ((1, [b"a"]), "920191c40161"),
        ([0] * 16, "dc0010" + "00" * 16),
    ],
)
def test_pack_gives_the_shortest_form(value, expected):
    assert canonical.pack(value).hex() == expected


@given(value=VALUES)
def test_unpack_inverts_pack(value):
    assume(canonical._depth(value) <= 8)
    assert canonical.unpack(canonical.pack(value), LIMIT) == value


@given(value=VALUES, places=st.lists(st.integers(0, 99)), byte=st.integers(0, 255))
def test_whatever_unpack_accepts_packs_to_the_same_bytes(value, places, byte):
    assume(canonical._depth(value) < 8)
    data = bytearray(canonical.pack((value,)))
    for place in places:
        data[place % len(data)] = byte
    try:
        accepted = canonical.unpack(bytes(data), LIMIT)
    except errors.CodecError:
        return
    assert canonical.pack(accepted) == data


@given(value=VALUES, cut=st.integers(0, 40))
def test_a_truncated_encoding_is_refused(value, cut):
    assume(canonical._depth(value) < 8)
    data = canonical.pack((value, 0))
    assert_refused("3.3-2", data[: min(cut, len(data) - 1)])


def test_the_limit_is_the_last_length_that_passes():
    data = canonical.pack(b"abc")
    assert canonical.unpack(data, len(data)) == b"abc"
    assert_refused("3.3-1", data, len(data) - 1)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x01\x01",
        b"\x90\x00",
        b"\x92\x01",
        b"\xdd\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\x91" * 5000,
    ],
    ids=lambda data: data[:6].hex(),
)
def test_what_is_not_one_value_is_refused(data):
    assert_refused("3.3-2", data)


def test_arrays_nest_8_deep_and_no_deeper():
    assert canonical.unpack(canonical.pack(nested(8)), LIMIT) == nested(8)
    assert_refused("3.3-2", b"\x91" * 8 + b"\x90")
    with pytest.raises(errors.ParameterError, match="8 deep"):
        canonical.pack(nested(9))


@pytest.mark.parametrize(
    "data",
    [
        b"\xc2",
        b"\xc3",
        msgpack.packb(1.5),
        msgpack.packb(1.5, use_single_float=True),
        msgpack.packb({}),
        msgpack.packb({"a": 1}),
        msgpack.packb(msgpack.ExtType(5, b"a")),
        msgpack.packb(msgpack.Timestamp(1)),
        msgpack.packb("é"),
        b"\xa1\xff",
    ],
    ids=lambda data: data[:6].hex(),
)
@pytest.mark.parametrize("wrap", [b"", b"\x91", b"\x92\x00"])
def test_a_type_that_is_not_allowed_is_refused_at_any_place(data, wrap):
    assert_refused("3.3-3", wrap + data)


@pytest.mark.parametrize(
    "data",
    [
        b"\xcc\x7f",
        b"\xcd\x00\xff",
        b"\xce\x00\x00\xff\xff",
        b"\xcf" + bytes(8),
        b"\xd0\x05",
        b"\xd0\xff",
        b"\xd3" + bytes(8),
        b"\xd9\x01a",
        b"\xda\x00\x01a",
        b"\xc5\x00\x01a",
        b"\xc6\x00\x00\x00\x01a",
        b"\xdc\x00\x01\x00",
        b"\xdd\x00\x00\x00\x00",
        b"\x91\xcc\x01",
    ],
    ids=lambda data: data.hex(),
)
def test_what_is_not_the_shortest_form_is_refused(data):
    assert_refused("3.3-4", data)


@pytest.mark.parametrize(
    "value", [1.5, True, {}, {1}, "é", bytearray(b"a"), 2**64, -(2**63) - 1, object()]
)
def test_pack_refuses_what_the_encoding_has_not(value):
    with pytest.raises(errors.ParameterError):
        canonical.pack([value])


@pytest.mark.parametrize(
    ("rule", "data"),
    [
        ("3.3-1", canonical.pack(b"a" * 2000)),
        ("3.3-2", b"\x01\x01"),
        ("3.3-2", b"\x91" * 8 + b"\x90"),
        ("3.3-3", b"\xc2"),
        ("3.3-3", b"\xa1\xff"),
        ("3.3-4", b"\xcc\x01"),
    ],
)
def test_a_refused_encoding_breaks_one_rule_alone(monkeypatch, rule, data):
    require = errors.require

    def relaxed(number, *arguments, **options):
        if number != rule:
            require(number, *arguments, **options)

    assert_refused(rule, data, 1000)
    monkeypatch.setattr(errors, "require", relaxed)
    canonical.unpack(data, 1000)


@given(x=st.floats(allow_nan=False, allow_infinity=False))
@example(x=5e-324)
@example(x=-0.0)
def test_from_real_inverts_real(x):
    assert canonical.real(x) == struct.pack("<d", x if x else 0.0)
    assert canonical.from_real(canonical.real(x)) == x


@pytest.mark.parametrize("x", [math.nan, math.inf, -math.inf])
def test_a_real_is_finite(x):
    with pytest.raises(errors.ParameterError):
        canonical.real(x)
    with pytest.raises(errors.CodecError) as caught:
        canonical.from_real(struct.pack("<d", x))
    assert caught.value.rule == "3.3-5"


def test_a_negative_zero_is_refused():
    with pytest.raises(errors.CodecError) as caught:
        canonical.from_real(struct.pack("<d", -0.0))
    assert caught.value.rule == "3.3-5"


@pytest.mark.parametrize("size", [0, 4, 7, 9])
def test_a_real_of_another_length_is_refused(size):
    with pytest.raises(errors.CodecError) as caught:
        canonical.from_real(bytes(size))
    assert caught.value.rule == "3.3-6"
