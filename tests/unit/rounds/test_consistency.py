"""secagg.rounds.consistency: q votes on one h3 (4.6)."""

from dataclasses import replace

import pytest

from secagg.messages import Certificate, Consistency
from secagg.names import PeerId, SessionId
from secagg.rounds import consistency
from tests.helpers import AGGREGATOR, refused_rule, silo
from tests.parties import Parties
from tests.samples import blob

P = Parties(5, 1)
Q = P.params.q
H3 = blob(7)
VOTES = [P.vote(u, H3) for u in P.members]


def check(votes, **other):
    fields = {
        "h3": H3,
        "sid": P.sid,
        "voters": P.members,
        "quorum": Q,
        "roster": P.roster,
        "aggregator": AGGREGATOR,
    }
    consistency.check_certificate(
        Certificate(votes=tuple(votes)), **{**fields, **other}
    )


def test_q_votes_are_enough_and_all_are_fine() -> None:
    check(VOTES[:Q])
    check(VOTES[-Q:])
    check(VOTES)


@pytest.mark.parametrize(
    "votes",
    [
        [VOTES[1], VOTES[0], *VOTES[2:]],
        [*VOTES, VOTES[-1]],
        [VOTES[0], *VOTES],
        [*VOTES, replace(VOTES[0], peer=PeerId("stranger"))],
    ],
    ids=["unsorted", "last twice", "first twice", "stranger"],
)
def test_4_6_2_refuses_voters_not_sorted_distinct_and_within_u1(votes) -> None:
    assert refused_rule(check, votes) == "4.6-2"


def test_4_6_2_refuses_a_vote_of_one_that_is_not_in_u1() -> None:
    assert refused_rule(check, VOTES, voters=P.members[:4]) == "4.6-2"


@pytest.mark.parametrize(
    "vote",
    [
        P.vote(silo(3), blob(8)),
        replace(VOTES[2], signature=VOTES[1].signature),
        replace(VOTES[2], signature=bytes(64)),
    ],
    ids=["another h3", "another's", "none"],
)
def test_4_6_3_refuses_a_vote_that_is_not_its_voters_on_this_h3(vote) -> None:
    assert refused_rule(check, [*VOTES[:2], vote, *VOTES[3:]]) == "4.6-3"


def test_4_6_3_refuses_votes_of_another_session_or_on_another_latched_h3() -> None:
    assert refused_rule(check, VOTES, sid=SessionId(blob(9))) == "4.6-3"
    assert refused_rule(check, VOTES, h3=blob(8)) == "4.6-3"


def test_4_6_4_refuses_fewer_than_q_votes() -> None:
    assert refused_rule(check, VOTES[: Q - 1]) == "4.6-4"
    assert refused_rule(check, []) == "4.6-4"


def test_the_server_takes_a_vote_on_h3_and_4_6_1_refuses_another() -> None:
    consistency.server_accept(Consistency(h3=H3), h3=H3, voter=silo(1))
    bent = Consistency(h3=blob(8))
    refused = refused_rule(consistency.server_accept, bent, h3=H3, voter=silo(1))
    assert refused == "4.6-1"


def test_the_certificate_is_the_first_q_votes_and_4_6_4_needs_q_for_it() -> None:
    votes = {vote.peer: vote.signature for vote in reversed(VOTES)}
    made = consistency.server_certificate(votes, P.params)
    assert made.votes == tuple(VOTES[:Q])
    assert len(VOTES) > Q
    few = {u: votes[u] for u in P.members[: Q - 1]}
    assert refused_rule(consistency.server_certificate, few, P.params) == "4.6-4"
