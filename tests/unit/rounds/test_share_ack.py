"""secagg.rounds.share_ack: bitmaps, complaints, and who is in U2 (4.4)."""

import itertools

import pytest

from secagg.messages import DealerList, ShareAck
from secagg.names import PeerId
from secagg.rounds import share_ack
from tests.helpers import refused_rule
from tests.parties import Parties
from tests.samples import parameters

U1 = tuple(PeerId(f"u{i:02}") for i in range(11))
PARAMS = parameters(7, 2)
SEVEN = PARAMS.members
NEAR = dict.fromkeys(SEVEN, SEVEN)


def accept(bitmap, dealers=U1, holder=U1[0]):
    return share_ack.server_accept(
        ShareAck(bitmap=bitmap), holder=holder, near=U1, dealers=set(dealers)
    )


# --- the bitmap


@pytest.mark.parametrize("size", range(1, 18))
def test_bit_i_is_byte_i_div_8_value_1_shl_i_mod_8(size) -> None:
    u1 = [PeerId(f"u{i:02}") for i in range(size)]
    for i, u in enumerate(u1):
        bitmap = share_ack.client_ack([u], u1).bitmap
        assert len(bitmap) == (size + 7) // 8
        assert [b for b in bitmap if b] == [1 << (i % 8)]
        assert bitmap[i // 8] == 1 << (i % 8)
        assert share_ack.acked(bitmap, u1) == {u}


def test_an_ack_of_any_subset_is_read_as_it_was_meant() -> None:
    for held in itertools.chain(
        *(itertools.combinations(U1, k) for k in (0, 1, 2, 11))
    ):
        bitmap = share_ack.client_ack(held, U1).bitmap
        assert accept(bitmap) == set(held)


def test_who_is_held_but_not_in_u1_has_no_bit() -> None:
    assert share_ack.client_ack([PeerId("stranger")], U1).bitmap == bytes(2)


@pytest.mark.parametrize("bitmap", [b"", b"\x01", bytes(3), b"\x00\x08", b"\x00\x80"])
def test_4_4_1_refuses_another_length_or_ones_behind_u1(bitmap) -> None:
    assert refused_rule(accept, bitmap) == "4.4-1"


def test_4_4_1_allows_the_last_place_and_refuses_the_next() -> None:
    assert accept(b"\x00\x04") == {U1[10]}
    assert refused_rule(accept, b"\x00\x08") == "4.4-1"


def test_4_4_1_refuses_a_one_for_another_that_did_not_deal() -> None:
    dealers = U1[:5]
    assert accept(share_ack.client_ack(dealers, U1).bitmap, dealers) == set(dealers)
    bent = share_ack.client_ack(U1[:6], U1).bitmap
    assert refused_rule(accept, bent, dealers) == "4.4-1"


def test_the_own_bit_of_one_that_dealt_too_late_is_no_breach_and_not_counted() -> None:
    late = U1[8]
    bitmap = share_ack.client_ack([*U1[:5], late], U1).bitmap
    assert accept(bitmap, dealers=U1[:5], holder=late) == set(U1[:5])


# --- U2


def acks(zeros):
    """Acks of all seven; `zeros` says who complains of whom."""
    return {v: frozenset(u for u in SEVEN if v not in zeros.get(u, ())) for v in SEVEN}


def u2(given, dealers=SEVEN):
    return share_ack.server_dealer_list(given, dealers, NEAR, PARAMS).dealers


def test_without_complaints_u2_is_who_dealt() -> None:
    assert u2(acks({})) == SEVEN
    assert u2(acks({}), SEVEN[:5]) == SEVEN[:5]


@pytest.mark.parametrize("count", range(8))
def test_up_to_c_complaints_are_borne_and_more_exclude_the_dealer(count) -> None:
    dealer = SEVEN[3]
    found = u2(acks({dealer: SEVEN[:count]}))
    assert (dealer in found) == (count <= PARAMS.c)
    assert set(found) >= set(SEVEN) - {dealer}


def test_a_false_complaint_of_c_members_frames_nobody() -> None:
    liars = SEVEN[:2]
    assert u2(acks(dict.fromkeys(SEVEN[2:], liars))) == SEVEN


@pytest.mark.parametrize("silent", range(8))
def test_t_ones_are_needed_whatever_the_complaints(silent) -> None:
    given = {v: ack for v, ack in acks({}).items() if v in SEVEN[silent:]}
    if len(given) >= PARAMS.t:
        assert u2(given) == SEVEN
    else:
        refused = refused_rule(share_ack.server_dealer_list, given, SEVEN, NEAR, PARAMS)
        assert refused == "4.4-3"


def test_zeros_are_only_of_those_that_acked() -> None:
    given = {v: ack for v, ack in acks({}).items() if v in SEVEN[2:]}
    assert share_ack.tally(SEVEN[0], given, NEAR) == share_ack.Tally(5, 0)


def test_4_4_3_needs_q_sound_dealers() -> None:
    liars = SEVEN[:3]
    given = acks(dict.fromkeys(SEVEN[4:], liars))
    refused = refused_rule(share_ack.server_dealer_list, given, SEVEN, NEAR, PARAMS)
    assert refused == "4.4-3"


# --- the client


def client_accept(*dealers, u1=SEVEN):
    return share_ack.client_accept_dealer_list(
        DealerList(dealers=dealers), u1=u1, params=PARAMS
    )


def test_l2_is_u2() -> None:
    assert client_accept(*SEVEN) == SEVEN
    assert client_accept(*SEVEN[2:]) == SEVEN[2:]


@pytest.mark.parametrize(
    "dealers",
    [
        (SEVEN[1], SEVEN[0], *SEVEN[2:]),
        (*SEVEN, SEVEN[-1]),
        (*SEVEN, PeerId("v")),
    ],
    ids=["unsorted", "twice", "stranger"],
)
def test_4_4_2_refuses_a_list_not_sorted_distinct_and_within_u1(dealers) -> None:
    assert refused_rule(client_accept, *dealers) == "4.4-2"


def test_4_4_2_refuses_a_member_that_is_not_in_u1() -> None:
    assert refused_rule(client_accept, *SEVEN, u1=SEVEN[1:]) == "4.4-2"


def test_4_4_3_the_client_refuses_fewer_than_q_dealers() -> None:
    assert client_accept(*SEVEN[: PARAMS.q])
    assert refused_rule(client_accept, *SEVEN[: PARAMS.q - 1]) == "4.4-3"


# --- the regular graph

SPARSE = Parties(12, 1, losses=2)
DEGREE = SPARSE.params.degree


def sparse_u2(zeros, silent=()):
    """U2 of the regular graph if these complain of a dealer, and these are silent."""
    given = {
        v: frozenset(u for u in SPARSE.near[v] if v not in zeros.get(u, ()))
        for v in SPARSE.members
        if v not in silent
    }
    made = share_ack.server_dealer_list(
        given, SPARSE.members, SPARSE.near, SPARSE.params
    )
    return made.dealers


def test_on_the_regular_graph_a_bitmap_is_over_the_closed_neighbourhood() -> None:
    me = SPARSE.members[0]
    bitmap = share_ack.client_ack(SPARSE.held[me].b, SPARSE.near[me]).bitmap
    assert bitmap == bytes([2 ** (DEGREE.k + 1) - 1])
    assert share_ack.acked(bitmap, SPARSE.near[me]) == set(SPARSE.near[me])


@pytest.mark.parametrize("count", range(4))
def test_on_the_regular_graph_more_than_c_k_neighbours_exclude_a_dealer(count) -> None:
    dealer = SPARSE.members[3]
    liars = SPARSE.graph.neighbours(dealer)[:count]
    assert (dealer in sparse_u2({dealer: liars})) == (count <= DEGREE.corrupt)


def test_on_the_regular_graph_what_others_than_neighbours_say_does_not_count() -> None:
    dealer = SPARSE.members[3]
    far = [v for v in SPARSE.members if v not in SPARSE.near[dealer]]
    assert sparse_u2({dealer: far}) == SPARSE.members


@pytest.mark.parametrize("silent", range(4))
def test_on_the_regular_graph_l_plus_1_ones_are_needed(silent) -> None:
    dealer = SPARSE.members[3]
    gone = SPARSE.graph.neighbours(dealer)[:silent]
    left = DEGREE.k + 1 - silent
    assert (dealer in sparse_u2({}, gone)) == (left > DEGREE.least)
