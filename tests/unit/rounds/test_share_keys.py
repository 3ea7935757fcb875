"""secagg.rounds.share_keys: dealing, and opening what was dealt (4.3)."""

from dataclasses import replace

import pytest

from secagg import shamir
from secagg.crypto import agree, transcript
from secagg.crypto.aead import open_sealed, seal
from secagg.entropy import SeededEntropy
from secagg.field import Q
from secagg.messages import DealtShares
from secagg.names import PeerId
from secagg.rounds import share_keys as sk
from tests.helpers import refused_rule, silo
from tests.invariants import lp
from tests.parties import Parties
from tests.samples import blob

P = Parties(5, 1)
T = P.params.t
DEALER, HOLDER = silo(2), silo(4)
DEALT = {u: message for u, (message, _) in P.dealt.items()}
OUT = dict(sk.server_deal_out(DEALT, P.near, P.params))
SPARSE = Parties(12, 1, losses=2)


def points(dealer, secret, holders):
    """The shares of a dealer that these holders verified, by x."""
    held = {v: getattr(P.held[v], secret)[dealer] for v in holders}
    return {P.params.x_of(v): int.from_bytes(y, "little") for v, y in held.items()}


def rebuilt(found):
    xs = sorted(found)
    return shamir.rebuild([found[x] for x in xs], shamir.lagrange_at_zero(xs))


def opened(entries, holder=HOLDER):
    """What the holder holds after these entries."""
    return sk.client_open_shares(
        DealtShares(entries=tuple(entries)),
        party=P.party(holder),
        book=P.book,
        near=P.near[holder],
        own=P.dealt[holder][1],
    )


def entry_of(dealer, holder=HOLDER):
    return next(e for e in OUT[holder].entries if e.dealer == dealer)


# --- dealing


@pytest.mark.parametrize("dealer", P.members)
def test_any_t_holders_rebuild_both_secrets_of_a_dealer(dealer) -> None:
    for holders in (P.members[:T], P.members[-T:]):
        assert rebuilt(points(dealer, "b", holders)) == P.keys[dealer].b_u
        assert rebuilt(points(dealer, "s", holders)) == P.keys[dealer].s_scalar


def test_t_minus_1_holders_rebuild_neither() -> None:
    few = P.members[: T - 1]
    assert rebuilt(points(DEALER, "b", few)) != P.keys[DEALER].b_u
    assert rebuilt(points(DEALER, "s", few)) != P.keys[DEALER].s_scalar


def test_4_3_3_both_polynomials_have_degree_t_minus_1_and_their_own_draws() -> None:
    everyone = list(P.members)
    b, s = points(DEALER, "b", everyone), points(DEALER, "s", everyone)
    xs = sorted(b)
    for found in (b, s):
        ys = [found[x] for x in xs]
        assert shamir.on_one_polynomial(xs, ys, T)
        assert not shamir.on_one_polynomial(xs, ys, T - 1)
    slopes = [(s[x] - b[x]) % Q for x in xs]
    assert not shamir.on_one_polynomial(xs, slopes, 1)


def test_there_is_one_entry_a_member_and_nil_at_the_dealers_own() -> None:
    for dealer, message in DEALT.items():
        sealed = [entry.sealed for entry in message.entries]
        assert len(sealed) == P.params.n
        assert [e is None for e in sealed] == [v == dealer for v in P.members]


def test_3_6_a_sealed_share_is_nonce_and_ciphertext_bound_to_its_place() -> None:
    entry = entry_of(DEALER)
    agreed = agree.shared_secret(P.keys[HOLDER].c, P.adverts[DEALER].c_pk)
    key = transcript.channel_key(
        P.sid, agreed, DEALER, HOLDER, P.adverts[DEALER].c_pk, P.adverts[HOLDER].c_pk
    )
    names = (DEALER.encode(), HOLDER.encode())
    ad = lp(b"secagg/1/share", P.sid, *names, P.book.h1, entry.com_b, entry.com_s)
    held = P.held[HOLDER]
    x = P.params.x_of(HOLDER).to_bytes(4, "little")
    plaintext = lp(*names) + x + held.b[DEALER] + held.s[DEALER]
    assert open_sealed(key, entry.sealed, ad) == plaintext


def test_nonces_are_drawn_for_each_member() -> None:
    nonces = [e.sealed[:12] for m in DEALT.values() for e in m.entries if e.sealed]
    assert len(set(nonces)) == 5 * 4


def test_held_shares_and_parties_show_no_secret() -> None:
    assert repr(P.held[HOLDER]) == "HeldShares()"
    assert "keys" not in repr(P.party(HOLDER))


