"""What a client must refuse of a session's messages (spec 3, 4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from protocol_spec.model import aead, ed25519
from protocol_spec.model.checks import Standing
from protocol_spec.model.cohort import Cohort
from protocol_spec.model.encoding import real
from protocol_spec.model.envelope import decode_envelope, signing_input
from protocol_spec.model.field import Q
from protocol_spec.model.keys import com_b, com_s, share_ad, share_head
from protocol_spec.model.messages import ADVERT, HEADERS, Body, decode_body, encode_body
from protocol_spec.model.setting import AGGREGATOR, OTHER_AGGREGATOR, OUTSIDER, identity
from protocol_spec.model.shamir import scalar_bytes
from protocol_spec.model.sharing import sealed_row
from protocol_spec.model.twins import Twin, by_aggregator, received
from protocol_spec.model.x25519 import LOW_ORDER, P, public_key

VICTIM = "h01"
Change = Callable[[Cohort, Body], None]


def twins(cohort: Cohort) -> Iterator[Twin]:
    """Every twin of the client in the session of `cohort`."""
    for name, rule, kind, change in BODIES:
        body = honest_body(cohort, kind)
        change(cohort, body)
        data = by_aggregator(cohort, VICTIM, kind, kind, body)
        yield received(name, rule, VICTIM, kind, data)
    yield from _envelopes(cohort)
    yield from _encodings(cohort)
    yield from _turns(cohort)
    yield from _apart(cohort)


def honest_body(cohort: Cohort, kind: str) -> Body:
    """The body that the victim got in the honest session."""
    data = honest_envelope(cohort, kind)
    return decode_body(kind, decode_envelope(data, cohort.n).body, cohort.n)


def honest_envelope(cohort: Cohort, kind: str) -> bytes:
    """The envelope that the victim got in the honest session."""
    party = cohort.parties[VICTIM]
    data: bytes = party.operations[party.snapshots[kind][1]][1]["envelope"]
    return data


# --- changes of a body ------------------------------------------------------


def _swap(name: str) -> Change:
    """Exchange the last two rows."""

    def change(cohort: Cohort, body: Body) -> None:
        del cohort
        rows = body[name]
        rows[-2], rows[-1] = rows[-1], rows[-2]

    return change


def _twice(name: str) -> Change:
    """Repeat the last row."""

    def change(cohort: Cohort, body: Body) -> None:
        del cohort
        body[name].append(body[name][-1])

    return change


def _first(name: str, count: int) -> Change:
    """Keep the first rows, the victim's among them."""

    def change(cohort: Cohort, body: Body) -> None:
        del cohort
        body[name] = body[name][:count]

    return change


def _put(name: str, value: Any) -> Change:
    """Set a field."""

    def change(cohort: Cohort, body: Body) -> None:
        del cohort
        body[name] = value

    return change


def quote(
    cohort: Cohort, who: str, kind: str, body: Body, h: bytes | None = None
) -> bytes:
    """The signature of `who` on a message that a list quotes."""
    server = cohort.server
    h = h or server.transcripts[HEADERS[kind].transcript]
    encoded = encode_body(kind, body)
    signed = signing_input(kind, server.sid, who, AGGREGATOR, h, encoded)
    return ed25519.sign(identity(who), signed)


def _keys_of(place: int, keys: list[bytes | None]) -> Change:
    """Other keys for one member, signed by it; None leaves a key."""

    def change(cohort: Cohort, body: Body) -> None:
        row = body["entries"][place]
        both = [new or old for new, old in zip(keys, row[1:3], strict=True)]
        body["entries"][place] = signed_anew(cohort, [row[0], *both, *row[3:]])

    return change


def signed_anew(cohort: Cohort, row: list[Any]) -> list[Any]:
    """An entry of the KeyList under its member's signature on what it says now."""
    advert = dict(zip(ADVERT, row[1:-1], strict=True))
    return [*row[:-1], quote(cohort, row[0], "AdvertiseKeys", advert)]


