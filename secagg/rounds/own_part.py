"""Own part: where a member finds its own signature in what others show it.

What it signed it did, whatever its disk remembers. So a part above its marks says that
the disk is an older copy (rule 9-6). That it is in a link's U3 the aggregator alone has
signed: of a vote among many, nothing but the aggregator's word is left.
"""

from __future__ import annotations

from dataclasses import dataclass

from secagg import codec, errors
from secagg.crypto import transcript
from secagg.messages import (
    Certificate,
    KeyList,
    Manifest,
    NoiseTerms,
    PastRound,
    Result,
)
from secagg.names import PeerId, SessionId
from secagg.roster import Roster
from secagg.signing import signed_by


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPart:
    """What a member did in a session, as it is shown to have.

    Attributes:
        round_no: the session's round.
        attempt: the session's attempt.
        included: whether its input is in the sum.
        noise: of the release that its input went into; None for none.
    """

    round_no: int
    attempt: int
    included: bool = False
    noise: NoiseTerms | None = None


def in_link(past: PastRound, *, me: PeerId, members: int) -> OwnPart | None:
    """Return a member's part in a link of the chain that `next_link` has checked.

    Its own vote is among the q that are shown, or it is in U3. For U3 the aggregator's
    signature stands: the q votes are on h3, from which a link does not show U3. An
    aggregator that lies here stops one hospital, which it could have left out as well.
    Who is not in U3 and whose vote was not among the q finds nothing.

    Args:
        past: the link's evidence.
        me: the member.
        members: of the roster.
    """
    manifest = codec.decode_envelope(past.manifest, members=members)
    result = codec.decode_envelope(past.result, members=members)
    terms = codec.decode_body(manifest.type, manifest.body, members=members)
    said = codec.decode_body(result.type, result.body, members=members)
    votes = codec.decode_body("Certificate", past.certificate, members=members)
    if (
        not isinstance(terms, Manifest)
        or not isinstance(said, Result)
        or not isinstance(votes, Certificate)
    ):
        raise errors.RemoteProtocolError("4.8-4", "a link without its evidence")
    included = me in said.u3
    if not included and all(vote.peer != me for vote in votes.votes):
        return None
    return OwnPart(
        round_no=terms.round_no,
        attempt=terms.attempt,
        included=included,
        noise=terms.dp if included else None,
    )


def in_key_list(
    key_list: KeyList,
    manifest: Manifest,
    *,
    me: PeerId,
    roster: Roster,
) -> OwnPart | None:
    """Return a member's part in a session that it may not know of.

    Args:
        key_list: the session's, as it came.
        manifest: the session's terms.
        me: the member.
        roster: has its key.
    """
    sid = SessionId(transcript.session_id(codec.encode_body(manifest)))
    for entry in key_list.entries:
        if entry.peer == me and signed_by(
            roster.member(me).key,
            entry.signature,
            entry.keys,
            sender=me,
            receiver=manifest.aggregator,
            sid=sid,
            h=sid,
        ):
            return OwnPart(round_no=manifest.round_no, attempt=manifest.attempt)
    return None
