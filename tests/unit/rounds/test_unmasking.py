"""secagg.rounds.unmasking: one kind of share a member, and what they open (4.7)."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from secagg import errors, shamir
from secagg.crypto import transcript
from secagg.field import Q, prime
from secagg.masking import removed_pair_masks, split
from secagg.messages import DealtEntry, Unmasking
from secagg.rounds import unmasking
from secagg.rounds.share_keys import HeldShares
from tests.helpers import ReferenceEngine, refused_rule, silo
from tests.parties import Parties
from tests.samples import blob

P = Parties(5, 1)
T = P.params.t
U3 = P.members[:4]
GONE = silo(5)
WIDTH = P.params.width


def releases(holders=P.members, u3=U3):
    return {u: P.release(u, u3) for u in holders}


def opened(given, dealings=None):
    return unmasking.server_open(given, dealings or P.dealings(U3))


def every_mask(effect):
    """Seeds and signs of all that it takes off."""
    pairs = [mask for lost in effect.lost for mask in removed_pair_masks(lost)]
    seeds, signs = split(pairs)
    return [*effect.seeds, *seeds], [*effect.signs, *signs]


# --- the client


def test_a_member_gets_one_kind_of_share_by_u3_alone() -> None:
    for u3 in itertools.combinations(P.members, 4):
        held = P.held[silo(1)]
        for v, share in zip(P.members, P.release(silo(1), u3).shares, strict=True):
            assert share == (held.b[v] if v in u3 else held.s[v])


def test_what_is_not_held_is_nil() -> None:
    held = HeldShares(b={silo(1): blob(1)}, s={GONE: blob(2)})
    made = unmasking.client_release(held, near=P.members, u3=U3)
    assert made.shares == (blob(1), None, None, None, blob(2))


# --- what the server accepts


@pytest.mark.parametrize("holder", P.members)
def test_the_committed_shares_are_accepted(holder) -> None:
    dealings = P.dealings(U3)
    unmasking.server_accept(P.release(holder, U3), holder=holder, dealings=dealings)
    nothing = Unmasking(shares=(None,) * 5)
    unmasking.server_accept(nothing, holder=holder, dealings=dealings)


def refused(shares):
    """The rule by which these shares of silo 2 are refused."""
    return refused_rule(
        unmasking.server_accept,
        Unmasking(shares=tuple(shares)),
        holder=silo(2),
        dealings=P.dealings(U3),
    )


GOOD = P.release(silo(2), U3).shares


@pytest.mark.parametrize(
    "shares",
    [
        GOOD[:-1],
        (*GOOD, None),
        (),
        (b"", *GOOD[1:]),
        (blob(1, 31), *GOOD[1:]),
        (Q.to_bytes(32, "little"), *GOOD[1:]),
        (blob(255), *GOOD[1:]),
    ],
)
def test_4_7_1_refuses_another_number_or_what_is_no_share(shares) -> None:
    assert refused(shares) == "4.7-1"


def test_4_7_2_refuses_a_share_that_is_not_the_committed_one() -> None:
    assert refused((blob(1), *GOOD[1:])) == "4.7-2"
    assert refused((GOOD[1], GOOD[0], *GOOD[2:])) == "4.7-2"
    assert refused(P.release(silo(3), U3).shares) == "4.7-2"


def test_4_7_2_refuses_the_other_kind_of_share() -> None:
    held = P.held[silo(2)]
    assert refused((held.s[silo(1)], *GOOD[1:])) == "4.7-2"
    assert refused((*GOOD[:4], held.b[GONE])) == "4.7-2"


# --- opening


def test_4_7_3_needs_t_shares_of_each_member() -> None:
    opened(releases(P.members[:T]))
    assert refused_rule(opened, releases(P.members[: T - 1])) == "4.7-3"


def test_4_7_3_counts_by_member_and_names_who_is_short() -> None:
    given = releases(P.members[:T])
    holed = Unmasking(shares=(None, *given[silo(1)].shares[1:]))
    found = unmasking.released_points({**given, silo(1): holed}, P.dealings(U3))
    assert [len(found[v]) for v in P.members] == [T - 1, T, T, T, T]
    with pytest.raises(errors.RemoteProtocolError, match=r"of \['silo-001'\]"):
        opened({**given, silo(1): holed})


@pytest.mark.parametrize("size", [4, 5])
def test_the_masks_opened_are_those_left_in_the_sum_over_u3(size) -> None:
    p, m = prime(WIDTH), 5
    for u3 in itertools.combinations(P.members, size):
        total = np.zeros(m, dtype=np.uint32)
        for u in u3:
            ReferenceEngine(WIDTH).accumulate(total, *split(P.masks(u)), 0, m)
        effect = opened(releases(P.members[:T], u3), P.dealings(u3))
        assert effect.u3 == u3
        assert [lost.peer for lost in effect.lost] == sorted({*P.members} - {*u3})
        seeds, signs = every_mask(effect)
        ReferenceEngine(WIDTH).accumulate(total, seeds, signs, 0, m)
        assert not (total % p).any()


def test_any_t_holders_open_the_same_masks() -> None:
    subsets = list(itertools.combinations(P.members, T))
    found = [every_mask(opened(releases(some))) for some in subsets]
    assert len(subsets) == 5
    assert all(masks == found[0] for masks in found)


# --- blame


def with_polynomial(dealer, kind, secret):
    """Dealings in which the dealer committed to shares of another secret.

    Returns:
        The dealings and everyone's releases.
    """
    dealings, given = P.dealings(U3), releases()
    coefficients = [7 + i for i in range(T - 1)]
    ys = shamir.share(secret, coefficients, [P.params.x_of(v) for v in P.members])
    rows = list(dealings.dealt[dealer].entries)
    place = P.members.index(dealer)
    for i, (v, y) in enumerate(zip(P.members, ys, strict=True)):
        share = shamir.scalar_to_bytes(y)
        coms = transcript.share_commitments(P.sid, dealer, v, share, share)
        com = {"com_b": coms[0]} if kind == "b" else {"com_s": coms[1]}
        rows[i] = replace(rows[i], **com)
        shares = list(given[v].shares)
        shares[place] = share
        given[v] = Unmasking(shares=tuple(shares))
    dealt = replace(dealings.dealt[dealer], entries=tuple(rows))
    return replace(dealings, dealt={**dealings.dealt, dealer: dealt}), given


@pytest.mark.parametrize(("dealer", "kind"), [(silo(3), "b"), (GONE, "s")])
def test_4_7_4_blames_the_dealer_whose_committed_shares_rebuild_no_secret(
    dealer, kind
) -> None:
    secret = {"b": P.keys[dealer].b_u, "s": P.keys[dealer].s_scalar}[kind]
    dealings, given = with_polynomial(dealer, kind, secret)
    for holder, release in given.items():
        unmasking.server_accept(release, holder=holder, dealings=dealings)
    opened(given, dealings)
    dealings, given = with_polynomial(dealer, kind, secret ^ 2**200)
    for holder, release in given.items():
        unmasking.server_accept(release, holder=holder, dealings=dealings)
    with pytest.raises(errors.RemoteProtocolError) as caught:
        opened(given, dealings)
    assert (caught.value.rule, caught.value.culprits) == ("4.7-4", (dealer,))


def test_4_7_4_takes_the_t_shares_with_the_lowest_x() -> None:
    """A wrong share among the others is not looked at; one among these is blamed."""
    dealings, given = P.dealings(U3), releases()
    for bent, blamed in ((silo(5), False), (silo(1), True)):
        wrong = Unmasking(shares=(blob(1), *given[bent].shares[1:]))
        changed = {**given, bent: wrong}
        if blamed:
            assert refused_rule(opened, changed, dealings) == "4.7-4"
        else:
            found, plain = opened(changed, dealings), opened(given, dealings)
            assert every_mask(found) == every_mask(plain)


def test_dealt_entries_without_their_seal_are_enough_to_judge() -> None:
    dealings = P.dealings(U3)
    bare = {
        u: replace(
            message,
            entries=tuple(
                DealtEntry(sealed=None, com_b=e.com_b, com_s=e.com_s)
                for e in message.entries
            ),
        )
        for u, message in dealings.dealt.items()
    }
    found = opened(releases(), replace(dealings, dealt=bare))
    assert every_mask(found) == every_mask(opened(releases()))


# --- the regular graph

SPARSE = Parties(12, 1, losses=2)
ALIVE = tuple(u for u in SPARSE.members if u not in {silo(3), silo(11)})


def sparse_releases(holders=SPARSE.members, u3=ALIVE):
    return {u: SPARSE.release(u, u3) for u in holders}


def test_on_the_regular_graph_there_is_a_place_for_each_neighbour() -> None:
    dealings = SPARSE.dealings(ALIVE)
    for u, release in sparse_releases().items():
        assert len(release.shares) == SPARSE.params.degree.k + 1
        unmasking.server_accept(release, holder=u, dealings=dealings)
        longer = Unmasking(shares=(*release.shares, None))
        refused = refused_rule(
            unmasking.server_accept, longer, holder=u, dealings=dealings
        )
        assert refused == "4.7-1"


@pytest.mark.parametrize("u3", [SPARSE.members, ALIVE])
def test_on_the_regular_graph_the_masks_left_are_the_neighbours_of_the_lost(u3) -> None:
    p, m = prime(SPARSE.params.width), 5
    engine = ReferenceEngine(SPARSE.params.width)
    total = np.zeros(m, dtype=np.uint32)
    for u in u3:
        engine.accumulate(total, *split(SPARSE.masks(u)), 0, m)
    effect = opened(sparse_releases(u3=u3), SPARSE.dealings(u3))
    for lost in effect.lost:
        partners = [u for u, _ in lost.partners]
        assert partners == [u for u in SPARSE.graph.neighbours(lost.peer) if u in u3]
    seeds, signs = every_mask(effect)
    engine.accumulate(total, seeds, signs, 0, m)
    assert not (total % p).any()


def test_on_the_regular_graph_any_t_neighbours_of_each_are_enough() -> None:
    """Here t = 2: whoever else stays silent, two of N[v] have v's shares."""
    few = [u for u in SPARSE.members if u not in {silo(1), silo(2), silo(12)}]
    found = opened(sparse_releases(few), SPARSE.dealings(ALIVE))
    assert every_mask(found) == every_mask(
        opened(sparse_releases(), SPARSE.dealings(ALIVE))
    )


def test_4_7_3_names_a_member_whose_neighbours_are_silent() -> None:
    lonely = silo(5)
    given = sparse_releases(u for u in SPARSE.members if u not in SPARSE.near[lonely])
    with pytest.raises(errors.RemoteProtocolError, match=lonely) as caught:
        opened(given, SPARSE.dealings(ALIVE))
    assert caught.value.rule == "4.7-3"
