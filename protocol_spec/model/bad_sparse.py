"""What must be refused on the regular graph alone (spec 4.2 to 4.7, 4.10)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from protocol_spec.model import bad_to_server
from protocol_spec.model.bad_to_client import (
    VICTIM,
    honest_body,
    honest_envelope,
    quote,
    signed_anew,
)
from protocol_spec.model.cohort import Cohort
from protocol_spec.model.envelope import seal
from protocol_spec.model.keys import h2
from protocol_spec.model.messages import HEADERS, Body, encode_body
from protocol_spec.model.near import among, closed
from protocol_spec.model.sessions import regular
from protocol_spec.model.setting import AGGREGATOR, hospitals, identity
from protocol_spec.model.sharing import bitmap
from protocol_spec.model.twins import Twin, by_aggregator, by_member, received

SENDER = bad_to_server.SENDER
OTHER = b"\x07" * 32


def honest_cohort() -> Cohort:
    """The smallest regular graph with c = 1 and two losses; nobody is lost."""
    return Cohort("bad_sparse", 12, 1, changes=regular(2), snap=True).run()


def twins(cohort: Cohort) -> Iterator[Twin]:
    """Every twin in the honest session of `cohort`."""
    yield from _to_client(cohort)
    yield from _turns(cohort)
    yield from _to_server(cohort)


# --- to a client --------------------------------------------------------------


def _swapped_coin(cohort: Cohort, body: Body) -> None:
    """A coin of the aggregator's in place of a member's."""
    del cohort
    body["coins"][2] = OTHER


def _exchanged_coins(cohort: Cohort, body: Body) -> None:
    del cohort
    coins = body["coins"]
    coins[2], coins[3] = coins[3], coins[2]


def _withheld_coin(cohort: Cohort, body: Body) -> None:
    del cohort
    del body["coins"][-1]


def _further_coin(cohort: Cohort, body: Body) -> None:
    del cohort
    body["coins"].append(OTHER)


def _without_commitment(cohort: Cohort, body: Body) -> None:
    """A member that would have no part in drawing the graph."""
    row = body["entries"][2]
    row[4] = None
    body["entries"][2] = signed_anew(cohort, row)


def _stranger_among_dealers(cohort: Cohort, body: Body) -> None:
    """A dealer of U1 that is no neighbour."""
    near = closed(cohort.server.graph, VICTIM, cohort.server.u1)
    far = next(v for v in cohort.server.u1 if v not in near)
    body["entries"] = sorted([[far, *body["entries"][0][1:]], *body["entries"]])


def _few_inputs(cohort: Cohort, body: Body) -> None:
    """One fewer than the floor, though everyone keeps L neighbours."""
    server, rows = cohort.server, body["entries"]
    while len(rows) >= server.params.floor:
        rows.remove(next(row for row in rows if _can_go(cohort, row, rows)))


def _can_go(cohort: Cohort, row: list[Any], rows: list[list[Any]]) -> bool:
    """Whether the others keep L neighbours without it; the victim stays."""
    graph, least = cohort.server.graph, cohort.server.params.degree.least
    left = [other[0] for other in rows if other is not row]
    kept = all(len(among(graph[u], left)) >= least for u in left)
    return kept and row[0] != VICTIM


CLIENT: tuple[tuple[str, str, str, Callable[[Cohort, Body], None]], ...] = (
    ("key_list_bad_no_coin", "4.2-5", "KeyList", _without_commitment),
    ("coin_list_bad_coin", "4.10-1", "CoinList", _swapped_coin),
    ("coin_list_bad_order", "4.10-1", "CoinList", _exchanged_coins),
    ("coin_list_bad_short", "4.10-2", "CoinList", _withheld_coin),
    ("coin_list_bad_long", "4.10-2", "CoinList", _further_coin),
    ("dealt_shares_bad_far", "4.3-2", "DealtShares", _stranger_among_dealers),
    ("input_list_bad_few_sparse", "4.5-5", "InputList", _few_inputs),
)


def _to_client(cohort: Cohort) -> Iterator[Twin]:
    for name, rule, kind, change in CLIENT:
        body = honest_body(cohort, kind)
        change(cohort, body)
        data = by_aggregator(cohort, VICTIM, kind, kind, body)
        yield received(name, rule, VICTIM, kind, data)


def _turns(cohort: Cohort) -> Iterator[Twin]:
    """Rules 3.4-6 and 3.4-7."""
    early = honest_envelope(cohort, "DealtShares")
    given = {"peer": AGGREGATOR, "envelope": early}
    name = "dealt_shares_bad_early"
    yield Twin(name, "3.4-6", VICTIM, "CoinList", "received", given, bites_alone=False)
    body = {"coins": [OTHER, *honest_body(cohort, "CoinList")["coins"][1:]]}
    second = by_aggregator(cohort, VICTIM, "DealtShares", "CoinList", body)
    yield received("coin_list_bad_second", "3.4-7", VICTIM, "DealtShares", second)


# --- to the aggregator ----------------------------------------------------------


def _to_server(cohort: Cohort) -> Iterator[Twin]:
    for name, rule, kind, change in _rows(cohort):
        body = {**bad_to_server.honest_body(cohort, kind, SENDER), **change}
        key = f"{kind}/{SENDER}"
        data = by_member(cohort, SENDER, key, kind, body)
        yield received(name, rule, AGGREGATOR, key, data, SENDER)
    before = f"Coin/{SENDER}"
    data = by_member(cohort, "h01", before, "Coin", {"coin": OTHER})
    given = {"peer": "h01", "envelope": data}
    # A second coin that opens its commitment is the first one.
    name = "coin_bad_second"
    yield Twin(name, "3.4-7", AGGREGATOR, before, "received", given, bites_alone=False)


def _rows(cohort: Cohort) -> list[tuple[str, str, str, Body]]:
    server = cohort.server
    row = bad_to_server.honest_body(cohort, "ShareKeys", SENDER)["entries"][0]
    everyone = [[None if v == SENDER else b"", *row[1:]] for v in server.u1]
    shares = bad_to_server.honest_body(cohort, "Unmasking", SENDER)["shares"]
    whole = [*shares, *[None] * (len(server.u2) - len(shares))]
    bare = {"coin_commitment": None}
    bits = bitmap(server.u1, set(server.u1))
    return [
        ("advertise_keys_bad_no_coin", "4.2-5", "AdvertiseKeys", bare),
        ("coin_bad_coin", "4.10-1", "Coin", {"coin": OTHER}),
        ("share_keys_bad_everyone", "4.3-1", "ShareKeys", {"entries": everyone}),
        ("share_ack_bad_everyone", "4.4-1", "ShareAck", {"bitmap": bits}),
        ("unmasking_bad_everyone", "4.7-1", "Unmasking", {"shares": whole}),
    ]


def aborts() -> Iterator[tuple[Cohort, Twin]]:
    """A coin that stays away."""
    silent = {"h08": "coin"}
    name, asked = "coin_bad_too_few", regular(1)
    cohort = Cohort(name, 8, 0, changes=asked, silent=silent, snap=True).run()
    yield cohort, bad_to_server.last(cohort, name, "4.10-3")


# --- a U3 that leaves a member with too few neighbours --------------------------


def thin_u3() -> tuple[Cohort, Twin]:
    """The aggregator cuts off the neighbours of one member, and keeps the floor.

    It takes n = 44 members with d = 16 for that: with fewer no U3 above the floor
    breaks rule 4.5-7. The victim alone goes on after the coins; what it gets from then
    on is made up, properly signed.
    """
    cohort = Cohort("thin_u3", 44, 1, changes=regular(16))
    coins = dict(cohort.run_until("CoinList")["send"])
    cohort.step(VICTIM, "received", {"peer": AGGREGATOR, "envelope": coins[VICTIM]})
    server, graph = cohort.server, cohort.parties[VICTIM].machine.graph
    everyone = hospitals(cohort.n)
    _tell(cohort, "DealtShares", {"entries": []})
    _tell(cohort, "DealerList", {"dealers": everyone})
    server.transcripts["h2"] = h2(
        server.book.h1, encode_body("DealerList", {"dealers": everyone})
    )
    cohort.step(VICTIM, "vector_masked", {"root": OTHER})
    cut = [v for v in graph[everyone[-1]] if v != VICTIM]
    gone = cut[: server.params.d]
    rows = [
        [u, OTHER, quote(cohort, u, "MaskedInput", {"root": OTHER})]
        for u in everyone
        if u not in gone
    ]
    data = _told(cohort, "InputList", {"entries": rows})
    cohort.parties[VICTIM].snapshots["InputList"] = (
        cohort.parties[VICTIM].machine,
        len(cohort.parties[VICTIM].operations),
    )
    return cohort, received("input_list_bad_thin", "4.5-7", VICTIM, "InputList", data)


def _tell(cohort: Cohort, kind: str, body: Body) -> None:
    """Let the victim take a message of S."""
    given = {"peer": AGGREGATOR, "envelope": _told(cohort, kind, body)}
    cohort.step(VICTIM, "received", given)


def _told(cohort: Cohort, kind: str, body: Body) -> bytes:
    """A message of S to the victim, under the transcripts that it holds now."""
    machine = cohort.parties[VICTIM].machine
    h, encoded = machine.transcripts[HEADERS[kind].transcript], encode_body(kind, body)
    secret = identity(AGGREGATOR)
    return seal(secret, kind, machine.sid, AGGREGATOR, VICTIM, h, encoded).encode()
