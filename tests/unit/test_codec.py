"""secagg.codec: every message to bytes and back, and every limit on the way in."""

import copy
from collections.abc import Sequence
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg import codec, errors
from secagg import messages as msg
from secagg.names import PeerId, SessionId
from tests.helpers import refused_rule
from tests.samples import SAMPLES, A, blob, f64

KINDS = list(SAMPLES)
NAMES = [kind.__name__ for kind in KINDS]
LONG_ID = "x" * 64
N = 10


def packed(value):
    return msgpack.packb(value, use_bin_type=True)


def decode(kind, wire, members=N):
    return codec.decode_body(kind.__name__, packed(wire), members=members)


def wire_with(kind, path, value):
    """The sample's wire form with one field replaced."""
    wire = copy.deepcopy(SAMPLES[kind][1])
    place = wire
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return wire


# --- the form


def test_every_message_has_a_shape_and_a_sample() -> None:
    assert set(codec.BODIES) == set(SAMPLES) == set(msg.HEADERS)
    assert {kind.__name__: kind for kind in KINDS} == codec.TYPES


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_a_body_is_the_msgpack_array_of_its_fields(kind) -> None:
    message, wire = SAMPLES[kind]
    assert codec.encode_body(message) == packed(wire)


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_a_body_comes_back_as_it_was(kind) -> None:
    message, wire = SAMPLES[kind]
    assert decode(kind, wire) == message


def test_a_discarded_result_has_nil_for_its_vector() -> None:
    wire = copy.deepcopy(SAMPLES[msg.Result][1])
    wire[0], wire[5:8] = "discarded", [None] * 3
    message = decode(msg.Result, wire)
    assert isinstance(message, msg.Result)
    assert message.vector is None
    assert codec.encode_body(message) == packed(wire)


@pytest.mark.parametrize("kind", [msg.Manifest, msg.Hello, msg.Welcome, msg.Result])
def test_what_may_be_nil_comes_back_as_none(kind) -> None:
    nils = {
        msg.Manifest: {19: None},
        msg.Hello: {5: None, 6: None},
        msg.Welcome: {1: None},
        msg.Result: {3: None, 8: None, 9: None},
    }[kind]
    wire = copy.deepcopy(SAMPLES[kind][1])
    for place, value in nils.items():
        wire[place] = value
    assert codec.encode_body(decode(kind, wire)) == packed(wire)


# --- limits of size (3.3-1)


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_a_body_over_its_limit_is_refused_before_it_is_read(kind) -> None:
    limit = codec.body_limit(kind, N)
    name = kind.__name__
    assert refused_rule(codec.decode_body, name, bytes(limit + 1), members=N) == "3.3-1"
    assert refused_rule(codec.decode_body, name, bytes(limit), members=N) != "3.3-1"


def many(n, row):
    return [row] * n


