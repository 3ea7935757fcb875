"""A whole consortium in one process: identities, roster, clients ready for a session.

For simulations and tests: everything is derived from a seed, nothing is enrolled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from secagg import events
from secagg.client import Client
from secagg.client_state import TaskMemory
from secagg.crypto.transcript import LINK_START
from secagg.entropy import Entropy, SeededEntropy
from secagg.identity import Identity
from secagg.names import PeerId
from secagg.policy import Policy
from secagg.roster import AGGREGATOR, HOSPITAL, Roster, RosterMember
from secagg.server import Server
from secagg.task import Task

NO_MODEL = bytes(32)
"""The model hash of sums that belong to no model."""


@dataclass(frozen=True, kw_only=True)
class Consortium:
    """Identities of one aggregator and its silos, and the roster of them all."""

    aggregator: Identity
    silos: Mapping[PeerId, Identity]
    roster: Roster
    entropy: Mapping[PeerId, Entropy]

    @classmethod
    def of(cls, count: int, seed: bytes) -> Consortium:
        """Make `count` silos, ``silo-001`` ..., and ``aggregator``, from a seed."""
        digits = max(3, len(str(count)))
        names = [PeerId(f"silo-{i:0{digits}}") for i in range(1, count + 1)]
        every = [PeerId("aggregator"), *names]
        entropy = {u: SeededEntropy(seed + u.encode("ascii")) for u in every}
        identities = {u: Identity.generate(u, entropy[u]) for u in every}
        aggregator = identities.pop(every[0])
        return cls(
            aggregator=aggregator,
            silos=identities,
            roster=_roster([aggregator, *identities.values()], aggregator.id),
            entropy=entropy,
        )

    def client(
        self, peer: PeerId, policy: Policy, memory: Mapping[str, TaskMemory]
    ) -> Client:
        """Return a machine for `peer`."""
        return Client(
            identity=self.silos[peer],
            roster=self.roster,
            policy=policy,
            entropy=self.entropy[peer],
            aggregator=self.aggregator.id,
            memory=memory,
        )


def open_session(
    consortium: Consortium,
    task: Task,
    clients: Mapping[PeerId, Client],
    *,
    round_no: int = 1,
    attempt: int = 1,
    previous_link: bytes = LINK_START,
) -> Server:
    """Let every client say Ready, and return the machine of the session over them."""
    ready: dict[PeerId, bytes] = {}
    said = events.InputReady(
        task_id=task.task_id, round_no=round_no, model_hash=NO_MODEL
    )
    for peer, client in clients.items():
        for effect in client.handle(said):
            if isinstance(effect, events.SayReady):
                ready[peer] = effect.ready.ready_nonce
    entropy = consortium.entropy[consortium.aggregator.id]
    manifest = task.manifest(
        aggregator=consortium.aggregator.id,
        roster=consortium.roster,
        ready=ready,
        round_no=round_no,
        attempt=attempt,
        model_hash=NO_MODEL,
        previous_link=previous_link,
        rotation=entropy.draw("rotation", 32) if task.rotation else None,
    )
    return Server(
        identity=consortium.aggregator, roster=consortium.roster, manifest=manifest
    )


def _roster(identities: list[Identity], aggregator: PeerId) -> Roster:
    members = [
        RosterMember(
            id=identity.id,
            role=AGGREGATOR if identity.id == aggregator else HOSPITAL,
            key=identity.key.public,
            name=identity.id,
        )
        for identity in identities
    ]
    return Roster.beginning("simulation").followed_by(members)
