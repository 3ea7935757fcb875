"""Attacks that succeed once a rule is switched off: the rule, and the witness, bite.

Each attack is held off by the rules it names. Without them an honest client does what
must never happen, and the witnesses of `tests.invariants` say so.
"""

from dataclasses import replace

import pytest

from secagg import codec, errors, events
from secagg import messages as msg
from secagg.crypto import transcript
from secagg.signing import seal
from tests.helpers import AGGREGATOR, scene, silo, silos
from tests.invariants import check_all
from tests.machine.forge import lying
from tests.machine.split import SplitView
from tests.rules_off import switched_off
from tests.samples import blob

ME = silo(2)


def tell(world, message, *, h=None, sid=None):
    """Let the aggregator tell silo 2 this."""
    here = world.server.sid if sid is None else sid
    envelope = seal(
        message,
        identity=world.consortium.aggregator,
        receiver=ME,
        sid=here,
        h=here if h is None else h,
    )
    world.tell_client(ME, events.Received(peer=AGGREGATOR, envelope=envelope))


def second_manifest(world, **other):
    body = world.manifest(**other)
    tell(world, body, sid=transcript.session_id(codec.encode_body(body)))


def two_input_lists():
    """Both lists to the same clients: who votes twice, votes for two U3."""
    attack = SplitView(4, 1, victim=silo(1), told_b=silos(1, 2, 3))
    for view in attack.views:
        for u in silos(1, 2, 3):
            attack._tell(u, attack._signed(view.inputs, attack._h2))
    return attack.world


def too_few_votes():
    """Certificates of what votes there are, to both parts of a split cohort."""
    attack = SplitView(4, 1, victim=silo(1), told_b=silos(3))
    attack.run()
    return attack.world


def votes_on_another_h3():
    """The votes of one story as those of the other."""
    attack = SplitView(4, 1, victim=silo(1), told_b=silos(3))
    first, second = attack.views
    for view in attack.views:
        for u in view.told:
            attack._tell(u, attack._signed(view.inputs, attack._h2))
            view.votes.update(attack._vote_of(u))
    rows = sorted({**first.votes, **second.votes}.items())
    votes = tuple(msg.SignedVote(peer=u, signature=sig) for u, sig in rows)
    certificate = attack._signed(msg.Certificate(votes=votes), second.h3)
    attack._tell(silo(3), certificate)
    return attack.world


def same_round_after_the_root():
    world = scene().started().until("consistency")
    tell(world, msg.Abort(rule="0-1", detail="", missing=()))
    world.clients[ME].handle(
        events.InputReady(task_id="task", round_no=1, model_hash=bytes(32))
    )
    second_manifest(world, attempt=2)
    return world


def same_attempt_again():
    world = scene().started().until("share_ack")
    second_manifest(world, attempt=1, durations=(1,) * 7)
    return world


def made_up_inputs():
    """A U3 of members that never sent anything."""
    world = scene(silent={3: "masked_input", 4: "masked_input"}).started().pump()
    roots = world.server._state.roots
    made_up = msg.SignedRoot(peer=silo(3), root=blob(9), signature=blob(1, 64))
    rows = (*(roots[u] for u in silos(1, 2)), made_up)
    tell(world, msg.InputList(entries=rows), h=world.server._state.h2)
    return world


def small_u3():
    """A U3 of two: each of them learns the other's input."""
    world = scene(silent={3: "masked_input", 4: "masked_input"}).started().pump()
    roots = world.server._state.roots
    rows = tuple(roots[u] for u in silos(1, 2))
    tell(world, msg.InputList(entries=rows), h=world.server._state.h2)
    return world


def keys_in_the_middle():
    """The aggregator's own keys under the name of silo 3."""
    evil = msg.AdvertiseKeys(c_pk=blob(9), s_pk=blob(8), b_commitment=blob(7))

    def swapped(message, to):
        if to != ME:
            return message
        rows = list(message.entries)
        rows[2] = replace(rows[2], keys=evil)
        return replace(message, entries=tuple(rows))

    world = scene()
    lying(world, KeyList=swapped)
    world.started().pump()
    return world


ATTACKS = [
    (two_input_lists, ("3.4-6", "3.4-7"), "I3"),
    (too_few_votes, ("4.6-4",), "I2"),
    (votes_on_another_h3, ("4.6-3",), "I2"),
    (same_round_after_the_root, ("4.1-8",), "I8"),
    (same_attempt_again, ("4.1-6",), "I7"),
    (made_up_inputs, ("4.5-3",), "did not sign"),
    (small_u3, ("4.5-5", "4.5-7"), "below the floor"),
    (keys_in_the_middle, ("4.2-2",), "did not sign"),
]


def witnessed(world):
    honest = [world.clients[u] for u in silos(1, 2, 3)]
    check_all(honest, world.consortium.roster, 1)


@pytest.mark.parametrize(
    ("attack", "rules", "harm"), ATTACKS, ids=lambda a: getattr(a, "__name__", None)
)
def test_an_attack_fails_by_its_rule_and_harms_without_it(attack, rules, harm) -> None:
    witnessed(attack())
    with switched_off(*rules):
        world = attack()
    with pytest.raises(AssertionError, match=harm):
        witnessed(world)


def test_one_rule_is_off_the_others_stay_on_and_all_come_back() -> None:
    with switched_off("4.6-3"):
        errors.require("4.6-3", False, "is off")
        errors.require("4.6-4", True, "holds")
        with pytest.raises(errors.RemoteProtocolError, match=r"4\.6-4"):
            errors.require("4.6-4", False, "is on")
    with pytest.raises(errors.RemoteProtocolError, match=r"4\.6-3"):
        errors.require("4.6-3", False, "is on again")
