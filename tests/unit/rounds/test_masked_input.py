"""secagg.rounds.masked_input: who masks with what, and whose vector counts (4.5)."""

from dataclasses import replace

import pytest

from secagg import errors
from secagg.crypto import agree, transcript
from secagg.crypto.prg import Tag
from secagg.messages import InputList
from secagg.names import PeerId, SessionId
from secagg.rounds import masked_input
from secagg.shamir import scalar_to_bytes
from tests.helpers import AGGREGATOR, refused_rule, silo
from tests.parties import Parties
from tests.samples import blob

P = Parties(5, 1)
ME = silo(2)
ALL = list(P.input_list(P.members).entries)


def accept(entries, *, me=ME, own_root=ALL[1].root, u2=P.members, **other):
    fields = {
        "sid": P.sid,
        "h2": P.h2,
        "graph": P.graph,
        "params": P.params,
        "roster": P.roster,
    }
    return masked_input.client_accept_input_list(
        InputList(entries=tuple(entries)),
        me=me,
        own_root=own_root,
        u2=u2,
        aggregator=AGGREGATOR,
        **{**fields, **other},
    )


# --- masks


def test_a_member_masks_with_its_own_seed_and_one_pair_seed_for_each_other() -> None:
    own, *pairs = P.masks(ME)
    b_u = scalar_to_bytes(P.keys[ME].b_u)
    assert own.seed.key == transcript.self_mask_key(P.sid, b_u)
    assert (own.seed.tag, own.sign) == (Tag.SELF, 1)
    assert [mask.seed.tag for mask in pairs] == [Tag.PAIR] * 4
    assert [mask.sign for mask in pairs] == [-1, 1, 1, 1]


def test_the_pair_seed_is_agreed_and_bound_to_both_ids_and_keys() -> None:
    agreed = agree.shared_secret(P.keys[ME].s, P.adverts[silo(4)].s_pk)
    pks = (P.adverts[ME].s_pk, P.adverts[silo(4)].s_pk)
    seed = transcript.pair_seed(P.sid, agreed, ME, silo(4), *pks)
    key = transcript.pair_mask_key(P.sid, seed)
    assert P.masks(ME)[3].seed.key == key


def test_both_sides_of_each_pair_have_one_key_and_opposite_signs() -> None:
    signs: dict[bytes, list[int]] = {}
    for u in P.members:
        for mask in P.masks(u)[1:]:
            signs.setdefault(mask.seed.key, []).append(mask.sign)
    assert len(signs) == 10
    assert all(sorted(pair) == [-1, 1] for pair in signs.values())


def test_only_those_of_u2_are_masked_with() -> None:
    u2 = P.members[:4]
    masks = masked_input.client_masks(P.party(ME), P.book, u2)
    assert len(masks) == 4
    assert masks == P.masks(ME)[:4]


# --- the server


def test_4_5_1_refuses_a_root_that_is_not_that_of_the_stored_chunks() -> None:
    server_accept = masked_input.server_accept
    server_accept(stated=blob(1), stored=blob(1), peer=ME)
    for stored in (blob(2), None):
        refused = refused_rule(server_accept, stated=blob(1), stored=stored, peer=ME)
        assert refused == "4.5-1"


def test_l3_is_sorted_and_4_5_5_needs_the_floor() -> None:
    inputs = {entry.peer: entry for entry in reversed(ALL)}
    assert masked_input.server_input_list(inputs, P.graph, P.params).entries == tuple(
        ALL
    )
    few = {u: inputs[u] for u in P.members[: P.params.floor - 1]}
    refused = refused_rule(masked_input.server_input_list, few, P.graph, P.params)
    assert refused == "4.5-5"


# --- the client


def test_l3_is_u3() -> None:
    assert accept(ALL) == P.members
    assert accept(ALL[1:]) == P.members[1:]


def test_a_client_that_stated_no_root_accepts_a_list_without_it() -> None:
    rest = [e for e in ALL if e.peer != ME]
    assert ME not in accept(rest, own_root=None)
    assert ME not in accept(rest, own_root=ALL[1].root)


