"""Manifest: the aggregator proposes a session, the client decides (spec 4.1)."""

from __future__ import annotations

from dataclasses import dataclass

from secagg import errors
from secagg.messages import Manifest, NoiseTerms, Ready
from secagg.names import PeerId
from secagg.params import MAX_ATTEMPTS, Parameters
from secagg.policy import Policy
from secagg.privacy.own_budget import check_budget
from secagg.roster import Roster


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a client brings to a Manifest: its pins and its durable memory.

    Attributes:
        me: its own id.
        roster: the pinned roster.
        policy: its own floors.
        last_joined: the last (round_no, attempt) it joined in the task.
        head: the head of the task's chain, 32 bytes.
        spent: whether it stated a root or released a share in the Manifest's round.
        charges: the noise of every release that its updates may have entered, of
            whichever task.
    """

    me: PeerId
    roster: Roster
    policy: Policy
    last_joined: tuple[int, int]
    head: bytes
    spent: bool
    charges: tuple[NoiseTerms, ...] = ()


def client_join(
    manifest: Manifest, *, sender: PeerId, ready: Ready, standing: Standing
) -> Parameters:
    """Check a Manifest and return its parameters, or refuse it.

    Args:
        manifest: the decoded body; the signature was checked.
        sender: who signed it.
        ready: what this process said it is ready for, with its nonce.
        standing: this client's pins and memory.

    Raises:
        RemoteProtocolError: rules 2.2-1 to 2.2-9, 4.1-1 to 4.1-8.
    """
    check_members(manifest, sender=sender, roster=standing.roster)
    _check_own_place(manifest, me=standing.me, ready=ready)
    params = Parameters.of(manifest)
    standing.policy.check(manifest)
    check_budget(manifest.dp, standing.charges, standing.policy)
    pair = (manifest.round_no, manifest.attempt)
    fresh = pair > standing.last_joined and 1 <= manifest.attempt <= MAX_ATTEMPTS
    errors.require(
        "4.1-6", fresh, f"round and attempt {pair} after {standing.last_joined}"
    )
    errors.require(
        "4.1-7",
        manifest.previous_link == standing.head,
        "previous_link is not this client's head: catch up with the task's history",
    )
    errors.require(
        "4.1-8",
        not standing.spent,
        f"the update of round {manifest.round_no} is spent: train for the next one",
    )
    return params


def check_members(manifest: Manifest, *, sender: PeerId, roster: Roster) -> None:
    """Check rules 4.1-1 and 4.1-2: members, aggregator and roster."""
    peers = [member.peer for member in manifest.members]
    known = set(peers) <= set(roster.hospitals)
    served = manifest.aggregator == sender and sender in roster.aggregators
    errors.require(
        "4.1-1",
        peers == sorted(set(peers)) and known and served,
        "the members are not distinct, sorted hospitals of the roster, or the sender "
        "is not the aggregator they name",
    )
    errors.require(
        "4.1-2",
        manifest.roster_hash == roster.hash,
        f"the aggregator's roster differs from the pinned version {roster.version}: "
        "compare `secagg roster show` on both sides",
    )


def _check_own_place(manifest: Manifest, *, me: PeerId, ready: Ready) -> None:
    nonces = {member.peer: member.ready_nonce for member in manifest.members}
    errors.require(
        "4.1-3",
        nonces.get(me) == ready.ready_nonce,
        f"{me} is not a member with the nonce this process drew: another process of "
        "the same identity may be running",
    )
    said = (ready.task_id, ready.round_no, ready.model_hash)
    asked = (manifest.task_id, manifest.round_no, manifest.model_hash)
    errors.require(
        "4.1-4",
        said == asked,
        f"ready for task {ready.task_id} round {ready.round_no}, asked for task "
        f"{manifest.task_id} round {manifest.round_no} or another model",
    )
