"""Result: what came out, and the chain it becomes a link of (spec 4.8)."""

from __future__ import annotations

from collections.abc import Sequence

from secagg import codec, errors
from secagg.crypto import transcript
from secagg.differences import SummedSet
from secagg.messages import (
    Certificate,
    Envelope,
    Extra,
    Manifest,
    NoiseRecord,
    NoiseTerms,
    PastRound,
    Result,
)
from secagg.names import PeerId
from secagg.params import WEIGHT, Parameters
from secagg.roster import Roster
from secagg.roster_chain import PinnedRosters
from secagg.rounds.consistency import check_certificate
from secagg.rounds.manifest import check_members
from secagg.signing import open_envelope


def client_accept(message: Result, *, u3: Sequence[PeerId], params: Parameters) -> None:
    """Check a Result against the latched U3 and the session's parameters.

    Raises:
        RemoteProtocolError: rules 4.8-1 to 4.8-3, 4.8-5.
    """
    errors.require(
        "4.8-1", message.u3 == tuple(u3), "the Result names another U3 than was latched"
    )
    if message.vector is not None:
        size, width = message.vector.size, message.vector.width
        exact = width in {4, 8} and size == width * params.coordinates
        errors.require("4.8-2", exact, f"a vector of {size} bytes, {width} each")
    released = message.status == "released"
    _check_noise(message.dp, params.dp if released else None)
    _check_extras(message, len(u3), params.extras if released else ())


def _check_noise(noise: NoiseRecord | None, terms: NoiseTerms | None) -> None:
    said = None if noise is None else (noise.mechanism, noise.noise_multiplier)
    asked = None if terms is None else (terms.mechanism, terms.noise_multiplier)
    errors.require("4.8-3", said == asked, f"noise {said} instead of {asked}")


def _check_extras(message: Result, count: int, extras: Sequence[Extra]) -> None:
    """Check rule 4.8-5: a mean is divided by what stands here."""
    names = tuple(name for name, _ in message.extras)
    declared = tuple(extra.name for extra in extras)
    errors.require("4.8-5", names == declared, f"extras {names} instead of {declared}")
    if message.dp is not None:
        return
    for extra, (name, total) in zip(extras, message.extras, strict=False):
        low = max(1, extra.low) if name == WEIGHT else count * extra.low
        high = count * extra.high
        errors.require(
            "4.8-5", low <= total <= high, f"{name} = {total} is not in {low}..{high}"
        )


def summed_of(past: PastRound, *, members: int) -> SummedSet:
    """Return the set of a past round that `next_link` has checked.

    Args:
        past: Manifest and Result as sent.
        members: of the roster.
    """
    envelopes = [
        codec.decode_envelope(d, members=members) for d in (past.manifest, past.result)
    ]
    manifest, result = (
        codec.decode_body(one.type, one.body, members=members) for one in envelopes
    )
    if not isinstance(manifest, Manifest) or not isinstance(result, Result):
        raise errors.RemoteProtocolError("4.8-4", "a link without Manifest or Result")
    return SummedSet.of(manifest, result.u3)


def next_link(
    past: PastRound,
    *,
    head: bytes,
    task_id: str,
    aggregator: PeerId,
    rosters: PinnedRosters,
) -> bytes:
    """Check one past round from its evidence and return the head after it.

    Args:
        past: Manifest and Result as sent, h3, and the votes on it.
        head: the client's head before it.
        task_id: the task whose chain is walked.
        aggregator: who signed.
        rosters: the pinned versions; that which the Manifest names has all keys.

    Raises:
        RemoteProtocolError: rule 4.8-4 and those of the parts.
    """
    members = rosters.largest
    manifest_env = codec.decode_envelope(past.manifest, members=members)
    roster = _roster_of(manifest_env, rosters)
    errors.require("4.8-4", aggregator in roster.aggregators, f"{aggregator} is none")
    public = roster.member(aggregator).key
    sid = transcript.session_id(manifest_env.body)
    manifest = open_envelope(manifest_env, public=public, h=sid, members=members)
    result_env = codec.decode_envelope(past.result, members=members)
    result = open_envelope(result_env, public=public, h=past.h3, members=members)
    if not isinstance(manifest, Manifest) or not isinstance(result, Result):
        raise errors.RemoteProtocolError("4.8-4", "a link without Manifest or Result")
    check_members(manifest, sender=manifest_env.sender, roster=roster)
    errors.require(
        "4.8-4",
        manifest.previous_link == head
        and manifest.task_id == task_id
        and manifest_env.sid == result_env.sid == sid
        and manifest_env.sender == result_env.sender == aggregator,
        "a past round does not follow this client's head: the history was forked",
    )
    params = Parameters.of(manifest)
    summed = set(result.u3) <= set(params.members) and len(result.u3) >= params.floor
    errors.require("4.8-4", summed, f"|U3| = {len(result.u3)} is below {params.floor}")
    certificate = codec.decode_body("Certificate", past.certificate, members=members)
    if not isinstance(certificate, Certificate):
        raise errors.RemoteProtocolError("4.8-4", "a link without its Certificate")
    check_certificate(
        certificate,
        h3=past.h3,
        sid=sid,
        voters=params.members,
        quorum=params.q,
        roster=roster,
        aggregator=aggregator,
    )
    return transcript.link(head, sid, past.h3, result_env.body)


def _roster_of(envelope: Envelope, rosters: PinnedRosters) -> Roster:
    """Return the pinned version that a Manifest names; it is not verified yet."""
    manifest = None
    if envelope.type == "Manifest":
        manifest = codec.decode_body("Manifest", envelope.body, members=rosters.largest)
    if not isinstance(manifest, Manifest):
        raise errors.RemoteProtocolError("4.8-4", "a link without its Manifest")
    named = rosters.named(manifest.roster_hash)
    errors.require(
        "4.8-4", named is not None, "a link under a roster that is not pinned"
    )
    return named or rosters.newest
