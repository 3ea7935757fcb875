"""secagg.rounds.advertise_keys: keys collected and agreed (3.2, 4.2)."""

from dataclasses import replace

import pytest

from secagg import codec, shamir
from secagg.crypto import agree, transcript
from secagg.entropy import SeededEntropy
from secagg.messages import AdvertiseKeys, KeyList
from secagg.names import PeerId, SessionId
from secagg.rounds import advertise_keys as ak
from tests.helpers import AGGREGATOR, refused_rule, silo
from tests.parties import Parties
from tests.samples import blob

P = Parties(5, 1)
ME = silo(2)
LOW_ORDER = (1).to_bytes(32, "little")
NOT_REDUCED = (2**255 - 19).to_bytes(32, "little")
TOP_BIT = (2**255 + 9).to_bytes(32, "little")


def accept(key_list, me=ME, own=None):
    return ak.client_accept_key_list(
        key_list,
        body=codec.encode_body(key_list),
        own=P.adverts[me] if own is None else own,
        me=me,
        sid=P.sid,
        params=P.params,
        roster=P.roster,
        aggregator=AGGREGATOR,
    )


def drawn(entropy, sid=P.sid, me=ME, tossed=False):
    return ak.client_advertise(entropy, sid=sid, me=me, tossed=tossed)


def server_accept(advert, known):
    ak.server_accept(advert, known, tossed=False)


def listed(*entries):
    return KeyList(entries=tuple(entries))


def with_keys(u, **keys):
    """U's entry, signed anew, with other keys."""
    other = Parties(5, 1, adverts={})
    other.adverts[u] = replace(P.adverts[u], **keys)
    return other.entry(u)


ALL = list(P.key_list.entries)

# --- drawing


def test_b_u_and_both_pairs_are_drawn_and_published_by_their_images() -> None:
    keys, advert = P.keys[ME], P.adverts[ME]
    assert advert.c_pk == agree.KeyPair(keys.c.secret).public
    assert advert.s_pk == agree.KeyPair(shamir.scalar_to_bytes(keys.s_scalar)).public
    b_u = shamir.scalar_to_bytes(keys.b_u)
    assert advert.b_commitment == transcript.b_commitment(P.sid, ME, b_u)


def test_3_2_6_no_draw_serves_twice() -> None:
    entropy = SeededEntropy(b"one")
    made = [drawn(entropy)[1] for _ in range(3)]
    keys = [key for a in made for key in (a.c_pk, a.s_pk, a.b_commitment)]
    assert len(set(keys)) == 9


def test_the_commitment_is_bound_to_session_and_member() -> None:
    def commitment(sid, me):
        return drawn(SeededEntropy(b"x"), sid, me)[1].b_commitment

    seen = {commitment(s, u) for s in (P.sid, SessionId(blob(2))) for u in P.members}
    assert len(seen) == 10


def test_session_keys_show_no_secret() -> None:
    shown = repr(P.keys[ME])
    assert str(P.keys[ME].b_u) not in shown
    assert "b_u" not in shown


# --- the server


@pytest.mark.parametrize("column", ["c_pk", "s_pk"])
@pytest.mark.parametrize(
    ("rule", "key"),
    [
        ("3.2-1", TOP_BIT),
        ("3.2-1", blob(1, 31)),
        ("3.2-2", NOT_REDUCED),
        ("3.2-3", LOW_ORDER),
        ("3.2-3", bytes(32)),
    ],
)
def test_the_server_refuses_keys_that_are_none(column, rule, key) -> None:
    advert = replace(P.adverts[ME], **{column: key})
    assert refused_rule(server_accept, advert, []) == rule


def test_3_2_5_the_server_refuses_the_advert_that_repeats_a_key() -> None:
    advert, known = P.adverts[ME], [P.adverts[silo(1)], P.adverts[silo(3)]]
    server_accept(advert, known)
    for other in (
        replace(advert, c_pk=known[0].c_pk),
        replace(advert, c_pk=known[0].s_pk),
        replace(advert, s_pk=known[1].c_pk),
        replace(advert, s_pk=known[1].s_pk),
        replace(advert, s_pk=advert.c_pk),
    ):
        assert refused_rule(server_accept, other, known) == "3.2-5"


def test_l1_is_sorted_and_4_2_4_needs_q_of_them() -> None:
    entries = {entry.peer: entry for entry in reversed(ALL)}
    assert ak.server_key_list(entries, P.params) == P.key_list
    few = {u: entries[u] for u in P.members[: P.params.q - 1]}
    assert refused_rule(ak.server_key_list, few, P.params) == "4.2-4"


# --- the client