def top_bit(key: bytes) -> bytes:
    """The same key with its top bit set."""
    return key[:31] + bytes([key[31] | 0x80])


def _top_bit(cohort: Cohort, body: Body) -> None:
    _keys_of(2, [top_bit(body["entries"][2][1]), None])(cohort, body)


def _same_keys(cohort: Cohort, body: Body) -> None:
    _keys_of(2, [body["entries"][1][2], None])(cohort, body)


def _swapped_key(cohort: Cohort, body: Body) -> None:
    """The aggregator's key in place of a member's."""
    del cohort
    body["entries"][2][1] = public_key(b"\x09" * 32)


def _own_keys(cohort: Cohort, body: Body) -> None:
    """Another commitment for the client, as if a second process had signed it."""
    row = body["entries"][0]
    row[3] = b"\x07" * 32
    body["entries"][0] = signed_anew(cohort, row)


def _coin_commitment(cohort: Cohort, body: Body) -> None:
    """A commitment to a coin that this graph does not ask for."""
    row = body["entries"][2]
    row[4] = b"\x07" * 32
    body["entries"][2] = signed_anew(cohort, row)


def _with_outsider(cohort: Cohort, body: Body) -> None:
    row = [OUTSIDER, b"\x05" * 32, b"\x06" * 32, bytes(32), None, b""]
    body["entries"].append(signed_anew(cohort, row))


def _without_own(cohort: Cohort, body: Body) -> None:
    del cohort
    body["entries"] = body["entries"][1:]


def _own_among_dealers(cohort: Cohort, body: Body) -> None:
    del cohort
    body["entries"].insert(0, [VICTIM, *body["entries"][0][1:]])


def _dealer_list_stranger(cohort: Cohort, body: Body) -> None:
    del cohort
    body["dealers"].append(OUTSIDER)


def _root_under_h1(cohort: Cohort, body: Body) -> None:
    """A statement that was signed, but under another transcript."""
    row = body["entries"][2]
    h1 = cohort.server.transcripts["h1"]
    row[2] = quote(cohort, row[0], "MaskedInput", {"root": row[1]}, h1)


def _root_unsigned(cohort: Cohort, body: Body) -> None:
    """Another root for a member than the one it signed."""
    del cohort
    body["entries"][2][1] = b"\x07" * 32


def _own_root(cohort: Cohort, body: Body) -> None:
    """Another root for the client, as if a second process had signed it."""
    row = body["entries"][0]
    row[1] = b"\x07" * 32
    row[2] = quote(cohort, VICTIM, "MaskedInput", {"root": row[1]})


def _input_stranger(cohort: Cohort, body: Body) -> None:
    signature = quote(cohort, OUTSIDER, "MaskedInput", {"root": bytes(32)})
    body["entries"].append([OUTSIDER, bytes(32), signature])


def _vote_elsewhere(cohort: Cohort, body: Body) -> None:
    """A member's vote on another h3: a split view."""
    other = b"\x07" * 32
    row = body["votes"][2]
    row[1] = quote(cohort, row[0], "Consistency", {"h3": other}, other)


def _vote_of_stranger(cohort: Cohort, body: Body) -> None:
    latched = cohort.server.transcripts["h3"]
    body["votes"].append(
        [OUTSIDER, quote(cohort, OUTSIDER, "Consistency", {"h3": latched})]
    )


def _claim_noise(cohort: Cohort, body: Body) -> None:
    del cohort
    body["dp"] = ["discrete-gaussian", real(1.0), "4", "2"]


# --- sealed shares: complaints ----------------------------------------------

DEALER = "h03"