# --- the server


def test_4_3_1_refuses_another_number_of_entries_or_a_nil_out_of_place() -> None:
    message = DEALT[DEALER]
    sk.server_accept(message, dealer=DEALER, near=P.members)
    rows = message.entries
    bent = [
        rows[:-1],
        (*rows, rows[-1]),
        (),
        (rows[1], rows[0], *rows[2:]),
        (replace(rows[0], sealed=None), *rows[1:]),
        (rows[0], replace(rows[1], sealed=b"x"), *rows[2:]),
    ]
    for entries in bent:
        other = replace(message, entries=tuple(entries))
        refused = refused_rule(sk.server_accept, other, dealer=DEALER, near=P.members)
        assert refused == "4.3-1"


def test_each_gets_what_the_others_dealt_to_it() -> None:
    for v in P.members:
        rows = OUT[v].entries
        assert [row.dealer for row in rows] == [u for u in P.members if u != v]
        place = P.members.index(v)
        for row in rows:
            said = DEALT[row.dealer].entries[place]
            assert (row.sealed, row.com_b, row.com_s) == (
                said.sealed,
                said.com_b,
                said.com_s,
            )


def test_who_did_not_deal_is_not_dealt_out_but_gets_its_share() -> None:
    some = {u: DEALT[u] for u in P.members[1:]}
    out = dict(sk.server_deal_out(some, P.near, P.params))
    assert set(out) == set(P.members)
    assert all(silo(1) != row.dealer for rows in out.values() for row in rows.entries)
    assert len(out[silo(1)].entries) == 4


def test_4_3_7_needs_q_dealers() -> None:
    few = {u: DEALT[u] for u in P.members[: P.params.q - 1]}
    assert refused_rule(sk.server_deal_out, few, P.near, P.params) == "4.3-7"


# --- the client


@pytest.mark.parametrize(
    "dealers",
    [
        [silo(2), silo(1)],
        [silo(1), silo(1)],
        [silo(1), silo(4)],
        [PeerId("stranger")],
    ],
    ids=["unsorted", "twice", "itself", "stranger"],
)
def test_4_3_2_refuses_dealers_not_sorted_distinct_others_of_u1(dealers) -> None:
    rows = [replace(entry_of(silo(1)), dealer=u) for u in dealers]
    assert refused_rule(opened, rows) == "4.3-2"


def test_a_dealer_left_out_is_not_held() -> None:
    rows = [e for e in OUT[HOLDER].entries if e.dealer != DEALER]
    held = opened(rows)
    assert set(held.b) == set(held.s) == set(P.members) - {DEALER}


def resealed(plaintext, *, com=None, context=None):
    """The dealer's entry for the holder, sealed anew around this plaintext."""
    entry = entry_of(DEALER)
    com_b, com_s = com or (entry.com_b, entry.com_s)
    agreed = agree.shared_secret(P.keys[DEALER].c, P.adverts[HOLDER].c_pk)
    pks = (P.adverts[DEALER].c_pk, P.adverts[HOLDER].c_pk)
    key = transcript.channel_key(P.sid, agreed, DEALER, HOLDER, *pks)
    ad = transcript.share_context(P.sid, DEALER, HOLDER, P.book.h1, com_b, com_s)
    sealed = seal(key, blob(1, 12), plaintext, context or ad)
    return replace(entry, sealed=sealed, com_b=com_b, com_s=com_s)


def plaintext(u=DEALER, v=HOLDER, x=None, b=None, s=None):
    held = P.held[HOLDER]
    place = P.params.x_of(HOLDER) if x is None else x
    head = lp(u.encode(), v.encode()) + place.to_bytes(4, "little")
    return head + (b or held.b[DEALER]) + (s or held.s[DEALER])


def committed(b, s):
    return transcript.share_commitments(P.sid, DEALER, HOLDER, b, s)


BIG = Q.to_bytes(32, "little")
GOOD = (P.held[HOLDER].b[DEALER], P.held[HOLDER].s[DEALER])


def test_an_entry_sealed_anew_is_as_good() -> None:
    assert opened([resealed(plaintext())]).b[DEALER] == GOOD[0]


