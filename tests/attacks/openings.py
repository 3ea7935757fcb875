"""Attacks 1 to 4, 11 and 53: on what is opened, or sent, more than once.

The attacker wins with a member's input or weight, and with nothing less.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from secagg import client_moves, events
from secagg import messages as msg
from secagg.client_state import TaskMemory, Voted
from secagg.masking import split
from secagg.names import PeerId
from secagg.policy import Policy
from secagg.rounds import consistency, unmasking
from tests.attacks import prizes
from tests.attacks.attack import Attack, without
from tests.attacks.stories import tell
from tests.helpers import AGGREGATOR, ReferenceEngine, Scene, scene, silo, silos
from tests.machine.forge import lying
from tests.machine.split import SplitView
from tests.machine.split import split as told_apart
from tests.recording import RecordedClient, RecordedEntropy
from tests.rules_off import switched_off

VICTIM, ME = silo(1), silo(2)
OWN = Policy(corruption_bound=1, smallest_sparse=0, sparse_corrupt_percent=0)
"""Floors of the hospitals that leave room for sessions of four out of five."""


def robbed(world: Scene, corrupt: tuple[int, ...] = ()) -> bool:
    """Whether the shares that came and those of corrupt members bare the victim."""
    secrets = prizes.secrets_of(world, VICTIM, silos(*corrupt))
    return len(secrets) == 2 and prizes.is_bare(world, VICTIM, secrets)


# --- 1: one request for both kinds


def both_kinds_by_lists_that_overlap() -> bool:
    """The victim is in U3, and its vote is not in the Certificate."""
    world = scene()

    def voteless(message, to):
        votes = world.server._state.votes
        rows = [msg.SignedVote(peer=u, signature=votes[u]) for u in sorted(votes)]
        return replace(message, votes=tuple(r for r in rows if r.peer != VICTIM))

    lying(world, Certificate=voteless)
    world.run()
    return robbed(world)


@contextlib.contextmanager
def _shares_by_two_lists():
    """Have shares of b go by U3, and those of the mask keys by who did not vote."""
    check, release = consistency.check_certificate, unmasking.client_release
    voted: set[str] = set()

    def checked(message, **others):
        check(message, **others)
        voted.update(vote.peer for vote in message.votes)

    def released(held, *, near, u3):
        of_b = release(held, near=near, u3=u3).shares
        of_s = tuple(held.s.get(v) for v in near if v not in voted)
        return msg.Unmasking(shares=(*of_b, *of_s))

    with (
        mock.patch.object(consistency, "check_certificate", checked),
        mock.patch.object(unmasking, "client_release", released),
    ):
        yield


# --- 2: two survivor lists for two parts


def two_stories() -> SplitView:
    """On the sparse graph: a share and that of a corrupt member open a secret."""
    told = silos(2, 4, 6, 8, 10)
    return told_apart(12, 1, VICTIM, told, m=1, graph="regular", losses=1)


def a_split_view_of_u3() -> bool:
    """Each part is shown the votes that there are on its own list."""
    attack = two_stories()
    attack.run()
    return robbed(attack.world, (12,))


def votes_for_another_story() -> bool:
    """Each part is shown the votes on both lists as votes on its own."""
    attack = two_stories()
    for view in attack.views:
        attack.vote(view)
    rows = {u: sig for view in attack.views for u, sig in view.votes.items()}
    for view in attack.views:
        attack.certify(view, {**rows, **view.votes})
    return robbed(attack.world, (12,))


# --- 3: a second answer


def a_second_answer_to_another_u3() -> bool:
    """All honest members are told of one U3, answer, and are told of another."""
    attack = told_apart(4, 1, VICTIM, silos(1, 2, 3))
    for view in attack.views:
        view.told = silos(1, 2, 3)
        attack.vote(view)
        attack.certify(view, view.votes)
    return robbed(attack.world, (4,))


@dataclass(frozen=True, kw_only=True)
class Unlatched(Voted):
    """A state after the release that still has the shares."""

    u1: tuple[str, ...]


@contextlib.contextmanager
def _nothing_latched():
    with (
        switched_off("3.4-6", "3.4-7"),
        mock.patch.object(client_moves, "Released", Unlatched),
    ):
        yield


# --- 4: a client that is started again


def a_round_joined_again_after_a_restart() -> bool:
    """The same updates are summed with the victim and without it."""
    world = scene(5, policy=OWN)
    world.run()
    for u, client in world.clients.items():
        world.clients[u] = restarted(world, client)
    end = world.outcome(AGGREGATOR)
    assert isinstance(end, events.Completed)
    return differs_by_the_victim(world, without_it(world, link=end.link))


def without_it(world: Scene, **of_session: Any) -> Scene:
    """A further session of the same clients, but for the victim."""
    del world.clients[VICTIM]
    again = world.next_session(**of_session)
    again.engine = ReferenceEngine(again.server.params.width)
    again.run()
    return again


def differs_by_the_victim(world: Scene, again: Scene) -> bool:
    """Whether the difference of two sums is the victim's input, up to the rounding."""
    if world.opened is None or again.opened is None:
        return False
    s = world.server.params.scale.s
    found = world.opened[: world.task.length] - again.opened[: world.task.length]
    return bool(np.all(np.abs(found - s * world.updates[VICTIM]) <= len(world.clients)))