def longest(n):
    """The longest conforming bodies of n members with the longest ids."""
    key = [LONG_ID, blob(1), blob(2), blob(3), blob(4), blob(9, 64)]
    # nonce, LP(u, v), x_v, two shares, tag
    sealed = blob(0, 12 + 2 * (4 + 64) + 4 + 64 + 16)
    extra = ["e" * 32, -(1 << 62), 1 << 62]
    dp = ["discrete-gaussian", f64(1.1), "replace-one", f64(1e-5)]
    noise = ["discrete-gaussian", f64(1.1), "9" * 77, "9" * 77]
    detail = "d" * 512
    manifest = [LONG_ID, 1 << 31, 3, LONG_ID, blob(1), many(n, [LONG_ID, blob(2)])]
    ranges = many(1024, [1 << 40, f64(1.5)])
    manifest += [n, 1 << 40, many(64, extra), 24, f64(1.5), ranges, "weighted"]
    manifest += [1 << 31, None, "complete", 1 << 31, "chacha20", 20, dp]
    manifest += [blob(1), blob(2), [86_400_000] * 7]
    sums = many(66, ["e" * 32, -(1 << 63)])
    result = ["discarded", many(n, LONG_ID), many(64, ["c" * 32, 0, detail]), noise]
    result += [sums, None, None, None, blob(1), f64(0.1)]
    return {
        msg.Manifest: manifest,
        msg.KeyList: [many(n, key)],
        msg.ShareKeys: [many(n, [sealed, blob(1), blob(2)])],
        msg.DealtShares: [many(n, [LONG_ID, sealed, blob(1), blob(2)])],
        msg.ShareAck: [bytes(-(-n // 8))],
        msg.DealerList: [many(n, LONG_ID)],
        msg.InputList: [many(n, [LONG_ID, blob(1), blob(2, 64)])],
        msg.Certificate: [many(n, [LONG_ID, blob(2, 64)])],
        msg.Unmasking: [many(n, blob(1))],
        msg.Result: result,
        msg.Abort: ["9" * 16, detail, many(n, LONG_ID)],
        msg.Refusal: ["9" * 16, detail],
        msg.AdvertiseKeys: key[1:-1],
        msg.Coin: SAMPLES[msg.Coin][1],
        msg.CoinList: [many(n, blob(1))],
        msg.MaskedInput: SAMPLES[msg.MaskedInput][1],
        msg.Consistency: SAMPLES[msg.Consistency][1],
        msg.Challenge: [blob(1), 1 << 62, blob(2), 1 << 62],
        msg.Hello: [blob(1), 1 << 62, blob(2), "v" * 32, 1 << 62, blob(3), blob(4)],
        msg.Welcome: [blob(1), 1 << 62],
        msg.Rosters: [many(1024, [blob(0, 1024), blob(1, 64)])],
        msg.RoundOpen: [LONG_ID, 1 << 31, blob(1), 1 << 62, blob(2)],
        msg.Ready: [LONG_ID, 1 << 31, blob(1), blob(2)],
        msg.Declined: [LONG_ID, 1 << 31, "9" * 16, detail],
        msg.Missed: [LONG_ID, 1 << 31, detail],
        msg.Fetch: [blob(1), 1 << 62],
        msg.Catchup: [LONG_ID, blob(1)],
    }


@pytest.mark.parametrize("n", [3, 4, 7, 100, 1000])
@pytest.mark.parametrize("kind", KINDS[:-1], ids=NAMES[:-1])
def test_the_longest_conforming_body_is_within_its_limit(kind, n) -> None:
    decode(kind, longest(n)[kind], members=n)


@pytest.mark.parametrize("n", [4, 100, 1000])
def test_64_rounds_of_history_are_within_their_limit(n) -> None:
    rows = longest(n)
    parts = [packed(rows[kind]) for kind in (msg.Manifest, msg.Certificate, msg.Result)]
    manifest, certificate, result = parts
    envelope = bytes(codec.MAX_ENVELOPE_OVERHEAD)
    past = [manifest + envelope, blob(1), certificate, result + envelope]
    decode(msg.History, [many(64, past)], members=n)


# --- limits of fields (3.3-6)

PEER = ["", "A", "a_b", "é", "x" * 65, b"a", 1, None]
HASH = [blob(1, 31), blob(1, 33), b"", "x" * 32, None, 0]
NAME = ["", "A", "a b", "x" * 33, b"a"]
DETAIL = ["d" * 513, "line\nbreak", "\x7f", b"d"]
REAL = [blob(0, 7), blob(0, 9), 1, None]
WIDE = [-1, (1 << 62) + 1, "1", None]
ROUND_NO = [0, -1, (1 << 31) + 1, None]
LIST = [None, 1, b"", "x"]

BAD: list[tuple[type[msg.Message], tuple[int, ...], Sequence[Any]]] = [
    (msg.Manifest, (0,), PEER),
    (msg.Manifest, (1,), ROUND_NO),
    (msg.Manifest, (2,), [-1, 256, None]),
    (msg.Manifest, (3,), PEER),
    (msg.Manifest, (4,), HASH),
    (msg.Manifest, (5,), [*LIST, many(4097, ["a", blob(1)])]),
    (msg.Manifest, (5, 0), [*LIST, [], ["a"], ["a", blob(1), 1]]),
    (msg.Manifest, (5, 0, 0), PEER),
    (msg.Manifest, (5, 0, 1), HASH),
    (msg.Manifest, (6,), [-1, (1 << 31) + 1]),
    (msg.Manifest, (7,), WIDE),
    (msg.Manifest, (8,), [*LIST, many(257, ["e", 0, 1])]),
    (msg.Manifest, (8, 0, 0), NAME),
    (msg.Manifest, (8, 0, 1), [-(1 << 62) - 1, (1 << 62) + 1]),
    (msg.Manifest, (8, 0, 2), [-(1 << 62) - 1, (1 << 62) + 1]),
    (msg.Manifest, (9,), [-1, (1 << 31) + 1]),
    (msg.Manifest, (10,), REAL),
    (msg.Manifest, (11,), [*LIST, many(2049, [1, f64(1)])]),
    (msg.Manifest, (11, 0), [*LIST, [], [1], [1, f64(1), 1]]),
    (msg.Manifest, (11, 0, 0), WIDE),
    (msg.Manifest, (11, 0, 1), REAL),
    (msg.Manifest, (12,), NAME),
    (msg.Manifest, (13,), WIDE),
    (msg.Manifest, (14,), [blob(1, 31), 1, "r"]),
    (msg.Manifest, (15,), NAME),
    (msg.Manifest, (16,), [-1, (1 << 31) + 1, "1"]),
    (msg.Manifest, (17,), NAME),
    (msg.Manifest, (18,), [-1, 256]),
    (msg.Manifest, (19,), [1, [], ["m", f64(1), "z"]]),
    (msg.Manifest, (19, 0), NAME),
    (msg.Manifest, (19, 1), REAL),
    (msg.Manifest, (19, 2), NAME),
    (msg.Manifest, (19, 3), REAL),
    (msg.Manifest, (20,), HASH),
    (msg.Manifest, (21,), HASH),
    (msg.Manifest, (22,), [*LIST, [1] * 33, [-1], ["1"], [(1 << 62) + 1]]),
    (msg.AdvertiseKeys, (0,), HASH),
    (msg.AdvertiseKeys, (1,), HASH),
    (msg.AdvertiseKeys, (2,), HASH),
    (msg.AdvertiseKeys, (3,), HASH[:-2]),
    (msg.KeyList, (0,), LIST),
    (msg.KeyList, (0, 0), [*LIST, [], ["a"] * 5, ["a"] * 7]),
    (msg.KeyList, (0, 0, 0), PEER),
    (msg.KeyList, (0, 0, 1), HASH),
    (msg.KeyList, (0, 0, 2), HASH),
    (msg.KeyList, (0, 0, 3), HASH),
    (msg.KeyList, (0, 0, 4), HASH[:-2]),
    (msg.KeyList, (0, 0, 5), [blob(1, 63), blob(1, 65), None]),
    (msg.Coin, (0,), HASH),
    (msg.CoinList, (0,), LIST),
    (msg.CoinList, (0, 0), HASH),
    (msg.ShareKeys, (0,), LIST),
    (msg.ShareKeys, (0, 0, 0), ["x", 1, blob(0, 301)]),
    (msg.ShareKeys, (0, 0, 1), HASH),
    (msg.ShareKeys, (0, 0, 2), HASH),
    (msg.DealtShares, (0, 0, 0), PEER),
    (msg.DealtShares, (0, 0, 1), [None, "x", blob(0, 301)]),
    (msg.DealtShares, (0, 0, 2), HASH),
    (msg.DealtShares, (0, 0, 3), HASH),
    (msg.ShareAck, (0,), [None, "x", [1]]),
    (msg.DealerList, (0,), LIST),
    (msg.DealerList, (0, 0), PEER),
    (msg.MaskedInput, (0,), HASH),
    (msg.InputList, (0, 0, 0), PEER),
    (msg.InputList, (0, 0, 1), HASH),
    (msg.InputList, (0, 0, 2), [blob(1, 63), blob(1, 65), None]),
    (msg.Consistency, (0,), HASH),
    (msg.Certificate, (0, 0, 0), PEER),
    (msg.Certificate, (0, 0, 1), [blob(1, 63), blob(1, 65), None]),
    (msg.Unmasking, (0,), LIST),
    (msg.Unmasking, (0, 0), [blob(1, 33), 1, "x"]),
    (msg.Result, (0,), ["", "Released", "maybe", None]),
    (msg.Result, (1, 0), PEER),
    (msg.Result, (2,), [*LIST, many(65, ["c", 1, ""])]),
    (msg.Result, (2, 0, 0), NAME),
    (msg.Result, (2, 0, 1), [2, -1, None]),
    (msg.Result, (2, 0, 2), DETAIL),
    (msg.Result, (3, 0), NAME),
    (msg.Result, (3, 1), REAL),
    (msg.Result, (3, 2), ["", "01", "-1", "1.0", "+1", "9" * 79, 5]),
    (msg.Result, (3, 3), ["", "00", " 1", "9" * 79, None]),
    (msg.Result, (4,), [*LIST, many(67, ["e", 1])]),
    (msg.Result, (4, 0), [*LIST, [], ["e"], ["e", 1, 1]]),
    (msg.Result, (4, 0, 0), NAME),
    (msg.Result, (4, 0, 1), [None, "1", b"1"]),
    (msg.Result, (5,), [None, blob(1, 31), "x" * 32]),
    (msg.Result, (6,), [None, -1, (1 << 62) + 1]),
    (msg.Result, (7,), [None, 0, 3, 5, 6, 7, 9]),
    (msg.Result, (8,), [blob(1, 31), 1]),
    (msg.Result, (9,), [blob(0, 7), 1]),
    (msg.Abort, (0,), ["", "x", "1" * 17, 1]),
    (msg.Abort, (1,), DETAIL),
    (msg.Abort, (2, 0), PEER),
    (msg.Refusal, (0,), ["", "4.x", "1" * 17]),
    (msg.Refusal, (1,), DETAIL),
    (msg.Challenge, (0,), HASH),
    (msg.Challenge, (1,), WIDE),
    (msg.Challenge, (2,), HASH),
    (msg.Challenge, (3,), WIDE),
    (msg.Hello, (0,), HASH),
    (msg.Hello, (1,), WIDE),
    (msg.Hello, (2,), HASH),
    (msg.Hello, (3,), ["v" * 33, "\n", None]),
    (msg.Hello, (4,), WIDE),
    (msg.Hello, (5,), [blob(1, 31), 1]),
    (msg.Hello, (6,), [blob(1, 31), 1]),
    (msg.Welcome, (0,), HASH),
    (msg.Welcome, (1,), [-1, (1 << 62) + 1, "1"]),
    (msg.Rosters, (0,), [*LIST, many(1025, [b"", blob(1, 64)])]),
    (msg.Rosters, (0, 0), [*LIST, [], [b""], [b"", blob(1, 64), b""]]),
    (msg.Rosters, (0, 0, 0), [None, "b", bytes((1 << 20) + 1)]),
    (msg.Rosters, (0, 0, 1), [blob(1, 63), blob(1, 65), None]),
    (msg.RoundOpen, (0,), PEER),
    (msg.RoundOpen, (1,), ROUND_NO),
    (msg.RoundOpen, (2,), HASH),
    (msg.RoundOpen, (3,), WIDE),
    (msg.RoundOpen, (4,), HASH),
    (msg.Ready, (0,), PEER),
    (msg.Ready, (1,), ROUND_NO),
    (msg.Ready, (2,), HASH),
    (msg.Ready, (3,), HASH),
    (msg.Declined, (0,), PEER),
    (msg.Declined, (1,), ROUND_NO),
    (msg.Declined, (2,), ["", "4.x", "1" * 17]),
    (msg.Declined, (3,), DETAIL),
    (msg.Missed, (0,), PEER),
    (msg.Missed, (1,), ROUND_NO),
    (msg.Missed, (2,), DETAIL),
    (msg.Fetch, (0,), HASH),
    (msg.Fetch, (1,), WIDE),
    (msg.Catchup, (0,), PEER),
    (msg.Catchup, (1,), HASH),
    (msg.History, (0,), [*LIST, many(65, [b"", blob(1), b"", b""])]),
    (msg.History, (0, 0, 0), [None, "m", bytes((1 << 20) + 1)]),
    (msg.History, (0, 0, 1), HASH),
    (msg.History, (0, 0, 2), [None, bytes((1 << 20) + 1)]),
    (msg.History, (0, 0, 3), [None, bytes((1 << 20) + 1)]),
]


ROWS = {
    msg.Manifest: [(5,), (8,), (22,)],
    msg.Result: [(1,), (2,), (4,)],
    msg.Abort: [(2,)],
}
"""Where a message has rows of one shape: what is said of the first holds for all."""


def leaves(kind):
    """The paths of all fields that are no arrays, in the first of rows."""
    rows = ROWS.get(kind, [(0,)])
    found: set[tuple[int, ...]] = set()
    ahead: list[tuple[tuple[int, ...], Any]] = [((), SAMPLES[kind][1])]
    while ahead:
        path, wire = ahead.pop()
        if not isinstance(wire, list):
            found.add(path)
            continue
        items = wire[:1] if path in rows else wire
        ahead += [((*path, i), item) for i, item in enumerate(items)]
    return found


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_every_field_of_a_message_is_tried_below(kind) -> None:
    tried = {path for k, path, _ in BAD if k is kind}
    assert [path for path in leaves(kind) if not {path, path[:-1]} & tried] == []


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [(kind, path, value) for kind, path, values in BAD for value in values],
    ids=lambda v: v.__name__ if isinstance(v, type) else None,
)
def test_a_field_beyond_its_limit_is_refused_by_3_3_6(kind, path, value) -> None:
    foreign = isinstance(value, str) and not value.isascii()
    wire = wire_with(kind, path, value)
    members = 4097 if isinstance(value, list) and len(value) > 4096 else 1000
    refused = refused_rule(
        codec.decode_body, kind.__name__, packed(wire), members=members
    )
    assert refused == ("3.3-3" if foreign else "3.3-6")


GOOD: list[tuple[type[msg.Message], tuple[int, ...], Sequence[Any]]] = [
    (msg.Manifest, (1,), [1, 1 << 31]),
    (msg.Manifest, (2,), [0, 255]),
    (msg.Manifest, (6,), [0, 1 << 31]),
    (msg.Manifest, (7,), [0, 1 << 62]),
    (msg.Manifest, (8, 0, 1), [-(1 << 62), 1 << 62]),
    (msg.Manifest, (9,), [0, 1 << 31]),
    (msg.Manifest, (14,), [None, blob(7)]),
    (msg.Manifest, (16,), [None, 0, 1 << 31]),
    (msg.Manifest, (18,), [0, 255]),
    (msg.Manifest, (22,), [[], [0] * 32, [1 << 62]]),
    (msg.ShareKeys, (0, 1, 0), [b"", blob(0, 300)]),
    (msg.ShareAck, (0,), [b""]),
    (msg.Unmasking, (0, 0), [b"", blob(1, 31), blob(1, 32)]),
    (msg.Result, (3, 2), ["0", "1", "9" * 78]),
    (msg.Result, (4, 0, 1), [-(1 << 63), (1 << 64) - 1]),
    (msg.Result, (7,), [4, 8]),
    (msg.Abort, (0,), ["0-1", "4.5-5", "10-1"]),
    (msg.Abort, (1,), ["", " ~" * 256]),
]


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [(kind, path, value) for kind, path, values in GOOD for value in values],
)
def test_a_field_at_its_limit_is_taken(kind, path, value) -> None:
    wire = wire_with(kind, path, value)
    assert codec.encode_body(decode(kind, wire)) == packed(wire)


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_one_field_more_or_fewer_is_refused_by_3_3_6(kind) -> None:
    wire = SAMPLES[kind][1]
    for other in ([*wire, None], wire[:-1], [], 7, b"", None, "x"):
        data = packed(other)
        assert refused_rule(codec.decode_body, kind.__name__, data, members=N) in {
            "3.3-6",
            "3.3-1",
        }


@pytest.mark.parametrize("nils", [(5,), (6,), (7,), (5, 6), (6, 7), (5, 7)])
def test_hash_size_and_width_of_a_vector_go_together(nils) -> None:
    wire = copy.deepcopy(SAMPLES[msg.Result][1])
    for place in nils:
        wire[place] = None
    assert refused_rule(decode, msg.Result, wire) == "3.3-6"


def test_a_released_result_has_a_vector_and_a_discarded_one_none() -> None:
    released = copy.deepcopy(SAMPLES[msg.Result][1])
    released[5:8] = [None] * 3
    assert refused_rule(decode, msg.Result, released) == "3.3-6"
    discarded = wire_with(msg.Result, (0,), "discarded")
    assert refused_rule(decode, msg.Result, discarded) == "3.3-6"


# --- the canonical form, seen through a message


@pytest.mark.parametrize(
    ("rule", "old", "new"),
    [
        ("3.3-2", b"\x94", b"\x94\x94"),
        ("3.3-4", b"\xc4\x20", b"\xc5\x00\x20"),
        ("3.3-4", b"\x94", b"\xdc\x00\x04"),
        ("3.3-3", b"\xc4\x20" + blob(1), b"\xcb" + bytes(8)),
        ("3.3-3", b"\xc4\x20" + blob(1), b"\xc3"),
        ("3.3-3", b"\xc4\x20" + blob(1), b"\x80"),
        ("3.3-3", b"\xc4\x20" + blob(1), b"\xd4\x01\x00"),
        ("3.3-3", b"\xc4\x20" + blob(1), b"\xa2\xc3\xa9"),
    ],
)
def test_another_form_of_a_body_is_refused(rule, old, new) -> None:
    data = codec.encode_body(SAMPLES[msg.AdvertiseKeys][0])
    bent = data.replace(old, new, 1)
    name = "AdvertiseKeys"
    assert refused_rule(codec.decode_body, name, bent, members=N) == rule


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), float("-inf"), -0.0], ids=str
)
def test_a_real_that_is_not_finite_or_is_minus_zero_is_refused_by_3_3_5(value) -> None:
    wire = wire_with(msg.Manifest, (10,), f64(value))
    assert refused_rule(decode, msg.Manifest, wire) == "3.3-5"


