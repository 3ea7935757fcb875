"""Messages to bytes and back, with every limit (spec 3.3, 3.4, 3.7).

A shape says what a field may be: `Blob(32)`, `Number(0, 3)`, `Rows(...)`. One table,
`BODIES`, gives the shape of every message; encoding, decoding and the comparison with
the JSON Schema walk it. Nothing is decoded past its length limit, and nothing that is
not canonical is accepted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from secagg import errors
from secagg import messages as msg
from secagg.crypto import canonical
from secagg.names import PEER_ID, PeerId
from secagg.roster import MAX_BODY
from secagg.shapes import (
    Blob,
    Decimal,
    Flag,
    Maybe,
    Number,
    Pair,
    Real,
    Rows,
    Shape,
    Word,
    columns_of,
    need,
    record,
)

RULE_TEXT = re.compile(r"[0-9.-]{1,16}")
PRINTABLE = re.compile(r"[ -~]*")
VERSION = 1
MAX_ENVELOPE_OVERHEAD = 512
MAX_DETAIL = 512


@dataclass(frozen=True, slots=True)
class SignedKeysShape(Shape):
    """[u, c_pk, s_pk, B_u, C_u, signature]: an advert, flat (spec 3.7)."""

    def pack(self, value: msg.SignedKeys) -> list[Any]:
        """Flatten the advert."""
        return [value.peer, *_ADVERT.pack(value.keys), value.signature]

    def pack_all(self, values: Sequence[msg.SignedKeys]) -> Sequence[list[Any]]:
        """Flatten the adverts."""
        adverts = _ADVERT.pack_all([value.keys for value in values])
        return [
            [value.peer, *advert, value.signature]
            for value, advert in zip(values, adverts, strict=True)
        ]

    def unpack(self, raw: Any) -> msg.SignedKeys:
        """Check and rebuild the advert."""
        need(isinstance(raw, list | tuple) and len(raw) == 6, "six fields are due")
        return msg.SignedKeys(
            peer=PeerId(PEER.unpack(raw[0])),
            keys=_ADVERT.unpack(raw[1:5]),
            signature=SIGNATURE.unpack(raw[5]),
        )

    def unpack_all(self, raws: Sequence[Any]) -> Sequence[msg.SignedKeys]:
        """Check and rebuild the adverts, column by column."""
        columns = columns_of(raws, 6)
        if columns is None:
            return Shape.unpack_all(self, raws)
        peers, signatures = (
            PEER.unpack_all(columns[0]),
            SIGNATURE.unpack_all(columns[5]),
        )
        adverts = _ADVERT.unpack_all([*zip(*columns[1:5], strict=True)])
        rows = zip(peers, adverts, signatures, strict=True)
        return [
            msg.SignedKeys(peer=PeerId(peer), keys=keys, signature=signature)
            for peer, keys, signature in rows
        ]


@dataclass(frozen=True, slots=True)
class ResultShape(Shape):
    """Result with its vector's three fields in place (spec 4.8)."""

    def pack(self, value: msg.Result) -> list[Any]:
        """Flatten the blob reference."""
        fields = _RESULT.pack(value)
        blob = value.vector
        flat = [None] * 3 if blob is None else [blob.hash, blob.size, blob.width]
        return [*fields[:5], *flat, *fields[5:]]

    def unpack(self, raw: Any) -> msg.Result:
        """Check and rebuild the blob reference."""
        need(isinstance(raw, list | tuple) and len(raw) == 10, "ten fields are due")
        flat = raw[5:8]
        given = [item is not None for item in flat]
        need(all(given) or not any(given), "vector hash, size and width go together")
        vector = _BLOB_REF.unpack(flat) if all(given) else None
        need(vector is None or vector.width in {4, 8}, "a width is 4 or 8")
        partial: msg.Result = _RESULT.unpack([*raw[:5], *raw[8:]])
        need(
            (partial.status == "released") == (vector is not None),
            "a released result carries a vector, a discarded one none",
        )
        return msg.Result(
            status=partial.status,
            u3=partial.u3,
            verdicts=partial.verdicts,
            dp=partial.dp,
            extras=partial.extras,
            vector=vector,
            next_model_hash=partial.next_model_hash,
            epsilon=partial.epsilon,
        )


def _result_without_vector(**fields: Any) -> msg.Result:
    return msg.Result(vector=None, **fields)