def _redeal(cohort: Cohort, body: Body, x: int | None, add: int) -> None:
    """The dealer seals its shares anew: another place, or other values."""
    dealer = cohort.parties[DEALER].snapshots["DealtShares"][0]
    holder = cohort.parties[VICTIM].snapshots["DealtShares"][0]
    row = next(row for row in body["entries"] if row[0] == DEALER)
    channel = dealer.book.channel(dealer.secrets.c_sk, DEALER, DEALER, VICTIM)
    head = share_head(DEALER, VICTIM, x or holder.x_of[VICTIM])
    share = scalar_bytes(Q + add) if add else row_shares(cohort)[0]
    sealed = (dealer.book, channel, row[1][:12], DEALER, VICTIM, head, share)
    row[1:] = sealed_row(*sealed, row_shares(cohort)[1])


def row_shares(cohort: Cohort) -> tuple[bytes, bytes]:
    """The shares that the dealer dealt the victim."""
    held = cohort.parties[VICTIM].snapshots["DealerList"][0].held
    return held.b[DEALER], held.s[DEALER]


def _wrong_place(cohort: Cohort, body: Body) -> None:
    _redeal(cohort, body, 4, 0)


def _not_below_q(cohort: Cohort, body: Body) -> None:
    _redeal(cohort, body, None, 1)


def _wrong_commitment(cohort: Cohort, body: Body) -> None:
    """Sealed for the commitment of another share."""
    dealer = cohort.parties[DEALER].snapshots["DealtShares"][0]
    row = next(row for row in body["entries"] if row[0] == DEALER)
    channel = dealer.book.channel(dealer.secrets.c_sk, DEALER, DEALER, VICTIM)
    share_b, share_s = row_shares(cohort)
    commits = com_b(dealer.sid, DEALER, VICTIM, share_s), row[3]
    ad = share_ad(dealer.sid, DEALER, VICTIM, dealer.book.h1, *commits)
    head = share_head(DEALER, VICTIM, dealer.x_of[VICTIM])
    plaintext = head + share_b + share_s
    row[1:] = [aead.seal(channel, row[1][:12], plaintext, ad), *commits]


def _wrong_mask_commitment(cohort: Cohort, body: Body) -> None:
    """The same for the share of the mask key."""
    dealer = cohort.parties[DEALER].snapshots["DealtShares"][0]
    row = next(row for row in body["entries"] if row[0] == DEALER)
    channel = dealer.book.channel(dealer.secrets.c_sk, DEALER, DEALER, VICTIM)
    share_b, share_s = row_shares(cohort)
    commits = row[2], com_s(dealer.sid, DEALER, VICTIM, share_b)
    ad = share_ad(dealer.sid, DEALER, VICTIM, dealer.book.h1, *commits)
    head = share_head(DEALER, VICTIM, dealer.x_of[VICTIM])
    plaintext = head + share_b + share_s
    row[1:] = [aead.seal(channel, row[1][:12], plaintext, ad), *commits]


