"""What the aggregator must refuse of members' messages, and when it must give up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from protocol_spec.model import aead
from protocol_spec.model.bad_to_client import top_bit
from protocol_spec.model.cohort import Cohort, Tamper
from protocol_spec.model.encoding import pack
from protocol_spec.model.envelope import decode_envelope
from protocol_spec.model.field import Q
from protocol_spec.model.keys import share_ad
from protocol_spec.model.messages import Body, decode_body, encode_body
from protocol_spec.model.sessions import resealed
from protocol_spec.model.setting import AGGREGATOR, OUTSIDER
from protocol_spec.model.shamir import scalar_bytes
from protocol_spec.model.sharing import sealed_row
from protocol_spec.model.twins import Twin, by_member, received
from protocol_spec.model.x25519 import LOW_ORDER, P, public_key

SENDER = "h02"
OTHER = b"\x07" * 32


def twins(cohort: Cohort) -> Iterator[Twin]:
    """Every twin of the aggregator in the honest session of `cohort`."""
    for name, rule, kind, change in (*_adverts(cohort), *_later(cohort)):
        body = {**honest_body(cohort, kind, SENDER), **change}
        key = f"{kind}/{SENDER}"
        data = by_member(cohort, SENDER, key, kind, body)
        yield received(name, rule, AGGREGATOR, key, data, SENDER)
    yield from _envelopes(cohort)
    yield from _encodings(cohort)
    yield from _turns(cohort)


def honest_body(cohort: Cohort, kind: str, who: str) -> Body:
    """What `who` sent in the honest session."""
    envelope = decode_envelope(honest_envelope(cohort, kind, who), cohort.n)
    return decode_body(kind, envelope.body, cohort.n)


def honest_envelope(cohort: Cohort, kind: str, who: str) -> bytes:
    """The envelope that `who` sent in the honest session."""
    party = cohort.parties[AGGREGATOR]
    data: bytes = party.operations[party.snapshots[f"{kind}/{who}"][1]][1]["envelope"]
    return data


Row = tuple[str, str, str, Body]


def _adverts(cohort: Cohort) -> list[Row]:
    """Rules 3.2-1 to 3.2-5."""
    kind = "AdvertiseKeys"
    mine, other = honest_body(cohort, kind, SENDER), honest_body(cohort, kind, "h01")
    low = LOW_ORDER[3].to_bytes(32, "little")
    large = (P + 9).to_bytes(32, "little")
    return [
        ("advertise_keys_bad_top_bit", "3.2-1", kind, {"s_pk": top_bit(mine["s_pk"])}),
        ("advertise_keys_bad_not_reduced", "3.2-2", kind, {"c_pk": large}),
        ("advertise_keys_bad_low_order", "3.2-3", kind, {"s_pk": low}),
        ("advertise_keys_bad_zero", "3.2-3", kind, {"c_pk": bytes(32)}),
        ("advertise_keys_bad_repeated", "3.2-5", kind, {"s_pk": other["c_pk"]}),
        ("advertise_keys_bad_coin", "4.2-5", kind, {"coin_commitment": OTHER}),
    ]


def _later(cohort: Cohort) -> list[Row]:
    """Rules 4.3-1 to 4.7-2."""
    dealt = honest_body(cohort, "ShareKeys", SENDER)["entries"]
    own_sealed = [list(row) for row in dealt]
    own_sealed[1][0] = dealt[0][0]
    nil = [list(row) for row in dealt]
    nil[3][0] = None
    shares = honest_body(cohort, "Unmasking", SENDER)["shares"]
    held = cohort.parties[SENDER].snapshots["Certificate"][0].held
    other_kind = [held.s["h01"], *shares[1:]]
    wrong = [scalar_bytes(int.from_bytes(shares[0], "little") ^ 1), *shares[1:]]
    large = [scalar_bytes(Q), *shares[1:]]
    return [
        ("share_keys_bad_short", "4.3-1", "ShareKeys", {"entries": dealt[:3]}),
        ("share_keys_bad_own_sealed", "4.3-1", "ShareKeys", {"entries": own_sealed}),
        ("share_keys_bad_nil", "4.3-1", "ShareKeys", {"entries": nil}),
        ("share_ack_bad_length", "4.4-1", "ShareAck", {"bitmap": b"\x0f\x00"}),
        ("share_ack_bad_behind", "4.4-1", "ShareAck", {"bitmap": b"\x1f"}),
        ("masked_input_bad_root", "4.5-1", "MaskedInput", {"root": OTHER}),
        ("consistency_bad_h3", "4.6-1", "Consistency", {"h3": OTHER}),
        ("unmasking_bad_count", "4.7-1", "Unmasking", {"shares": [*shares, None]}),
        ("unmasking_bad_not_below_q", "4.7-1", "Unmasking", {"shares": large}),
        ("unmasking_bad_share", "4.7-2", "Unmasking", {"shares": wrong}),
        ("unmasking_bad_kind", "4.7-2", "Unmasking", {"shares": other_kind}),
    ]


def _envelopes(cohort: Cohort) -> Iterator[Twin]:
    """Rules 3.4-2 to 3.4-5, 3.4-8."""
    kind, key = "ShareKeys", f"ShareKeys/{SENDER}"
    body = honest_body(cohort, kind, SENDER)

    def twin(name: str, rule: str, peer: str = SENDER, **changes: Any) -> Twin:
        data = by_member(cohort, SENDER, key, kind, body, **changes)
        return received(f"share_keys_bad_{name}", rule, AGGREGATOR, key, data, peer)

    yield twin("version", "3.4-2", version=2)
    yield twin("type", "3.4-2", type="SharedKeys")
    yield twin("signature", "3.4-3", h=cohort.server.sid)
    yield twin("connection", "3.4-4", peer="h03")
    yield twin("receiver", "3.4-5", receiver="h03")
    yield twin("receiver_all", "3.4-5", receiver="")
    yield twin("sid", "8-6", sid=OTHER)
    key = f"AdvertiseKeys/{SENDER}"
    advert: Body = {"c_pk": public_key(OTHER), "s_pk": public_key(b"\x09" * 32)}
    advert |= {"b_commitment": OTHER, "coin_commitment": None}
    data = by_member(cohort, OUTSIDER, key, "AdvertiseKeys", advert)
    name = "advertise_keys_bad_stranger"
    given = {"peer": OUTSIDER, "envelope": data}
    yield Twin(name, "3.4-8", AGGREGATOR, key, "received", given, bites_alone=False)


def _encodings(cohort: Cohort) -> Iterator[Twin]:
    """Rules 3.3-1 to 3.3-6 on bodies."""
    kind = "AdvertiseKeys"
    honest = honest_body(cohort, kind, SENDER)
    good = encode_body(kind, honest)
    bad = {
        "trailing": ("3.3-2", good + b"\xc0"),
        "cut_off": ("3.3-2", good[:-1]),
        "map": ("3.3-3", b"\x80"),
        "not_shortest": ("3.3-4", good[:1] + b"\xc5\x00\x20" + good[3:]),
        "fields": ("3.3-6", pack([*honest.values(), 0])),
        "size": ("3.3-6", pack([honest["c_pk"], honest["s_pk"], bytes(31), None])),
    }
    key = f"{kind}/{SENDER}"
    for name, (rule, body) in bad.items():
        data = by_member(cohort, SENDER, key, kind, body)
        file = f"advertise_keys_bad_{name}"
        yield received(file, rule, AGGREGATOR, key, data, SENDER)
    key = f"ShareAck/{SENDER}"
    data = by_member(cohort, SENDER, key, "ShareAck", {"bitmap": bytes(100)})
    yield received("share_ack_bad_too_long", "3.3-1", AGGREGATOR, key, data, SENDER)


def _turns(cohort: Cohort) -> Iterator[Twin]:
    """Rules 3.4-6 to 3.4-8."""
    before = f"ShareKeys/{SENDER}"
    early = by_member(cohort, SENDER, before, "ShareAck", {"bitmap": b"\x02"})
    name = "share_ack_bad_early"
    yield received(name, "3.4-6", AGGREGATOR, before, early, SENDER)
    dealers = {"dealers": ["h01", "h02", "h03"]}
    data = by_member(cohort, SENDER, before, "DealerList", dealers)
    name = "dealer_list_bad_from_member"
    yield received(name, "3.4-6", AGGREGATOR, before, data, SENDER)
    advert = honest_body(cohort, "AdvertiseKeys", "h01")
    before = f"AdvertiseKeys/{SENDER}"
    second = {**advert, "c_pk": public_key(b"\x08" * 32), "s_pk": public_key(OTHER)}
    data = by_member(cohort, "h01", before, "AdvertiseKeys", second)
    name = "advertise_keys_bad_second"
    yield received(name, "3.4-7", AGGREGATOR, before, data, "h01")
    good = honest_envelope(cohort, "AdvertiseKeys", "h03")
    bad = by_member(cohort, "h03", before, "AdvertiseKeys", advert, h=OTHER)
    also = (("received", {"peer": "h03", "envelope": bad}),)
    given = {"peer": "h03", "envelope": good}
    name = "advertise_keys_bad_dropped"
    yield Twin(
        name, "3.4-8", AGGREGATOR, before, "received", given, also, bites_alone=False
    )


# --- sessions that end in an Abort -------------------------------------------

FLOORS = {
    "advertise_keys": "4.2-4",
    "share_keys": "4.3-7",
    "share_ack": "4.4-3",
    "masked_input": "4.5-5",
    "consistency": "4.6-4",
    "unmasking": "4.7-3",
}


def aborts() -> Iterator[tuple[Cohort, Twin]]:
    """One member more than d silent at each round; dealers of wrong secrets."""
    for phase, rule in FLOORS.items():
        silent = {"h03": phase, "h04": phase}
        name = f"{phase}_bad_too_few"
        cohort = Cohort(name, 4, 1, silent=silent, snap=True).run()
        yield cohort, last(cohort, name, rule)
    for name, tamper, silent in (
        ("unmasking_bad_self_seed", _deal_other("b_u"), {}),
        ("unmasking_bad_mask_key", _deal_other("s_sk"), {"h04": "masked_input"}),
        ("unmasking_bad_polynomial", _bend, {}),
    ):
        corrupt = {"h04": tamper}
        cohort = Cohort(name, 4, 1, corrupt=corrupt, silent=silent, snap=True).run()
        yield cohort, last(cohort, name, "4.7-4")
    cohort = Cohort("not_dealt", 4, 1, silent={"h04": "share_keys"}, snap=True).run()
    key = "ShareAck/h01"
    data = by_member(cohort, "h01", key, "ShareAck", {"bitmap": b"\x0f"})
    name = "share_ack_bad_not_dealt"
    yield cohort, received(name, "4.4-1", AGGREGATOR, key, data, "h01")


def last(cohort: Cohort, name: str, rule: str) -> Twin:
    """The event at which the aggregator gives up."""
    event, given, _ = cohort.parties[AGGREGATOR].operations[-1]
    # Without 4.4-3 an empty U2 would end the next phase at once, by 4.5-5.
    bites = rule != "4.4-3"
    return Twin(name, rule, AGGREGATOR, "last", event, given, bites_alone=bites)


def _deal_other(secret: str) -> Tamper:
    """A dealer that shares another secret than the one it stands by."""

    def tamper(cohort: Cohort, v: str, data: bytes) -> bytes:
        secrets = cohort.parties[v].machine.secrets
        if decode_envelope(data, cohort.n).type == "AdvertiseKeys":
            setattr(secrets, secret, getattr(secrets, secret) ^ 8)
        return data

    return tamper


def _bend(cohort: Cohort, v: str, data: bytes) -> bytes:
    """A dealer that deals h01 a share beside the polynomial, and commits to it."""
    envelope = decode_envelope(data, cohort.n)
    if envelope.type != "ShareKeys":
        return data
    machine = cohort.parties[v].machine
    body = decode_body("ShareKeys", envelope.body, cohort.n)
    channel = machine.book.channel(machine.secrets.c_sk, v, v, "h01")
    row = body["entries"][0]
    plaintext = _opened(machine, channel, v, row)
    head, share_b, share_s = plaintext[:-64], plaintext[-64:-32], plaintext[-32:]
    bent = scalar_bytes((int.from_bytes(share_b, "little") + 1) % Q)
    sealed = (machine.book, channel, row[0][:12], v, "h01", head, bent, share_s)
    body["entries"][0] = sealed_row(*sealed)
    return resealed(envelope, body, machine.book.h1)


def _opened(machine: Any, channel: bytes, dealer: str, row: list[bytes]) -> bytes:
    args = (machine.sid, dealer, "h01", machine.book.h1, row[1], row[2])
    return aead.open_sealed(channel, row[0], share_ad(*args))