def test_a_byte_behind_the_body_is_refused_by_3_3_2() -> None:
    data = codec.encode_body(SAMPLES[msg.Consistency][0]) + b"\x00"
    assert refused_rule(codec.decode_body, "Consistency", data, members=N) == "3.3-2"


@pytest.mark.parametrize("name", ["", "consistency", "Vote", "Extra", "Envelope"])
def test_a_type_that_is_not_the_specs_is_refused_by_3_4_2(name) -> None:
    assert refused_rule(codec.message_type, name) == "3.4-2"
    assert refused_rule(codec.decode_body, name, b"\x90", members=N) == "3.4-2"


# --- envelopes


def envelope(**other):
    fields = {
        "type": "Consistency",
        "sid": SessionId(blob(1)),
        "sender": A,
        "receiver": PeerId(""),
        "body": packed([blob(8)]),
        "signature": blob(2, 64),
    }
    return msg.Envelope(**{**fields, **other})


ENVELOPE = [1, "Consistency", blob(1), "a", "", packed([blob(8)]), blob(2, 64)]


def test_an_envelope_is_the_msgpack_array_of_version_and_fields() -> None:
    assert codec.encode_envelope(envelope()) == packed(ENVELOPE)


@pytest.mark.parametrize("receiver", ["", "a", LONG_ID])
@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_an_envelope_comes_back_as_it_was(kind, receiver) -> None:
    body = codec.encode_body(SAMPLES[kind][0])
    sent = envelope(type=kind.__name__, receiver=PeerId(receiver), body=body)
    data = codec.encode_envelope(sent)
    assert codec.decode_envelope(data, members=N) == sent


