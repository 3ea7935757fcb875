"""What malicious members may try under an honest aggregator, and what comes of it.

They sign what they like. After each attack I1 to I8 are read off the honest logs.
"""

from dataclasses import replace

import pytest

from secagg import codec, events
from secagg import messages as msg
from secagg.cohort import Carried
from secagg.names import Round
from tests.helpers import (
    AGGREGATOR,
    assert_completed,
    assert_exact,
    scene,
    silo,
    silos,
)
from tests.machine.forge import resigned
from tests.machine.lies import ALL, checked
from tests.samples import blob


def corrupting(world, peer, type_, change):
    """Let `peer` say something else of this type, signed by itself."""

    def network(carried):
        envelope = carried.envelope
        if carried.sender != peer or envelope.type != type_:
            return (carried,)
        body = codec.decode_body(type_, envelope.body, members=len(world.clients))
        held = world.server._state.transcript(
            world.server.sid, msg.HEADERS[type(body)].transcript
        )
        signed = resigned(world, peer, change(body), held)
        return (Carried(peer, AGGREGATOR, signed),)

    world.network = network
    return world


def spoiling(*holders):
    """ShareKeys whose entries for these places of U1 do not open."""

    def spoil(message):
        rows = list(message.entries)
        for place in holders:
            rows[place] = replace(rows[place], sealed=blob(1, 100))
        return replace(message, entries=tuple(rows))

    return spoil


def test_a_dealer_of_up_to_c_bad_shares_is_borne() -> None:
    world = corrupting(scene(), silo(4), "ShareKeys", spoiling(0))
    world.run()
    assert_exact(world, ALL)
    opened = checked(world, silos(1, 2, 3))
    assert silo(1) not in opened[world.server.sid, silo(4), "b"]


def test_a_dealer_of_more_bad_shares_is_not_in_u2_and_the_rest_goes_on() -> None:
    world = corrupting(scene(), silo(4), "ShareKeys", spoiling(0, 1))
    world.run()
    assert world.server.sets["u2"] == silos(1, 2, 3)
    assert_exact(world, silos(1, 2, 3))
    assert_completed(world, ALL)
    assert world.drops() == {}
    checked(world, silos(1, 2, 3))


@pytest.mark.parametrize("liars", [(4,), (3, 4)])
def test_c_false_complaints_frame_nobody_and_more_only_exclude(liars) -> None:
    world = scene(7, 2)

    def network(carried):
        if carried.sender in silos(*liars) and carried.envelope.type == "ShareAck":
            held = world.server._state.h1
            accused = msg.ShareAck(bitmap=bytes([0b01111110]))
            signed = resigned(world, carried.sender, accused, held)
            return (Carried(carried.sender, AGGREGATOR, signed),)
        return (carried,)

    world.network = network
    world.run()
    assert silo(1) in world.server.sets["u2"]
    assert_exact(world, silos(*range(1, 8)))
    end = world.outcome(AGGREGATOR)
    assert isinstance(end, events.Completed)


@pytest.mark.parametrize("kind", ["b", "s"])
def test_an_equivocating_dealer_is_blamed_by_its_own_signature(kind) -> None:
    """Its shares match their commitments, and rebuild another secret."""
    silent = {} if kind == "b" else {4: "masked_input"}
    world = scene(silent=silent).started().until("share_keys")
    for carried in world.waiting("KeyList"):
        if carried.receiver != silo(4):
            world._queue.remove(carried)
            world._deliver(carried)
    dealer = world.clients[silo(4)]
    session = dealer._session
    secret = {"b": {"b_u": 5}, "s": {"s_scalar": 5}}[kind]
    dealer._session = replace(session, keys=replace(session.keys, **secret))  # type: ignore[type-var,union-attr]
    world.pump()
    while world.outcome(AGGREGATOR) is None:
        round_ = Round(world.server.phase.value)
        world.tell_server(events.DeadlinePassed(round=round_))
        world.pump()
    end = world.outcome(AGGREGATOR)
    assert isinstance(end, events.Aborted)
    assert (end.code, end.culprits, end.retry) == ("4.7-4", (silo(4),), False)
    checked(world, silos(1, 2, 3))