COMPLAINTS = {
    "4.3-4 damaged": replace(entry_of(DEALER), sealed=blob(1, 200)),
    "4.3-4 too short": replace(entry_of(DEALER), sealed=b""),
    "4.3-4 of another dealer": replace(entry_of(silo(1)), dealer=DEALER),
    "4.3-4 for another holder": replace(entry_of(DEALER, silo(5)), dealer=DEALER),
    "4.3-4 other commitments": replace(entry_of(DEALER), com_b=blob(1)),
    "4.3-4 another context": resealed(plaintext(), context=b"other"),
    "4.3-5 names another dealer": resealed(plaintext(u=silo(1))),
    "4.3-5 names another holder": resealed(plaintext(v=silo(1))),
    "4.3-5 another place": resealed(plaintext(x=1)),
    "4.3-5 longer": resealed(plaintext() + b"\x00"),
    "4.3-5 shorter": resealed(plaintext()[1:]),
    "4.3-5 empty": resealed(b""),
    "4.3-5 b beyond Q": resealed(plaintext(b=BIG), com=committed(BIG, GOOD[1])),
    "4.3-5 s beyond Q": resealed(plaintext(s=BIG), com=committed(GOOD[0], BIG)),
    "4.3-6 another b": resealed(plaintext(b=blob(1))),
    "4.3-6 another s": resealed(plaintext(s=blob(1))),
    "4.3-6 swapped": resealed(plaintext(b=GOOD[1], s=GOOD[0])),
}


@pytest.mark.parametrize("name", COMPLAINTS)
def test_what_is_wrong_with_one_dealers_entry_is_left_out_and_no_abort(name) -> None:
    entry = COMPLAINTS[name]
    assert refused_rule(sk._open_entry, entry, P.party(HOLDER), P.book) == name[:5]
    others = [e for e in OUT[HOLDER].entries if e.dealer != DEALER]
    rows = sorted([*others, entry], key=lambda e: e.dealer)
    held = opened(rows)
    assert set(held.b) == set(held.s) == set(P.members) - {DEALER}


def test_what_a_client_holds_of_itself_is_its_own_share() -> None:
    own = P.dealt[HOLDER][1]
    assert P.held[HOLDER].b[HOLDER] == own.b[HOLDER]
    x = P.params.x_of(HOLDER)
    others = {y: v for y, v in points(HOLDER, "b", P.members).items() if y != x}
    assert rebuilt(others) == P.keys[HOLDER].b_u
    assert int.from_bytes(own.b[HOLDER], "little") != P.keys[HOLDER].b_u


def test_dealing_depends_on_its_entropy_alone() -> None:
    again, _ = sk.client_deal(
        P.party(DEALER),
        P.book,
        P.members,
        SeededEntropy(b"deal" + DEALER.encode()),
    )
    assert again == DEALT[DEALER]


# --- the regular graph


def test_on_the_regular_graph_shares_go_to_the_neighbours_alone() -> None:
    for u, (message, _) in SPARSE.dealt.items():
        near = SPARSE.near[u]
        assert len(near) == SPARSE.params.degree.k + 1
        assert [e.sealed is None for e in message.entries] == [v == u for v in near]
        sk.server_accept(message, dealer=u, near=near)


def test_on_the_regular_graph_everyone_holds_what_its_neighbours_dealt() -> None:
    for v in SPARSE.members:
        assert set(SPARSE.held[v].b) == set(SPARSE.near[v])


def test_on_the_regular_graph_any_t_neighbours_rebuild_both_secrets() -> None:
    assert SPARSE.params.t == 2
    u = SPARSE.members[4]
    near = SPARSE.graph.neighbours(u)
    for kind, secret in (("b", SPARSE.keys[u].b_u), ("s", SPARSE.keys[u].s_scalar)):
        for holders in (near[:2], near[-2:]):
            shares = {v: getattr(SPARSE.held[v], kind)[u] for v in holders}
            xs = {
                SPARSE.params.x_of(v): int.from_bytes(shares[v], "little")
                for v in shares
            }
            assert rebuilt(xs) == secret


def test_4_3_2_refuses_a_dealer_that_is_no_neighbour() -> None:
    me = SPARSE.members[0]
    messages = {u: message for u, (message, _) in SPARSE.dealt.items()}
    out = dict(sk.server_deal_out(messages, SPARSE.near, SPARSE.params))
    rows = list(out[me].entries)
    far = next(u for u in SPARSE.members if u not in SPARSE.near[me])
    bent = sorted([*rows, replace(rows[0], dealer=far)], key=lambda row: row.dealer)
    refused = refused_rule(
        sk.client_open_shares,
        DealtShares(entries=tuple(bent)),
        party=SPARSE.party(me),
        book=SPARSE.book,
        near=SPARSE.near[me],
        own=SPARSE.dealt[me][1],
    )
    assert refused == "4.3-2"