@pytest.mark.parametrize(
    ("rule", "place", "value"),
    [
        ("3.4-2", 0, 0),
        ("3.4-2", 0, 2),
        ("3.3-6", 0, 256),
        ("3.3-6", 0, None),
        ("3.4-2", 1, "Hallo"),
        ("3.3-6", 1, ""),
        ("3.3-6", 1, "A" * 33),
        ("3.3-6", 1, "Ab-c"),
        ("3.3-6", 2, blob(1, 31)),
        ("3.3-6", 3, ""),
        ("3.3-6", 3, "A"),
        ("3.3-6", 4, "A"),
        ("3.3-6", 4, "x" * 65),
        ("3.3-6", 4, None),
        ("3.3-6", 5, "text"),
        ("3.3-6", 6, blob(2, 63)),
        ("3.3-1", 5, bytes(65)),
    ],
)
def test_an_envelope_with_another_field_is_refused(rule, place, value) -> None:
    wire = list(ENVELOPE)
    wire[place] = value
    assert refused_rule(codec.decode_envelope, packed(wire), members=N) == rule


def test_an_envelope_over_the_longest_of_all_is_refused_by_3_3_1() -> None:
    limit = codec.body_limit(msg.History, N) + codec.MAX_ENVELOPE_OVERHEAD
    data = bytes(limit + 1)
    assert refused_rule(codec.decode_envelope, data, members=N) == "3.3-1"


