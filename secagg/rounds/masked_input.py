"""MaskedInput: who masked with what, and whose vector is in the sum (spec 4.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from secagg import errors
from secagg.crypto import agree, transcript
from secagg.graph import Graph
from secagg.masking import Mask, own_masks
from secagg.messages import InputList, MaskedInput, SignedRoot
from secagg.names import PeerId, SessionId
from secagg.params import Parameters
from secagg.roster import Roster
from secagg.rounds.advertise_keys import KeyBook, check_size, check_sorted_within
from secagg.rounds.share_keys import Party
from secagg.shamir import scalar_to_bytes
from secagg.signing import all_signed_by


def client_masks(
    party: Party, book: KeyBook, near: Sequence[PeerId]
) -> tuple[Mask, ...]:
    """Return the masks of y_u: the self mask and a pair mask for each neighbour.

    Args:
        party: this client, with its secrets.
        book: U1 and its keys.
        near: N[u] in U2; the client is in U2.
    """
    seeds = {
        v: transcript.pair_seed(
            party.sid,
            agree.shared_secret(party.keys.s, book.keys[v].s_pk),
            party.me,
            v,
            party.keys.s.public,
            book.keys[v].s_pk,
        )
        for v in near
        if v != party.me
    }
    return own_masks(party.sid, party.me, scalar_to_bytes(party.keys.b_u), seeds)


def server_accept(*, stated: bytes, stored: bytes | None, peer: PeerId) -> None:
    """Check that the root a member stated is that of the chunks it sent.

    Args:
        stated: the root in its MaskedInput.
        stored: that of its chunks; None while some are lacking.
        peer: the member.

    Raises:
        RemoteProtocolError: rule 4.5-1.
    """
    errors.require(
        "4.5-1",
        stated == stored,
        f"the root that {peer} states is not that of the chunks it sent",
        [peer],
    )


def server_input_list(
    inputs: Mapping[PeerId, SignedRoot], graph: Graph, params: Parameters
) -> InputList:
    """Close the round: L3 of those whose vector is complete.

    Whoever keeps fewer than L neighbours is left out, again and again (rule 4.5-7).

    Raises:
        RemoteProtocolError: rule 4.5-5, |U3| below the floor.
    """
    u3 = graph.core(inputs, params.degree.least)
    check_size("4.5-5", "U3", len(u3), params.floor)
    return InputList(entries=tuple(inputs[peer] for peer in sorted(u3)))


def client_accept_input_list(
    message: InputList,
    *,
    me: PeerId,
    own_root: bytes | None,
    u2: Sequence[PeerId],
    graph: Graph,
    sid: SessionId,
    h2: bytes,
    params: Parameters,
    roster: Roster,
    aggregator: PeerId,
) -> tuple[PeerId, ...]:
    """Check L3, every statement in it, and return U3.

    Args:
        message: L3.
        me: this client.
        own_root: the root it stated, None if it stated none.
        u2: U2.
        graph: who is whose neighbour.
        sid: the session.
        h2: the transcript the statements are signed under.
        params: for the floor and L.
        roster: for the members' keys.
        aggregator: whom the statements are addressed to.

    Raises:
        RemoteProtocolError: rules 4.5-2 to 4.5-5, 4.5-7.
    """
    u3 = [entry.peer for entry in message.entries]
    check_sorted_within("4.5-2", "U3", u3, set(u2))
    quoted = (
        (
            entry.peer,
            roster.member(entry.peer).key,
            entry.signature,
            MaskedInput(root=entry.root),
        )
        for entry in message.entries
    )
    genuine = all_signed_by(quoted, receiver=aggregator, sid=sid, h=h2)
    for entry, signed in zip(message.entries, genuine, strict=True):
        errors.require("4.5-3", signed, f"{entry.peer} did not sign this root")
        errors.require(
            "4.5-4",
            entry.peer != me or entry.root == own_root,
            f"the root listed for {me} is not the one it stated",
        )
    check_size("4.5-5", "U3", len(u3), params.floor)
    least = params.degree.least
    lonely = sorted(set(u3) - graph.core(u3, least))
    detail = f"{', '.join(lonely)}: fewer than {least} neighbours left in U3"
    errors.require("4.5-7", not lonely, detail)
    return tuple(u3)