HASH = Blob(32)
SIGNATURE = Blob(64)
PEER = Word(PEER_ID)
SMALL = Number(0, 1 << 31)
WIDE = Number(0, 1 << 62)
_NAME = Word(re.compile(r"[a-z0-9_-]{1,32}"), 32)
_DETAIL = Word(PRINTABLE, MAX_DETAIL)
_LOW_HIGH = Number(-(1 << 62), 1 << 62)
_ADVERT = record(
    msg.AdvertiseKeys,
    c_pk=HASH,
    s_pk=HASH,
    b_commitment=HASH,
    coin_commitment=Maybe(HASH),
)
_BLOB_REF = record(msg.BlobRef, hash=HASH, size=WIDE, width=Number(4, 8))
_EXTRA = record(msg.Extra, name=_NAME, low=_LOW_HIGH, high=_LOW_HIGH)
_NOISE_TERMS = record(
    msg.NoiseTerms,
    mechanism=_NAME,
    noise_multiplier=Real(),
    adjacency=_NAME,
    delta=Real(),
)
_NOISE_RECORD = record(
    msg.NoiseRecord,
    mechanism=_NAME,
    noise_multiplier=Real(),
    sigma_squared=Decimal(),
    sensitivity_squared=Decimal(),
)
_VERDICT = record(msg.CheckVerdict, check=_NAME, passed=Flag(), detail=_DETAIL)
_RESULT = record(
    _result_without_vector,
    status=Word(re.compile("released|discarded")),
    u3=Rows(PEER),
    verdicts=Rows(_VERDICT, 64),
    dp=Maybe(_NOISE_RECORD),
    extras=Rows(Pair(_NAME, Number(-(1 << 63), (1 << 64) - 1)), 66),
    next_model_hash=Maybe(HASH),
    epsilon=Maybe(Real()),
)

BODIES: dict[type[msg.Message], Shape] = {
    msg.Manifest: record(
        msg.Manifest,
        task_id=PEER,
        round_no=Number(1, 1 << 31),
        attempt=Number(0, 255),
        aggregator=PEER,
        roster_hash=HASH,
        members=Rows(record(msg.Member, peer=PEER, ready_nonce=HASH)),
        corruption_bound=SMALL,
        length=WIDE,
        extras=Rows(_EXTRA, 256),
        bits=SMALL,
        clip=Real(),
        ranges=Rows(Pair(WIDE, Real()), 2048),
        weighting=_NAME,
        max_weight=WIDE,
        rotation=Maybe(HASH),
        graph=_NAME,
        losses=Maybe(SMALL),
        keystream=_NAME,
        chunk_log2=Number(0, 255),
        dp=Maybe(_NOISE_TERMS),
        model_hash=HASH,
        previous_link=HASH,
        durations=Rows(WIDE, 32),
    ),
    msg.AdvertiseKeys: _ADVERT,
    msg.KeyList: record(msg.KeyList, entries=Rows(SignedKeysShape())),
    msg.Coin: record(msg.Coin, coin=HASH),
    msg.CoinList: record(msg.CoinList, coins=Rows(HASH)),
    msg.ShareKeys: record(
        msg.ShareKeys,
        entries=Rows(
            record(
                msg.DealtEntry, sealed=Maybe(Blob(limit=300)), com_b=HASH, com_s=HASH
            )
        ),
    ),
    msg.DealtShares: record(
        msg.DealtShares,
        entries=Rows(
            record(
                msg.DealtShare,
                dealer=PEER,
                sealed=Blob(limit=300),
                com_b=HASH,
                com_s=HASH,
            )
        ),
    ),
    msg.ShareAck: record(msg.ShareAck, bitmap=Blob(limit=512)),
    msg.DealerList: record(msg.DealerList, dealers=Rows(PEER)),
    msg.MaskedInput: record(msg.MaskedInput, root=HASH),
    msg.InputList: record(
        msg.InputList,
        entries=Rows(record(msg.SignedRoot, peer=PEER, root=HASH, signature=SIGNATURE)),
    ),
    msg.Consistency: record(msg.Consistency, h3=HASH),
    msg.Certificate: record(
        msg.Certificate,
        votes=Rows(record(msg.SignedVote, peer=PEER, signature=SIGNATURE)),
    ),
    msg.Unmasking: record(msg.Unmasking, shares=Rows(Maybe(Blob(limit=32)))),
    msg.Result: ResultShape(),
    msg.Abort: record(
        msg.Abort, rule=Word(RULE_TEXT, 16), detail=_DETAIL, missing=Rows(PEER)
    ),
    msg.Refusal: record(msg.Refusal, rule=Word(RULE_TEXT, 16), detail=_DETAIL),
    msg.Challenge: record(
        msg.Challenge, nonce=HASH, roster_version=WIDE, roster_hash=HASH, time_ms=WIDE
    ),
    msg.Hello: record(
        msg.Hello,
        nonce=HASH,
        roster_version=WIDE,
        roster_hash=HASH,
        version=Word(PRINTABLE, 32),
        time_ms=WIDE,
        session=Maybe(HASH),
        transcript=Maybe(HASH),
    ),
    msg.Welcome: record(msg.Welcome, nonce=HASH, next_chunk=Maybe(WIDE)),
    msg.Rosters: record(
        msg.Rosters,
        versions=Rows(
            record(msg.RosterVersion, body=Blob(limit=MAX_BODY), signature=SIGNATURE),
            1024,
        ),
    ),
    msg.RoundOpen: record(
        msg.RoundOpen,
        task_id=PEER,
        round_no=Number(1, 1 << 31),
        model_hash=HASH,
        model_size=WIDE,
        previous_link=HASH,
    ),
    msg.Ready: record(
        msg.Ready,
        task_id=PEER,
        round_no=Number(1, 1 << 31),
        model_hash=HASH,
        ready_nonce=HASH,
    ),
    msg.Declined: record(
        msg.Declined,
        task_id=PEER,
        round_no=Number(1, 1 << 31),
        rule=Word(RULE_TEXT, 16),
        detail=_DETAIL,
    ),
    msg.Missed: record(
        msg.Missed, task_id=PEER, round_no=Number(1, 1 << 31), reason=_DETAIL
    ),
    msg.Fetch: record(msg.Fetch, hash=HASH, offset=WIDE),
    msg.Catchup: record(msg.Catchup, task_id=PEER, head=HASH),
    msg.History: record(
        msg.History,
        rounds=Rows(
            record(
                msg.PastRound,
                manifest=Blob(limit=1 << 20),
                h3=HASH,
                certificate=Blob(limit=1 << 20),
                result=Blob(limit=1 << 20),
            ),
            64,
        ),
    ),
}
TYPES: dict[str, type[msg.Message]] = {kind.__name__: kind for kind in BODIES}
_ENVELOPE = record(
    dict,
    version=Number(0, 255),
    type=Word(re.compile(r"[A-Za-z]{1,32}"), 32),
    sid=HASH,
    sender=PEER,
    receiver=Word(re.compile(r"[a-z0-9-]{0,64}")),
    body=Blob(limit=64 << 20),
    signature=SIGNATURE,
)


