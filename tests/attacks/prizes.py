"""What an attacker is after, worked out from what it got: secrets, and a bare input.

It is the aggregator: it has every vector that was sent and every commitment. Shares are
told apart by a hash of their own and joined by the spec's model.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol_spec.model.shamir import rebuild, scalar_bytes
from secagg import messages as msg
from secagg import packing
from secagg.events import LostMember
from secagg.masking import Mask, removed_pair_masks, removed_self_masks, split
from secagg.names import PeerId
from tests.helpers import Scene
from tests.invariants import digest
from tests.recording import body_of

Secrets = dict[str, bytes]
"""Secrets of one member, by kind: b, its self seed, and s, its mask key."""


def secrets_of(
    world: Scene, victim: PeerId, corrupt: Collection[PeerId] = ()
) -> Secrets:
    """What the shares rebuild that were sent, and that corrupt members hold."""
    points: dict[str, dict[int, int]] = {"b": {}, "s": {}}
    for holder in world.clients:
        held = _held(world, holder, victim) if holder in corrupt else ()
        for share in (*_sent(world, holder), *held):
            for kind in _kinds(world, victim, holder, share):
                x = world.server.params.x_of(holder)
                points[kind][x] = int.from_bytes(share, "little")
    t = world.server.params.t
    return {k: scalar_bytes(rebuild(of)) for k, of in points.items() if len(of) >= t}


def _sent(world: Scene, holder: PeerId) -> Iterator[bytes]:
    for envelope in world.clients[holder].sent:
        if envelope.type == "Unmasking":
            message = body_of(envelope)
            assert isinstance(message, msg.Unmasking)
            yield from (share for share in message.shares if share is not None)


def _held(world: Scene, holder: PeerId, dealer: PeerId) -> Iterator[bytes]:
    session: Any = world.clients[holder]._session
    for shares in (session.held.b, session.held.s):
        if dealer in shares:
            yield shares[dealer]


def _kinds(world: Scene, dealer: PeerId, holder: PeerId, share: bytes) -> list[str]:
    """Which of the dealer's commitments to this holder the share opens."""
    names = (dealer.encode(), holder.encode())
    committed = {
        (kind, getattr(entry, f"com_{kind}"))
        for entry in world.server._state.dealt[dealer].entries
        for kind in "bs"
    }
    made = {
        k: digest(f"secagg/1/com-{k}", world.server.sid, *names, share) for k in "bs"
    }
    return [kind for kind, value in made.items() if (kind, value) in committed]


def is_bare(world: Scene, victim: PeerId, secrets: Secrets) -> bool:
    """Whether a member's vector without the masks of these secrets is its input."""
    return np.array_equal(
        without_masks(world, victim, secrets), input_of(world, victim)
    )


def input_of(world: Scene, victim: PeerId) -> NDArray[np.uint32]:
    """The truth: a member's x_u."""
    return world.inputs[victim].window(0, world.server.params.total_length)


def sent_by(world: Scene, victim: PeerId) -> NDArray[np.uint32]:
    """A member's y_u."""
    params = world.server.params
    [chunk] = world._stored[victim]
    return packing.unpack(chunk, params.total_length, params.width)


def without_masks(world: Scene, victim: PeerId, secrets: Secrets) -> NDArray[np.uint32]:
    """A member's y_u less the masks that follow from these secrets."""
    sid, state = world.server.sid, world.server._state
    masks = [*removed_self_masks(sid, {victim: secrets["b"]} if "b" in secrets else {})]
    if "s" in secrets:
        near = [u for u in state.graph.neighbours(victim) if u in state.u2]
        masks += pair_masks(world, victim, secrets["s"], near)
    y_u = sent_by(world, victim)
    world.engine.accumulate(y_u, *split(masks), 0, len(y_u))
    return y_u


def pair_masks(
    world: Scene, peer: PeerId, s_sk: bytes, near: Iterable[PeerId]
) -> list[Mask]:
    """What takes a member's pair masks with some others off its vector."""
    keys = world.server._state.adverts
    partners = tuple((u, keys[u].keys.s_pk) for u in near)
    lost = LostMember(sid=world.server.sid, peer=peer, s_sk=s_sk, partners=partners)
    # What takes them off the sum of the others adds them to its own.
    return [replace(mask, sign=-mask.sign) for mask in removed_pair_masks(lost)]


def sum_over(
    world: Scene, u3: Collection[PeerId], secrets: Mapping[PeerId, Secrets]
) -> NDArray[np.uint32]:
    """The sum over U3, of the seeds of U3 and the mask keys of the others."""
    total = np.zeros(world.server.params.total_length, dtype=np.uint64)
    gone = [u for u in world.server._state.u2 if u not in u3]
    for u in u3:
        total += without_masks(world, u, {"b": secrets[u]["b"]})
    p = world.server.params.p
    opened = (total % p).astype(np.uint32)
    for v in gone:
        masks = pair_masks(world, v, secrets[v]["s"], sorted(u3))
        # In the vectors of U3 they have the other sign.
        added, signs = split(masks)
        world.engine.accumulate(opened, added, [-x for x in signs], 0, len(opened))
    return opened
