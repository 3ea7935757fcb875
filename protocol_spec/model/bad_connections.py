"""Vectors of rosters and of single messages outside a session (spec 2.1, 8)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from protocol_spec.model.cohort import Cohort
from protocol_spec.model.connection import End
from protocol_spec.model.encoding import unpack
from protocol_spec.model.envelope import LOBBY_SID, seal
from protocol_spec.model.keys import connection
from protocol_spec.model.messages import Body, encode_body
from protocol_spec.model.record import roster_json
from protocol_spec.model.roster import LIMIT, open_roster, roster_body, sign_roster
from protocol_spec.model.setting import (
    AGGREGATOR,
    OTHER_AGGREGATOR,
    identity,
    signed_roster,
)
from protocol_spec.model.twins import judged

NONCE_S, NONCE_U, OTHER = b"\x01" * 32, b"\x02" * 32, b"\x07" * 32
NOW = 1_700_000_000_000
MEMBER = "h01"


# --- rosters ------------------------------------------------------------------


def rosters() -> Iterator[tuple[str, Body]]:
    """Rules 2.1-1 to 2.1-3 and 3.1-1."""
    body, signature, public = signed_roster(4)
    good = open_roster(body, signature, public)
    yield (
        "roster",
        {
            **_roster_file(body, signature, public, "a roster that is in order"),
            "roster_hash": good.hash.hex(),
            "hospitals": good.ids("hospital"),
            "aggregators": good.ids("aggregator"),
        },
    )
    _, _, before, entries = unpack(body, LIMIT)
    cases: dict[str, tuple[str, list[list[Any]]]] = {
        "id": ("2.1-1", [*entries[:-1], ["zeta_1", *entries[-1][1:]]]),
        "id_empty": ("2.1-1", [["", *entries[0][1:]], *entries[1:]]),
        "order": ("2.1-3", [entries[1], entries[0], *entries[2:]]),
        "same_id": ("2.1-3", [entries[0], [entries[0][0], *entries[1][1:]]]),
        "same_key": (
            "2.1-3",
            [entries[0], [*entries[1][:2], entries[0][2], entries[1][3]]],
        ),
        "role": ("2.1-3", [[entries[0][0], "observer", *entries[0][2:]], *entries[1:]]),
        "small_order": ("3.1-1", [[*entries[0][:2], bytes(32), "x"], *entries[1:]]),
    }
    for why, (rule, rows) in cases.items():
        changed = roster_body("example", 1, before, rows)
        sealed = sign_roster(identity("consortium"), changed)
        yield f"roster_bad_{why}", _bad_roster(rule, changed, sealed, public)
    forged = sign_roster(identity(AGGREGATOR), body)
    yield "roster_bad_signature", _bad_roster("2.1-2", body, forged, public)


def _roster_file(body: bytes, signature: bytes, public: bytes, about: str) -> Body:
    parts = {"body": body.hex(), "signature": signature.hex()}
    return {
        "kind": "roster",
        "about": about,
        "roster": {**parts, "consortium_key": public.hex()},
    }


def _bad_roster(rule: str, body: bytes, signature: bytes, public: bytes) -> Body:
    out = _roster_file(body, signature, public, f"rule {rule} refuses the roster")
    run = partial(open_roster, body, signature, public)
    return {**out, "refuse": judged(rule, "c s", run)}


# --- connections ----------------------------------------------------------------


def connections(cohort: Cohort) -> Iterator[tuple[str, Body]]:
    """One message each, good or refused (rules 8-1, 8-2, 8-3, 8-6)."""
    good = _lobby_bodies(cohort)
    for kind, body in good.items():
        data = _lobby(kind, body)
        name = f"connection_{kind.lower()}"
        yield name, _connection_file(cohort, kind, data, None)
    yield from _bad_greetings(cohort, good)
    yield from _behind(cohort, good)
    for kind in ("Ready", "Declined"):
        stray = _lobby(kind, good[kind], h=connection(NONCE_S, OTHER))
        bad = _connection_file(cohort, kind, stray, "8-6")
        yield f"connection_{kind.lower()}_bad_connection", bad
    yield from _bad_declined(cohort, good["Declined"])
    opened = _lobby("RoundOpen", good["RoundOpen"], h=connection(OTHER, NONCE_U))
    bad = _connection_file(cohort, "RoundOpen", opened, "8-6")
    yield "connection_roundopen_bad_connection", bad


def _lobby_bodies(cohort: Cohort) -> dict[str, Body]:
    """One body of every lobby message."""
    said = {"task_id": "task", "round_no": 1, "model_hash": OTHER}
    roster = {"roster_version": 1, "roster_hash": cohort.roster.hash}
    known = {**roster, "time_ms": NOW}
    head = {"previous_link": bytes(32)}
    return {
        "Challenge": {"nonce": NONCE_S, **known},
        "Hello": {
            "nonce": NONCE_U,
            "version": "1.0",
            "sid": OTHER,
            "transcript": None,
            **known,
        },
        "Welcome": {"nonce": NONCE_U, "next_chunk": 3},
        "RoundOpen": {**said, "model_size": 123_456, **head},
        "Ready": {**said, "ready_nonce": OTHER},
        "Declined": {
            "task_id": "task",
            "round_no": 1,
            "rule": "4.1-5",
            "detail": "model 0707070707070707 is not among the 2 of models",
        },
        "Missed": {"task_id": "task", "round_no": 1, "reason": "too late"},
        "Fetch": {"hash": OTHER, "offset": 1 << 20},
        "Catchup": {"task_id": "task", "head": bytes(32)},
        "History": {"rounds": []},
    }


def _bad_declined(cohort: Cohort, good: Body) -> Iterator[tuple[str, Body]]:
    """Rules 3.3-1, 3.3-6 and 3.4-4 on what a client tells of its policy."""
    # Signed by the proved member, in another's name: nothing else is wrong with it.
    other = _lobby("Declined", good, sender="h02", secret=identity(MEMBER))
    cases = {
        "size": ("3.3-1", _lobby("Declined", {**good, "detail": "d" * 1024})),
        "detail": ("3.3-6", _lobby("Declined", {**good, "detail": "d" * 513})),
        "unprintable": ("3.3-6", _lobby("Declined", {**good, "detail": "a\nb"})),
        "rule": ("3.3-6", _lobby("Declined", {**good, "rule": "policy"})),
        "round": ("3.3-6", _lobby("Declined", {**good, "round_no": 0})),
        "sender": ("3.4-4", other),
    }
    for why, (rule, data) in cases.items():
        bad = _connection_file(cohort, "Declined", data, rule)
        yield f"connection_declined_bad_{why}", bad


def _bad_greetings(cohort: Cohort, good: dict[str, Body]) -> Iterator[tuple[str, Body]]:
    """Rules 8-1 to 8-3 on Challenge, Hello and Welcome."""
    old_nonce = {"Challenge": None, "Hello": OTHER}
    for kind in ("Challenge", "Hello"):
        stale = {**good[kind], "time_ms": NOW - 300_001}
        ahead = {**good[kind], "time_ms": NOW + 300_001}
        other = {**good[kind], "roster_hash": OTHER}
        forged = _lobby(kind, good[kind], secret=identity(OTHER_AGGREGATOR))
        cases = {
            "signature": ("8-1", forged),
            "roster": ("8-2", _lobby(kind, other)),
            "clock_behind": ("8-3", _lobby(kind, stale)),
            "clock_ahead": ("8-3", _lobby(kind, ahead)),
        }
        if old_nonce[kind]:
            cases["nonce"] = ("8-1", _lobby(kind, good[kind], h=old_nonce[kind]))
        for why, (rule, data) in cases.items():
            bad = _connection_file(cohort, kind, data, rule)
            yield f"connection_{kind.lower()}_bad_{why}", bad
    other = {**good["Welcome"], "nonce": OTHER}
    cases = {
        "nonce": ("8-1", _lobby("Welcome", other)),
        "connection": ("8-1", _lobby("Welcome", good["Welcome"], h=OTHER)),
    }
    for why, (rule, data) in cases.items():
        bad = _connection_file(cohort, "Welcome", data, rule)
        yield f"connection_welcome_bad_{why}", bad


# --- who is behind ----------------------------------------------------------------


def _behind(cohort: Cohort, good: dict[str, Body]) -> Iterator[tuple[str, Body]]:
    """A client that has version 1 and an aggregator that has 2 (rules 8-2, 8-8)."""
    n = cohort.n
    first, second, third = (signed_roster(n, version)[:2] for version in (1, 2, 3))
    newest = open_roster(*signed_roster(n, 2))
    named = {"roster_version": 2, "roster_hash": newest.hash}
    later = _lobby("Challenge", {**good["Challenge"], **named}, secret=OTHER)
    out = _connection_file(cohort, "Challenge", later, None)
    yield "connection_challenge_later", {**out, "behind": True}
    ahead = _lobby("Hello", {**good["Hello"], **named})
    yield "connection_hello_bad_ahead", _connection_file(cohort, "Hello", ahead, "8-2")
    hello = _lobby("Hello", good["Hello"])
    out = _connection_file(cohort, "Hello", hello, None, version=2)
    yield "connection_hello_behind", {**out, "behind": True}
    unknown = _lobby("Hello", {**good["Hello"], "roster_hash": OTHER})
    forked = _connection_file(cohort, "Hello", unknown, "8-2", version=2)
    yield "connection_hello_bad_fork", forked
    stranger = _lobby("Hello", good["Hello"], secret=identity(OTHER_AGGREGATOR))
    bad = _connection_file(cohort, "Hello", stranger, "8-1", version=2)
    yield "connection_hello_bad_behind", bad
    given = _rosters(second, third)
    out = _connection_file(cohort, "Rosters", given, None, behind=True)
    yield "connection_rosters", {**out, "pinned": third_hash(n)}
    for why, (rule, rows) in _bad_rosters(n, first, second, third).items():
        bad = _connection_file(cohort, "Rosters", _rosters(*rows), rule, behind=True)
        yield f"connection_rosters_bad_{why}", bad
    early = _connection_file(cohort, "Rosters", given, "8-8")
    yield "connection_rosters_bad_not_behind", early


Signed = tuple[bytes, bytes]


def third_hash(n: int) -> str:
    """roster_hash of version 3."""
    return open_roster(*signed_roster(n, 3)).hash.hex()


def _bad_rosters(
    n: int, first: Signed, second: Signed, third: Signed
) -> dict[str, tuple[str, list[Signed]]]:
    """Rules 2.1-2 to 2.1-5 and 8-8 on what is given to a client with version 1."""
    consortium, _, before, entries = unpack(second[0], LIMIT)
    key = identity("consortium")

    def other(name: str, version: int, previous: bytes) -> Signed:
        body = roster_body(name, version, previous, entries)
        return body, sign_roster(key, body)

    forged = (second[0], sign_roster(identity(AGGREGATOR), second[0]))
    return {
        "signature": ("2.1-2", [forged]),
        "gap": ("2.1-4", [third]),
        "version": ("2.1-4", [other(consortium, 3, before)]),
        "previous": ("2.1-4", [other(consortium, 2, OTHER)]),
        "consortium": ("2.1-4", [other("another", 2, before)]),
        "fork": ("2.1-5", [other(consortium, 1, before), second]),
        "nothing_new": ("8-8", [first]),
    }


def _rosters(*rows: Signed) -> bytes:
    """Rosters with these versions, signed by nobody whom the client knows."""
    body = {"versions": [list(row) for row in rows]}
    return _lobby("Rosters", body, secret=OTHER)


TO_SERVER = ("Hello", "Ready", "Declined", "Fetch", "Catchup")


def _lobby(
    kind: str,
    body: Body,
    *,
    h: bytes | None = None,
    secret: bytes | None = None,
    sender: str | None = None,
) -> bytes:
    """A lobby message, signed under its transcript unless told otherwise."""
    to_s = kind in TO_SERVER
    usual_sender, receiver = (MEMBER, AGGREGATOR) if to_s else (AGGREGATOR, MEMBER)
    sender = sender or usual_sender
    usual = {"Challenge": bytes(32), "Hello": NONCE_S}
    h = h or usual.get(kind, connection(NONCE_S, NONCE_U))
    key = secret or identity(sender)
    encoded = encode_body(kind, body)
    return seal(key, kind, LOBBY_SID, sender, receiver, h, encoded).encode()


def _connection_file(
    cohort: Cohort,
    kind: str,
    data: bytes,
    rule: str | None,
    *,
    version: int = 1,
    behind: bool = False,
) -> Body:
    """A file of one lobby message and the end that takes it, which has `version`."""
    parts = [signed_roster(cohort.n, number + 1) for number in range(version)]
    to_s = kind in TO_SERVER
    me, peer = (AGGREGATOR, MEMBER) if to_s else (MEMBER, AGGREGATOR)
    known = kind not in {"Challenge", "Hello"}
    mine, other = (NONCE_S, NONCE_U) if to_s else (NONCE_U, NONCE_S)

    def run() -> Body:
        chain = [open_roster(*part) for part in parts]
        theirs = other if known else b""
        end = End(chain, parts[0][2], me, peer, NOW, mine, theirs, behind)
        return end.take(data)

    out: Body = {
        "kind": "connection",
        "about": f"{me} takes a {kind}",
        "roster": roster_json(parts[-1]),
        "earlier": [roster_json(part) for part in parts[:-1]],
        "me": me,
        "peer": peer,
        "now_ms": NOW,
        "nonce": mine.hex(),
        "other_nonce": other.hex() if known else None,
        "behind": behind,
        "envelope": data.hex(),
    }
    if rule is None:
        run()
        return out
    return {**out, "refuse": judged(rule, "s" if to_s else "c", run)}