def test_a_wrong_share_drops_its_holder_and_the_rest_open_the_sum() -> None:
    def bent(message):
        return msg.Unmasking(shares=(blob(1), *message.shares[1:]))

    world = corrupting(scene(), silo(4), "Unmasking", bent)
    world.run()
    assert world.drops() == {silo(4): "4.7-2"}
    assert_exact(world, ALL)
    assert_completed(world, silos(1, 2, 3))


def test_a_share_of_the_other_kind_is_not_taken() -> None:
    world = scene(silent={4: "masked_input"})
    held: dict[str, bytes] = {}

    def bent(message):
        return msg.Unmasking(shares=(held["s"], *message.shares[1:]))

    corrupting(world, silo(3), "Unmasking", bent)
    world.started().until("masked_input")
    held["s"] = world.clients[silo(3)]._session.held.s[silo(1)]  # type: ignore[union-attr]
    while world.outcome(AGGREGATOR) is None:
        world.pump()
        round_ = Round(world.server.phase.value)
        world.tell_server(events.DeadlinePassed(round=round_))
    assert world.drops() == {silo(3): "4.7-2"}


def test_a_vote_on_another_h3_drops_its_voter() -> None:
    world = corrupting(
        scene(), silo(4), "Consistency", lambda m: msg.Consistency(h3=blob(1))
    )
    world.run()
    assert world.drops() == {silo(4): "4.6-1"}
    assert_exact(world, ALL)


def test_a_false_root_drops_its_member_and_the_rest_go_on() -> None:
    world = corrupting(
        scene(), silo(4), "MaskedInput", lambda m: msg.MaskedInput(root=blob(1))
    )
    world.run()
    assert world.drops() == {silo(4): "4.5-1"}
    assert_exact(world, silos(1, 2, 3))


def test_a_copied_key_drops_the_copier_and_not_its_owner() -> None:
    world = scene().started()
    [first] = world.waiting("Manifest", silo(1))
    world._queue.remove(first)
    world._deliver(first)
    world._deliver(world.waiting("AdvertiseKeys")[0])
    owner = world.server._state.adverts[silo(1)].keys

    def copied(message):
        return replace(message, c_pk=owner.s_pk)

    corrupting(world, silo(4), "AdvertiseKeys", copied)
    world._queue = type(world._queue)(
        c for c in world._queue if c.envelope.type != "AdvertiseKeys"
    )
    world.pump()
    assert world.drops() == {silo(4): "3.2-5"}
    assert_exact(world, silos(1, 2, 3))


def test_speaking_in_anothers_name_drops_the_speaker() -> None:
    def impostor(carried):
        if carried.sender == silo(4) and carried.envelope.type == "ShareAck":
            claimed = replace(carried.envelope, sender=silo(1))
            return (Carried(silo(4), AGGREGATOR, claimed),)
        return (carried,)

    world = scene(network=impostor)
    world.run()
    assert world.drops() == {silo(4): "3.4-4"}
    assert_exact(world, silos(1, 2, 3))


@pytest.mark.parametrize("type_", ["KeyList", "DealerList", "InputList"])
def test_echoing_the_aggregator_drops_the_echo(type_) -> None:
    def echo(carried):
        if carried.receiver == silo(4) and carried.envelope.type == type_:
            back = Carried(silo(4), AGGREGATOR, carried.envelope)
            return (carried, back)
        return (carried,)

    world = scene(network=echo)
    world.run()
    assert world.drops() == {silo(4): "3.4-6"}
    assert isinstance(world.outcome(AGGREGATOR), events.Completed)
    checked(world)


def test_c_members_that_fall_silent_after_lying_cost_no_more_than_d() -> None:
    """Seven members, two corrupt: they deal badly, complain falsely and then vanish."""
    world = scene(7, 2, silent={6: "masked_input", 7: "consistency"})

    def network(carried):
        if carried.sender not in silos(6, 7):
            return (carried,)
        envelope = carried.envelope
        if envelope.type == "ShareAck":
            accused = msg.ShareAck(bitmap=bytes([0b01111110]))
            signed = resigned(world, carried.sender, accused, world.server._state.h1)
            return (Carried(carried.sender, AGGREGATOR, signed),)
        return (carried,)

    world.network = network
    world.run()
    assert_exact(world, silos(1, 2, 3, 4, 5, 7))
    checked(world, silos(1, 2, 3, 4, 5), c=2)