@pytest.mark.parametrize("cut", range(1, 20))
def test_a_cut_envelope_is_refused(cut) -> None:
    data = codec.encode_envelope(envelope())
    assert refused_rule(codec.decode_envelope, data[:-cut], members=N) == "3.3-2"


# --- arbitrary bytes

VALUES = st.recursive(
    st.none()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.binary(max_size=70)
    | st.text(max_size=70),
    lambda items: st.lists(items, max_size=8),
    max_leaves=20,
)


def taken_only_as_canonical(name, data):
    """Refused as a breach, or understood as exactly these bytes."""
    try:
        message = codec.decode_body(name, data, members=N)
    except errors.CodecError:
        return
    assert codec.encode_body(message) == data


@settings(max_examples=150)
@given(name=st.sampled_from([*NAMES, "Nothing"]), data=st.binary(max_size=200))
def test_arbitrary_bodies_are_refused_or_canonical(name, data) -> None:
    taken_only_as_canonical(name, data)


@settings(max_examples=150)
@given(name=st.sampled_from(NAMES), value=VALUES)
def test_arbitrary_values_are_refused_or_canonical(name, value) -> None:
    taken_only_as_canonical(name, packed(value))


@settings(max_examples=300)
@given(kind=st.sampled_from(KINDS), data=st.data())
def test_samples_with_one_field_changed_are_refused_or_canonical(kind, data) -> None:
    path = data.draw(st.sampled_from(sorted(leaves(kind))))
    value = data.draw(VALUES)
    taken_only_as_canonical(kind.__name__, packed(wire_with(kind, path, value)))