def encode_body(message: msg.Message) -> bytes:
    """Return the canonical body of `message` (spec 3.3)."""
    return canonical.pack(BODIES[type(message)].pack(message))


def body_limit(kind: type[msg.Message], members: int) -> int:
    """Return the most bytes a body of `kind` may have with so many members."""
    header = msg.HEADERS[kind]
    return header.base + header.per_member * members


def decode_body(type_: str, body: bytes, *, members: int) -> msg.Message:
    """Return the message that `body` says.

    Args:
        type_: the envelope's type.
        body: its body.
        members: n of the Manifest; of the roster while that is not known.

    Raises:
        CodecError: rules 3.3-1 to 3.3-6, 3.4-2.
    """
    kind = message_type(type_)
    raw = canonical.unpack(body, body_limit(kind, members))
    message: msg.Message = BODIES[kind].unpack(raw)
    return message


def message_type(type_: str) -> type[msg.Message]:
    """Return the class of a wire type.

    Raises:
        CodecError: rule 3.4-2, the type is not one of the spec's.
    """
    if type_ not in TYPES:
        raise errors.CodecError("3.4-2", f"unknown message type {type_[:32]!r}")
    return TYPES[type_]


def printable(detail: str) -> str:
    """Return `detail` as a message may carry it: printable ASCII, cut to its limit."""
    return "".join(ch if " " <= ch <= "~" else "?" for ch in detail)[:MAX_DETAIL]


def encode_envelope(envelope: msg.Envelope) -> bytes:
    """Return the canonical bytes of an envelope (spec 3.4)."""
    return canonical.pack(
        [
            VERSION,
            envelope.type,
            envelope.sid,
            envelope.sender,
            envelope.receiver,
            envelope.body,
            envelope.signature,
        ]
    )


def decode_envelope(data: bytes, *, members: int) -> msg.Envelope:
    """Return the envelope in `data`; its body is still only bytes.

    Raises:
        CodecError: rules 3.3-1 to 3.3-6, 3.4-2.
    """
    largest = max(body_limit(kind, members) for kind in BODIES)
    raw = canonical.unpack(data, largest + MAX_ENVELOPE_OVERHEAD)
    fields: dict[str, Any] = _ENVELOPE.unpack(raw)
    version, kind = fields.pop("version"), message_type(fields["type"])
    _require("3.4-2", version == VERSION, f"version {version} is not {VERSION}")
    size, limit = len(fields["body"]), body_limit(kind, members)
    _require("3.3-1", size <= limit, f"{kind.__name__} of {size} bytes exceeds {limit}")
    return msg.Envelope(**fields)


def _require(rule: str, condition: bool, detail: str) -> None:
    errors.require(rule, condition, detail, error=errors.CodecError)
