"""Consistency: q members vote on one h3, so at most one U3 is certified (spec 4.6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from secagg import errors
from secagg.messages import Certificate, Consistency, SignedVote
from secagg.names import PeerId, SessionId
from secagg.params import Parameters
from secagg.roster import Roster
from secagg.rounds.advertise_keys import check_size, check_sorted_within
from secagg.signing import all_signed_by


def server_accept(message: Consistency, *, h3: bytes, voter: PeerId) -> None:
    """Check that a vote names h3.

    Raises:
        RemoteProtocolError: rule 4.6-1.
    """
    errors.require("4.6-1", message.h3 == h3, "the vote names another h3", [voter])


def server_certificate(
    votes: Mapping[PeerId, bytes], params: Parameters
) -> Certificate:
    """Close the round with q of the votes that arrived, those of the lowest ids.

    More would prove no more, and each costs every client a verification.

    Raises:
        RemoteProtocolError: rule 4.6-4, fewer than q.
    """
    check_size("4.6-4", "U4", len(votes), params.q)
    voters = sorted(votes)[: params.q]
    rows = tuple(SignedVote(peer=u, signature=votes[u]) for u in voters)
    return Certificate(votes=rows)


def check_certificate(
    certificate: Certificate,
    *,
    h3: bytes,
    sid: SessionId,
    voters: Sequence[PeerId],
    quorum: int,
    roster: Roster,
    aggregator: PeerId,
) -> None:
    """Check that q members of `voters` voted for h3.

    Raises:
        RemoteProtocolError: rules 4.6-2 to 4.6-4.
    """
    peers = [vote.peer for vote in certificate.votes]
    check_sorted_within("4.6-2", "voters", peers, set(voters))
    vote = Consistency(h3=h3)
    quoted = (
        (one.peer, roster.member(one.peer).key, one.signature, vote)
        for one in certificate.votes
    )
    genuine = all_signed_by(quoted, receiver=aggregator, sid=sid, h=h3)
    for peer, signed in zip(peers, genuine, strict=True):
        errors.require(
            "4.6-3", signed, f"{peer} did not vote for the h3 of this client"
        )
    check_size("4.6-4", "votes", len(peers), quorum)