def test_the_key_book_is_l1_and_its_h1() -> None:
    book = accept(P.key_list)
    assert book.u1 == P.members
    assert book.keys == P.adverts
    assert book.h1 == transcript.h1(P.sid, codec.encode_body(P.key_list))


def test_q_members_are_enough() -> None:
    assert accept(listed(*ALL[: P.params.q])).u1 == P.members[: P.params.q]


@pytest.mark.parametrize(
    "entries",
    [
        [ALL[1], ALL[0], *ALL[2:]],
        [*ALL, ALL[-1]],
        [replace(ALL[0], peer=AGGREGATOR), *ALL],
        [*ALL, replace(ALL[0], peer=PeerId("stranger"))],
    ],
    ids=["unsorted", "twice", "aggregator", "stranger"],
)
def test_4_2_1_refuses_a_list_not_sorted_distinct_and_within_u0(entries) -> None:
    assert refused_rule(accept, listed(*entries)) == "4.2-1"


def test_4_2_2_refuses_keys_that_their_member_did_not_sign() -> None:
    swapped = replace(ALL[0], keys=P.adverts[silo(3)], signature=ALL[0].signature)
    assert refused_rule(accept, listed(swapped, *ALL[1:])) == "4.2-2"
    renamed = [replace(ALL[0], keys=ALL[2].keys, signature=ALL[2].signature)]
    assert refused_rule(accept, listed(*renamed, *ALL[1:])) == "4.2-2"


def test_4_2_2_refuses_keys_signed_for_another_session() -> None:
    other = Parties(5, 1, sid=SessionId(blob(2)))
    assert refused_rule(accept, listed(other.entry(silo(1)), *ALL[1:])) == "4.2-2"


def test_4_2_3_refuses_a_list_without_this_client_or_with_other_keys_of_it() -> None:
    assert refused_rule(accept, listed(ALL[0], *ALL[2:])) == "4.2-3"
    earlier = replace(P.adverts[ME], b_commitment=blob(1))
    assert refused_rule(accept, P.key_list, own=earlier) == "4.2-3"


def test_4_2_4_refuses_fewer_than_q() -> None:
    assert refused_rule(accept, listed(*ALL[: P.params.q - 1])) == "4.2-4"


@pytest.mark.parametrize("column", ["c_pk", "s_pk"])
@pytest.mark.parametrize(
    ("rule", "key"),
    [("3.2-1", TOP_BIT), ("3.2-2", NOT_REDUCED), ("3.2-3", LOW_ORDER)],
)
def test_the_client_refuses_keys_that_are_none_though_signed(column, rule, key) -> None:
    bent = with_keys(silo(4), **{column: key})
    assert refused_rule(accept, listed(*ALL[:3], bent, ALL[4])) == rule


def test_3_2_5_refuses_two_equal_keys_over_both_columns() -> None:
    theirs = P.adverts[silo(1)]
    for keys in ({"c_pk": theirs.c_pk}, {"s_pk": theirs.s_pk}, {"c_pk": theirs.s_pk}):
        bent = with_keys(silo(4), **keys)
        assert refused_rule(accept, listed(*ALL[:3], bent, ALL[4])) == "3.2-5"


def test_4_2_5_refuses_a_commitment_to_a_coin_on_the_complete_graph() -> None:
    bent = with_keys(silo(4), coin_commitment=blob(9))
    assert refused_rule(accept, listed(*ALL[:3], bent, ALL[4])) == "4.2-5"
    assert refused_rule(server_accept, bent.keys, []) == "4.2-5"


def test_a_coin_is_drawn_after_all_else_and_committed_to() -> None:
    bare, plain = drawn(SeededEntropy(b"x"))
    keys, advert = drawn(SeededEntropy(b"x"), tossed=True)
    assert bare.coin is None
    assert keys.coin is not None
    committed = transcript.coin_commitment(P.sid, ME, keys.coin)
    assert advert == replace(plain, coin_commitment=committed)
    assert keys.coin.hex() not in repr(keys)


def test_4_2_5_asks_for_a_commitment_where_there_are_coins() -> None:
    _, advert = drawn(SeededEntropy(b"x"), tossed=True)
    ak.server_accept(advert, [], tossed=True)
    bare = replace(advert, coin_commitment=None)
    assert refused_rule(ak.server_accept, bare, [], tossed=True) == "4.2-5"


def test_adverts_are_compared_in_all_three_fields() -> None:
    own = P.adverts[ME]
    for name in ("c_pk", "s_pk", "b_commitment"):
        other = AdvertiseKeys(
            **{
                "c_pk": own.c_pk,
                "s_pk": own.s_pk,
                "b_commitment": own.b_commitment,
                name: blob(3),
            }
        )
        assert refused_rule(accept, P.key_list, own=other) == "4.2-3"
