"""secagg.crypto.transcript: what is hashed and signed, as it is defined (3.4-3.7)."""

import hashlib
import hmac
import itertools
from typing import Any

import pytest

from secagg.crypto import transcript
from secagg.names import PeerId, SessionId
from tests.invariants import digest, lp
from tests.samples import blob

SID = SessionId(blob(1))
U, V = PeerId("u"), PeerId("v-2")


def hkdf(ikm: bytes, salt: bytes, info: bytes) -> bytes:
    """HKDF-SHA256 to 32 bytes, from RFC 5869."""
    prk = hmac.digest(salt, ikm, hashlib.sha256)
    return hmac.digest(prk, info + b"\x01", hashlib.sha256)


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


DEFINED = [
    (transcript.session_id(b"body"), digest("secagg/1/sid", b"body")),
    (transcript.h1(SID, b"L1"), digest("secagg/1/h1", SID, b"L1")),
    (transcript.h2(blob(2), b"L2"), digest("secagg/1/h2", blob(2), b"L2")),
    (transcript.h3(blob(3), b"L3"), digest("secagg/1/h3", blob(3), b"L3")),
    (
        transcript.connection(blob(4), blob(5)),
        digest("secagg/1/connection", blob(4), blob(5)),
    ),
    (
        transcript.link(blob(6), SID, blob(7), b"result"),
        digest("secagg/1/link", blob(6), SID, blob(7), sha(b"result")),
    ),
    (
        transcript.b_commitment(SID, U, blob(8)),
        digest("secagg/1/b-commit", SID, b"u", blob(8)),
    ),
    (
        transcript.coin_commitment(SID, U, blob(8)),
        digest("secagg/1/coin", SID, b"u", blob(8)),
    ),
    (
        transcript.share_commitments(SID, U, V, blob(8), blob(9)),
        (
            digest("secagg/1/com-b", SID, b"u", b"v-2", blob(8)),
            digest("secagg/1/com-s", SID, b"u", b"v-2", blob(9)),
        ),
    ),
    (
        transcript.channel_key(SID, blob(1), U, V, blob(2), blob(3)),
        hkdf(blob(1), SID, lp(b"secagg/1/enc", b"u", b"v-2", blob(2), blob(3))),
    ),
    (
        transcript.pair_seed(SID, blob(1), U, V, blob(2), blob(3)),
        hkdf(blob(1), SID, lp(b"secagg/1/pair", b"u", b"v-2", blob(2), blob(3))),
    ),
    (transcript.pair_mask_key(SID, blob(1)), hkdf(blob(1), SID, b"secagg/1/prg-pair")),
    (transcript.self_mask_key(SID, blob(1)), hkdf(blob(1), SID, b"secagg/1/prg-self")),
    (transcript.rounding_key(SID, blob(1)), hkdf(blob(1), SID, b"secagg/1/round")),
    (transcript.noise_key(SID, blob(1)), hkdf(blob(1), SID, b"secagg/1/noise")),
    (
        transcript.signing_input("KeyList", SID, "s", "", blob(2), b"body"),
        lp(b"secagg/1/sig", b"KeyList", SID, b"s", b"", blob(2), sha(b"body")),
    ),
    (
        transcript.share_context(SID, U, V, blob(2), blob(3), blob(4)),
        lp(b"secagg/1/share", SID, b"u", b"v-2", blob(2), blob(3), blob(4)),
    ),
]


@pytest.mark.parametrize(("found", "defined"), DEFINED)
def test_a_derived_value_is_that_of_the_spec(found, defined) -> None:
    assert found == defined


def test_a_pair_seed_is_the_same_from_both_sides() -> None:
    one = transcript.pair_seed(SID, blob(1), U, V, blob(2), blob(3))
    other = transcript.pair_seed(SID, blob(1), V, U, blob(3), blob(2))
    assert one == other


def test_a_channel_key_differs_by_direction() -> None:
    there = transcript.channel_key(SID, blob(1), U, V, blob(2), blob(3))
    back = transcript.channel_key(SID, blob(1), V, U, blob(3), blob(2))
    assert there != back


def test_no_two_derived_values_of_one_input_are_the_same() -> None:
    key = blob(1)
    values = [
        transcript.session_id(key),
        transcript.h1(SID, key),
        transcript.h2(SID, key),
        transcript.h3(SID, key),
        transcript.connection(SID, key),
        transcript.pair_mask_key(SID, key),
        transcript.self_mask_key(SID, key),
        transcript.rounding_key(SID, key),
        transcript.noise_key(SID, key),
        *transcript.share_commitments(SID, U, V, key, key),
    ]
    assert len(set(values)) == len(values)


FIELDS = ("Consistency", SID, "u", "s", blob(2), b"body")
OTHERS = ("KeyList", SessionId(blob(9)), "v", "", blob(3), b"bodz")


@pytest.mark.parametrize("place", range(6))
def test_a_signature_covers_every_field(place) -> None:
    changed: list[Any] = list(FIELDS)
    changed[place] = OTHERS[place]
    assert transcript.signing_input(*changed) != transcript.signing_input(*FIELDS)


def test_names_that_run_together_sign_differently() -> None:
    pairs = list(itertools.combinations([("ab", "c"), ("a", "bc"), ("abc", "")], 2))
    for (s1, r1), (s2, r2) in pairs:
        one = transcript.signing_input("T", SID, s1, r1, blob(1), b"")
        assert one != transcript.signing_input("T", SID, s2, r2, blob(1), b"")


def test_a_chain_starts_at_32_zero_bytes() -> None:
    assert bytes(32) == transcript.LINK_START