def restarted(world: Scene, client: RecordedClient) -> RecordedClient:
    """A new process with what the old one had on its disk."""
    memory = TaskMemory()
    for effect in client.effects:
        match effect:
            case events.PersistJoined(round_no=number, attempt=attempt):
                memory = replace(memory, last_joined=(number, attempt))
            case events.PersistSpent(round_no=number):
                memory = replace(memory, spent_round=number)
            case events.PersistHead(head=head):
                memory = replace(memory, head=head)
            case _:
                pass
    return RecordedClient(
        identity=world.consortium.silos[client.id],
        roster=world.consortium.roster,
        policy=client._policy,
        entropy=RecordedEntropy(b"restarted " + client.id.encode()),
        aggregator=AGGREGATOR,
        memory={world.task.task_id: memory},
    )


# --- 11: sums that are subtracted


def one_update_in_two_attempts() -> bool:
    """The Result of the first attempt is withheld: it failed, says the aggregator."""
    world = scene(5, policy=OWN)
    lying(world, Result=lambda message, to: None)
    world.run()
    for u in world.clients:
        tell(world, msg.Abort(rule="0-1", detail="", missing=()), to=u)
    return differs_by_the_victim(world, without_it(world, attempt=2))


def two_sums_that_one_member_sets_apart() -> bool:
    """Of two rounds, whose weights are the same: the number of its patients."""
    own = replace(OWN, min_difference=2)
    world = scene(5, policy=own, weights=[37, 10, 20, 30, 40])
    end = world.run()
    assert isinstance(end, events.Completed)
    after = without_it(world, round_no=2, link=end.link).outcome(AGGREGATOR)
    if not isinstance(after, events.Completed):
        return False
    first, second = (dict(one.result.extras)["weight"] for one in (end, after))
    return first - second == world.weights[VICTIM]


# --- 53: two inputs under one mask


def two_inputs_under_one_mask() -> bool:
    """A second U2, after the update is another one: a corrupt silo 4 is left out."""
    world = scene(silent={3: "masked_input"}).started().pump()
    sent = [_vector(world)]
    world.updates[ME] = world.updates[ME] + 0.1
    others = msg.DealerList(dealers=silos(1, 2, 3))
    tell(world, others, h=world.server._state.h1)
    sent.append(_vector(world))
    (y_1, x_1), (y_2, x_2) = sent
    known = _mask_with(world, silo(4))
    p = world.server.params.p
    differ = not np.array_equal(x_1, x_2)
    return differ and np.array_equal((y_2 - y_1 + known) % p, (x_2 - x_1) % p)


def _vector(world: Scene) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The vector that silo 2 sent, and the input in it."""
    y_u, x_u = prizes.sent_by(world, ME), prizes.input_of(world, ME)
    return y_u.astype(np.int64), x_u.astype(np.int64)


def _mask_with(world: Scene, corrupt: PeerId) -> NDArray[np.int64]:
    """The pair mask in silo 2's vector that a corrupt member knows."""
    scalar = world.clients[corrupt].drawn["s_sk"][-1]
    seeds, signs = split(prizes.pair_masks(world, corrupt, scalar, [ME]))
    mask = np.zeros(world.server.params.total_length, dtype=np.uint32)
    # What takes it off the other's vector adds it to this one.
    world.engine.accumulate(mask, seeds, signs, 0, len(mask))
    return mask.astype(np.int64)


ATTACKS = [
    Attack(1, both_kinds_by_lists_that_overlap, _shares_by_two_lists),
    Attack(2, a_split_view_of_u3, without("4.6-4")),
    Attack(2, votes_for_another_story, without("4.6-3")),
    Attack(3, a_second_answer_to_another_u3, _nothing_latched),
    Attack(4, a_round_joined_again_after_a_restart, without("4.1-6", "4.1-8")),
    Attack(11, one_update_in_two_attempts, without("4.1-8")),
    Attack(11, two_sums_that_one_member_sets_apart, without("4.5-8")),
    Attack(53, two_inputs_under_one_mask, without("3.4-6", "3.4-7")),
]