@pytest.mark.parametrize(
    "entries",
    [
        [ALL[1], ALL[0], *ALL[2:]],
        [*ALL, ALL[-1]],
        [*ALL, replace(ALL[0], peer=PeerId("stranger"))],
    ],
    ids=["unsorted", "twice", "stranger"],
)
def test_4_5_2_refuses_a_list_not_sorted_distinct_and_within_u2(entries) -> None:
    assert refused_rule(accept, entries) == "4.5-2"


def test_4_5_2_refuses_a_member_that_is_not_in_u2() -> None:
    assert refused_rule(accept, ALL, u2=P.members[:4]) == "4.5-2"


def test_4_5_3_refuses_a_root_its_member_did_not_sign() -> None:
    bent = replace(ALL[3], root=blob(9))
    assert refused_rule(accept, [*ALL[:3], bent, ALL[4]]) == "4.5-3"
    anothers = replace(ALL[3], signature=ALL[4].signature, root=ALL[4].root)
    assert refused_rule(accept, [*ALL[:3], anothers, ALL[4]]) == "4.5-3"


def test_4_5_3_refuses_roots_of_another_session_or_under_another_h2() -> None:
    assert refused_rule(accept, ALL, sid=SessionId(blob(8))) == "4.5-3"
    assert refused_rule(accept, ALL, h2=blob(8)) == "4.5-3"


@pytest.mark.parametrize("own_root", [None, blob(9)])
def test_4_5_4_refuses_an_own_entry_with_another_root_than_stated(own_root) -> None:
    assert refused_rule(accept, ALL, own_root=own_root) == "4.5-4"


def test_4_5_5_refuses_fewer_than_the_floor() -> None:
    floor = P.params.floor
    assert len(accept(ALL[:floor])) == floor
    assert refused_rule(accept, ALL[: floor - 1]) == "4.5-5"


# --- the regular graph: 45 members, of whom 20 may be lost

SPARSE = Parties(45, 0, losses=20)
LEAST = SPARSE.params.degree.least
LONELY = silo(7)
CUT = SPARSE.graph.neighbours(LONELY)[: SPARSE.params.degree.k - LEAST + 1]
THIN = tuple(u for u in SPARSE.members if u not in CUT)


def sparse_accept(u3):
    me = max(u3)
    return accept(
        SPARSE.input_list(u3).entries,
        me=me,
        own_root=SPARSE.root(me).root,
        u2=SPARSE.members,
        graph=SPARSE.graph,
        sid=SPARSE.sid,
        h2=SPARSE.h2,
        params=SPARSE.params,
        roster=SPARSE.roster,
    )


def test_on_the_regular_graph_it_masks_with_its_neighbours_alone() -> None:
    assert len(SPARSE.masks(ME)) == 1 + SPARSE.params.degree.k


def test_4_5_7_refuses_a_u3_in_which_a_member_has_fewer_than_l_neighbours() -> None:
    assert len(THIN) >= SPARSE.params.floor
    with pytest.raises(errors.RemoteProtocolError, match=LONELY) as caught:
        sparse_accept(THIN)
    assert caught.value.rule == "4.5-7"


def test_4_5_7_allows_a_u3_in_which_everyone_has_l_neighbours() -> None:
    assert sparse_accept(SPARSE.members) == SPARSE.members
    fine = tuple(u for u in THIN if u != LONELY)
    assert len(fine) == SPARSE.params.floor
    assert sparse_accept(fine) == fine


def test_4_5_7_the_aggregator_leaves_out_who_has_too_few_neighbours_left() -> None:
    inputs = {u: SPARSE.root(u) for u in THIN}
    kept = masked_input.server_input_list(inputs, SPARSE.graph, SPARSE.params)
    assert tuple(e.peer for e in kept.entries) == tuple(u for u in THIN if u != LONELY)


def test_4_5_5_counts_those_that_are_left_of_them() -> None:
    gone = next(u for u in THIN if u not in SPARSE.near[LONELY])
    inputs = {u: SPARSE.root(u) for u in THIN if u != gone}
    assert len(inputs) == SPARSE.params.floor
    refused = refused_rule(
        masked_input.server_input_list, inputs, SPARSE.graph, SPARSE.params
    )
    assert refused == "4.5-5"
