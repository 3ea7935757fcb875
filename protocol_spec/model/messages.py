"""Every message: its fields, its limits, its transcript (spec 3.7, 4, 8).

A body decodes to a dict from field name to plain value, in the order of the spec.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from protocol_spec.model.encoding import pack, unpack
from protocol_spec.model.refusal import require
from protocol_spec.model.shapes import (
    Bytes,
    Int,
    Maybe,
    Real,
    Record,
    Rows,
    Shape,
    Text,
    record,
)

Body = dict[str, Any]

HASH = Bytes(32, 32)
SIGNATURE = Bytes(64, 64)
ID = Text("[a-z0-9-]{1,64}")
NAME = Text("[a-z0-9_-]{1,32}")
DETAIL = Text("[ -~]{0,512}")
RULE = Text("[0-9.-]{1,16}")
DECIMAL = Text("0|[1-9][0-9]{0,77}")
WIDE = Int(0, 2**62)
SMALL = Int(0, 2**31)
ROUND_NO = Int(1, 2**31)
SIGNED = Int(-(2**62), 2**62)

ADVERT: dict[str, Shape] = {
    "c_pk": HASH,
    "s_pk": HASH,
    "b_commitment": HASH,
    "coin_commitment": Maybe(HASH),
}

FIELDS: dict[str, Record] = {
    "Manifest": record(
        task_id=ID,
        round_no=ROUND_NO,
        attempt=Int(0, 255),
        aggregator=ID,
        roster_hash=HASH,
        members=Rows(record(id=ID, ready_nonce=HASH)),
        c=SMALL,
        m=WIDE,
        extras=Rows(record(name=NAME, low=SIGNED, high=SIGNED), 256),
        bits=SMALL,
        clip=Real(),
        ranges=Rows(record(count=WIDE, range=Real()), 2048),
        weighting=NAME,
        w_max=WIDE,
        rotation=Maybe(HASH),
        graph=NAME,
        losses=Maybe(SMALL),
        keystream=NAME,
        chunk_log2=Int(0, 255),
        dp=Maybe(record(mechanism=NAME, z=Real(), adjacency=NAME, delta=Real())),
        model_hash=HASH,
        previous_link=HASH,
        durations=Rows(WIDE, 32),
    ),
    "AdvertiseKeys": record(**ADVERT),
    "KeyList": record(entries=Rows(record(id=ID, **ADVERT, signature=SIGNATURE))),
    "Coin": record(coin=HASH),
    "CoinList": record(coins=Rows(HASH)),
    "ShareKeys": record(
        entries=Rows(record(sealed=Maybe(Bytes(0, 300)), com_b=HASH, com_s=HASH))
    ),
    "DealtShares": record(
        entries=Rows(record(dealer=ID, sealed=Bytes(0, 300), com_b=HASH, com_s=HASH))
    ),
    "ShareAck": record(bitmap=Bytes(0, 512)),
    "DealerList": record(dealers=Rows(ID)),
    "MaskedInput": record(root=HASH),
    "InputList": record(entries=Rows(record(id=ID, root=HASH, signature=SIGNATURE))),
    "Consistency": record(h3=HASH),
    "Certificate": record(votes=Rows(record(id=ID, signature=SIGNATURE))),
    "Unmasking": record(shares=Rows(Maybe(Bytes(0, 32)))),
    "Result": record(
        status=Text("released|discarded"),
        u3=Rows(ID),
        checks=Rows(record(check=NAME, passed=Int(0, 1), detail=DETAIL), 64),
        dp=Maybe(
            record(
                mechanism=NAME,
                z=Real(),
                sigma_squared=DECIMAL,
                sensitivity_squared=DECIMAL,
            )
        ),
        extras=Rows(record(name=NAME, sum=Int(-(2**63), 2**64 - 1)), 66),
        vector_hash=Maybe(HASH),
        vector_size=Maybe(WIDE),
        vector_width=Maybe(Int(4, 8)),
        next_model_hash=Maybe(HASH),
        epsilon=Maybe(Real()),
    ),
    "Abort": record(rule=RULE, detail=DETAIL, missing=Rows(ID)),
    "Refusal": record(rule=RULE, detail=DETAIL),
    "Challenge": record(
        nonce=HASH, roster_version=WIDE, roster_hash=HASH, time_ms=WIDE
    ),
    "Hello": record(
        nonce=HASH,
        roster_version=WIDE,
        roster_hash=HASH,
        version=Text("[ -~]{0,32}"),
        time_ms=WIDE,
        sid=Maybe(HASH),
        transcript=Maybe(HASH),
    ),
    "Welcome": record(nonce=HASH, next_chunk=Maybe(WIDE)),
    "Rosters": record(
        versions=Rows(record(body=Bytes(0, 2**20), signature=SIGNATURE), 1024)
    ),
    "RoundOpen": record(
        task_id=ID,
        round_no=ROUND_NO,
        model_hash=HASH,
        model_size=WIDE,
        previous_link=HASH,
    ),
    "Ready": record(task_id=ID, round_no=ROUND_NO, model_hash=HASH, ready_nonce=HASH),
    "Declined": record(task_id=ID, round_no=ROUND_NO, rule=RULE, detail=DETAIL),
    "Missed": record(task_id=ID, round_no=ROUND_NO, reason=DETAIL),
    "Fetch": record(hash=HASH, offset=WIDE),
    "Catchup": record(task_id=ID, head=HASH),
    "History": record(
        rounds=Rows(
            record(
                manifest=Bytes(0, 2**20),
                h3=HASH,
                certificate=Bytes(0, 2**20),
                result=Bytes(0, 2**20),
            ),
            64,
        )
    ),
}


@dataclass(frozen=True)
class Header:
    """A row of the tables in 3.7 and 8.

    Attributes:
        to_all: the receiver is ``""``.
        transcript: what h is: sid, h1, h2, h3, hc, nonce_S or 32 zero bytes.
        base: bytes that a body may have for no member.
        per_member: bytes more for each member.
    """

    to_all: bool
    transcript: str
    base: int
    per_member: int = 0


HEADERS: dict[str, Header] = {
    "Manifest": Header(True, "sid", 32768, 128),
    "AdvertiseKeys": Header(False, "sid", 192),
    "KeyList": Header(True, "sid", 16, 272),
    "Coin": Header(False, "h1", 64),
    "CoinList": Header(True, "h1", 16, 40),
    "ShareKeys": Header(False, "h1", 16, 384),
    "DealtShares": Header(False, "h1", 16, 448),
    "ShareAck": Header(False, "h1", 16, 1),
    "DealerList": Header(True, "h1", 16, 72),
    "MaskedInput": Header(False, "h2", 64),
    "InputList": Header(True, "h2", 16, 176),
    "Consistency": Header(False, "h3", 64),
    "Certificate": Header(True, "h3", 16, 144),
    "Unmasking": Header(False, "h3", 16, 40),
    "Result": Header(True, "h3", 65536, 80),
    "Abort": Header(True, "sid", 1024, 72),
    "Refusal": Header(False, "sid", 1024),
    "Challenge": Header(True, "zero", 128),
    "Hello": Header(False, "nonce_S", 256),
    "Welcome": Header(False, "hc", 128),
    "Rosters": Header(False, "hc", 2**21),
    "RoundOpen": Header(False, "hc", 256),
    "Ready": Header(False, "hc", 256),
    "Declined": Header(False, "hc", 1024),
    "Missed": Header(False, "hc", 1024),
    "Fetch": Header(False, "hc", 64),
    "Catchup": Header(False, "hc", 128),
    "History": Header(False, "hc", 8 * 2**20, 2**16),
}


def body_limit(kind: str, members: int) -> int:
    """The most bytes a body may have (rule 3.3-1)."""
    return HEADERS[kind].base + HEADERS[kind].per_member * members


def encode_body(kind: str, body: Body) -> bytes:
    """The canonical array of the fields; nested rows are lists already."""
    return pack([body[name] for name, _ in FIELDS[kind].fields])


def decode_body(kind: str, data: bytes, members: int) -> Body:
    """Decode and check a body (rules 3.3-1 to 3.3-6)."""
    value = unpack(data, body_limit(kind, members))
    FIELDS[kind].check(value)
    names = [name for name, _ in FIELDS[kind].fields]
    body = dict(zip(names, value, strict=True))
    if kind == "Result":
        _check_vector_fields(body)
    return body


def _check_vector_fields(body: Body) -> None:
    """Hash, size and width are given when released, and nil when not (spec 4.8)."""
    released = body["status"] == "released"
    given = [body[f"vector_{part}"] is not None for part in ("hash", "size", "width")]
    whole = given == [released] * 3 and body["vector_width"] in {None, 4, 8}
    require("3.3-6", whole, "vector hash, size and width do not go with the status")
