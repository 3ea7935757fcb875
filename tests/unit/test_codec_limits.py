"""secagg.codec: every limit of size and of fields on the way in (3.3-1, 3.3-6)."""

import copy
from collections.abc import Sequence
from typing import Any

import pytest

from secagg import codec
from secagg import messages as msg
from tests.helpers import refused_rule
from tests.samples import SAMPLES, blob, f64
from tests.unit.wire_forms import (
    KINDS,
    LONG_ID,
    NAMES,
    N,
    decode,
    leaves,
    packed,
    wire_with,
)

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