BODIES: tuple[tuple[str, str, str, Change], ...] = (
    ("key_list_bad_top_bit", "3.2-1", "KeyList", _top_bit),
    (
        "key_list_bad_not_reduced",
        "3.2-2",
        "KeyList",
        _keys_of(2, [None, (P + 9).to_bytes(32, "little")]),
    ),
    (
        "key_list_bad_low_order",
        "3.2-3",
        "KeyList",
        _keys_of(2, [LOW_ORDER[2].to_bytes(32, "little"), None]),
    ),
    ("key_list_bad_same_keys", "3.2-5", "KeyList", _same_keys),
    ("key_list_bad_order", "4.2-1", "KeyList", _swap("entries")),
    ("key_list_bad_twice", "4.2-1", "KeyList", _twice("entries")),
    ("key_list_bad_stranger", "4.2-1", "KeyList", _with_outsider),
    ("key_list_bad_swapped_key", "4.2-2", "KeyList", _swapped_key),
    ("key_list_bad_own_keys", "4.2-3", "KeyList", _own_keys),
    ("key_list_bad_without_own", "4.2-3", "KeyList", _without_own),
    ("key_list_bad_too_few", "4.2-4", "KeyList", _first("entries", 2)),
    ("key_list_bad_coin", "4.2-5", "KeyList", _coin_commitment),
    ("dealt_shares_bad_order", "4.3-2", "DealtShares", _swap("entries")),
    ("dealt_shares_bad_own", "4.3-2", "DealtShares", _own_among_dealers),
    ("dealt_shares_bad_place", "4.3-5", "DealtShares", _wrong_place),
    ("dealt_shares_bad_not_below_q", "4.3-5", "DealtShares", _not_below_q),
    ("dealt_shares_bad_commitment_b", "4.3-6", "DealtShares", _wrong_commitment),
    ("dealt_shares_bad_commitment_s", "4.3-6", "DealtShares", _wrong_mask_commitment),
    ("dealer_list_bad_order", "4.4-2", "DealerList", _swap("dealers")),
    ("dealer_list_bad_stranger", "4.4-2", "DealerList", _dealer_list_stranger),
    ("dealer_list_bad_too_few", "4.4-3", "DealerList", _first("dealers", 2)),
    ("input_list_bad_order", "4.5-2", "InputList", _swap("entries")),
    ("input_list_bad_stranger", "4.5-2", "InputList", _input_stranger),
    ("input_list_bad_transcript", "4.5-3", "InputList", _root_under_h1),
    ("input_list_bad_statement", "4.5-3", "InputList", _root_unsigned),
    ("input_list_bad_own_root", "4.5-4", "InputList", _own_root),
    ("input_list_bad_too_few", "4.5-5", "InputList", _first("entries", 2)),
    ("certificate_bad_order", "4.6-2", "Certificate", _swap("votes")),
    ("certificate_bad_twice", "4.6-2", "Certificate", _twice("votes")),
    ("certificate_bad_stranger", "4.6-2", "Certificate", _vote_of_stranger),
    ("certificate_bad_vote", "4.6-3", "Certificate", _vote_elsewhere),
    ("certificate_bad_too_few", "4.6-4", "Certificate", _first("votes", 2)),
    ("result_bad_other_u3", "4.8-1", "Result", _first("u3", 3)),
    ("result_bad_size", "4.8-2", "Result", _put("vector_size", 156)),
    ("result_bad_noise", "4.8-3", "Result", _claim_noise),
    ("result_bad_extras", "4.8-5", "Result", _put("extras", [["weight", 7]])),
    ("result_bad_infinity", "3.3-5", "Result", _put("epsilon", real(float("inf")))),
    ("result_bad_minus_zero", "3.3-5", "Result", _put("epsilon", real(-0.0))),
    ("result_bad_nan", "3.3-5", "Result", _put("epsilon", real(float("nan")))),
    ("result_bad_status", "3.3-6", "Result", _put("status", "partial")),
)


# --- envelopes, encodings, turns --------------------------------------------


def _envelopes(cohort: Cohort) -> Iterator[Twin]:
    """Rules 3.4-2 to 3.4-5."""
    kind = "DealerList"
    body = honest_body(cohort, kind)

    def twin(name: str, rule: str, peer: str = AGGREGATOR, **changes: Any) -> Twin:
        data = by_aggregator(cohort, VICTIM, kind, kind, body, **changes)
        return received(f"dealer_list_bad_{name}", rule, VICTIM, kind, data, peer)

    yield twin("version", "3.4-2", version=2)
    yield twin("type", "3.4-2", type="DealersList")
    yield twin("signature", "3.4-3", h=cohort.server.transcripts["h2"])
    yield twin("connection", "3.4-4", OTHER_AGGREGATOR, sender=OTHER_AGGREGATOR)
    yield twin("receiver", "3.4-5", receiver="h02")
    yield twin("sid", "8-6", sid=b"\x07" * 32)
    sealed = by_aggregator(cohort, VICTIM, kind, kind, body, sender=OTHER_AGGREGATOR)
    given = {"peer": AGGREGATOR, "envelope": sealed}
    name = "dealer_list_bad_sender"
    yield Twin(name, "3.4-4", VICTIM, kind, "received", given, bites_alone=False)
    dealt = honest_body(cohort, "DealtShares")
    data = by_aggregator(
        cohort, VICTIM, "DealtShares", "DealtShares", dealt, receiver="h02"
    )
    name = "dealt_shares_bad_receiver"
    yield received(name, "3.4-5", VICTIM, "DealtShares", data)
    spoilt = honest_body(cohort, "DealtShares")
    row = next(row for row in spoilt["entries"] if row[0] == DEALER)
    row[1] = row[1][:-1] + bytes([row[1][-1] ^ 1])
    data = by_aggregator(cohort, VICTIM, "DealtShares", "DealtShares", spoilt)
    given = {"peer": AGGREGATOR, "envelope": data}
    name = "dealt_shares_bad_seal"
    yield Twin(
        name, "4.3-4", VICTIM, "DealtShares", "received", given, bites_alone=False
    )