@settings(max_examples=150)
@given(
    kind=st.sampled_from(KINDS), place=st.integers(0, 1 << 16), bit=st.integers(0, 7)
)
def test_samples_with_one_bit_flipped_are_refused_or_canonical(
    kind, place, bit
) -> None:
    data = bytearray(packed(SAMPLES[kind][1]))
    data[place % len(data)] ^= 1 << bit
    taken_only_as_canonical(kind.__name__, bytes(data))


@settings(max_examples=150)
@given(data=st.binary(max_size=300) | st.lists(VALUES, max_size=8).map(packed))
def test_arbitrary_envelopes_are_refused_or_canonical(data) -> None:
    try:
        found = codec.decode_envelope(data, members=N)
    except errors.CodecError:
        return
    assert codec.encode_envelope(found) == data


@settings(max_examples=150)
@given(place=st.integers(0, 1 << 16), bit=st.integers(0, 7))
def test_an_envelope_with_one_bit_flipped_is_refused_or_canonical(place, bit) -> None:
    data = bytearray(packed(ENVELOPE))
    data[place % len(data)] ^= 1 << bit
    try:
        found = codec.decode_envelope(bytes(data), members=N)
    except errors.CodecError:
        return
    assert codec.encode_envelope(found) == bytes(data)


# --- details


def test_a_detail_is_made_printable_and_cut() -> None:
    assert codec.printable("a\nb\x00é~ ") == "a?b??~ "
    assert codec.printable("x" * 600) == "x" * 512
    refusal = msg.Refusal(rule="0-1", detail=codec.printable("stop\n" * 200))
    assert decode(msg.Refusal, ["0-1", refusal.detail]) == refusal