def _encodings(cohort: Cohort) -> Iterator[Twin]:
    """Rules 3.3-1 to 3.3-6 on bodies."""
    kind = "DealerList"
    good = encode_body(kind, honest_body(cohort, kind))
    long_ids = [f"{'a' * 61}{index:03}" for index in range(30)]
    abort = {"rule": "4.4-3", "detail": "", "missing": long_ids}
    longer = encode_body("Abort", abort)
    data = by_aggregator(cohort, VICTIM, kind, "Abort", longer)
    yield received("abort_bad_too_long", "3.3-1", VICTIM, kind, data)
    bad = {
        "trailing": ("3.3-2", good + b"\xc0"),
        "cut_off": ("3.3-2", good[:-1]),
        "nesting": ("3.3-2", b"\x91" * 9 + b"\x90"),
        "map": ("3.3-3", b"\x81\xa1d\x90"),
        "boolean": ("3.3-3", b"\x91\xc3"),
        "float": ("3.3-3", b"\x91\xca\x00\x00\x00\x00"),
        "extension": ("3.3-3", b"\x91\xd4\x01\x00"),
        "text": ("3.3-3", b"\x91\x91\xa3h\xc3\xa9"),
        "not_shortest": ("3.3-4", b"\x91\xdc\x00\x04" + good[2:]),
        "fields": ("3.3-6", b"\x92" + good[1:] + b"\xc0"),
    }
    for name, (rule, body) in bad.items():
        data = by_aggregator(cohort, VICTIM, kind, kind, body)
        yield received(f"dealer_list_bad_{name}", rule, VICTIM, kind, data)


def _apart(cohort: Cohort) -> Iterator[Twin]:
    """Rule 4.5-8: the honest InputList, beside a sum over one member less."""
    earlier = [v for v in cohort.members if v != "h04"]
    data = honest_envelope(cohort, "InputList")
    given = {"peer": AGGREGATOR, "envelope": data}
    model = honest_body(cohort, "Manifest")["model_hash"]
    standing = Standing(min_difference=2, sums=[(earlier, model, False)])
    args = ("input_list_bad_difference", "4.5-8", VICTIM, "InputList", "received")
    yield Twin(*args, given, standing=standing)


def _turns(cohort: Cohort) -> Iterator[Twin]:
    """Rules 3.4-6 and 3.4-7."""
    early = honest_envelope(cohort, "InputList")
    name = "input_list_bad_early"
    yield received(name, "3.4-6", VICTIM, "DealtShares", early)
    early = honest_envelope(cohort, "DealerList")
    name = "dealer_list_bad_early"
    given = {"peer": AGGREGATOR, "envelope": early}
    # What follows needs what was left out: no implementation can go on.
    before = "DealtShares"
    yield Twin(name, "3.4-6", VICTIM, before, "received", given, bites_alone=False)
    body = honest_body(cohort, "KeyList")
    body["entries"] = body["entries"][:3]
    data = by_aggregator(cohort, VICTIM, "DealtShares", "KeyList", body)
    name = "key_list_bad_second"
    yield received(name, "3.4-7", VICTIM, "DealtShares", data)
