"""Attacks on the protocol itself, by the aggregator or by members."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from unittest import mock

from secagg import errors, events, vector
from secagg import messages as msg
from secagg.crypto import transcript
from secagg.drivers.roster_book import RosterBook
from secagg.drivers.wire import admission, lobby, memory
from secagg.identity import Identity
from secagg.names import PeerId, SessionId
from secagg.packing import packed_size
from secagg.params import Parameters
from secagg.policy import Policy
from secagg.rounds import share_ack
from secagg.signing import verifies
from secagg.vector import Chunks
from tests.attacks import stories
from tests.attacks.attack import Attack, accepted, harmed, saying, without
from tests.attacks.stories import ME, door_of, joined
from tests.helpers import AGGREGATOR, Scene, plain_sum, scene, silo
from tests.machine.forge import resigned
from tests.memory_spool import MemorySpool
from tests.samples import blob


def a_member_that_no_roster_has() -> bool:
    members = (*scene().manifest().members, stories.stranger())
    return joined(members=members)


def made_up_inputs() -> bool:
    return harmed(stories.made_up_inputs())


def shrunk_key_list() -> bool:
    return harmed(stories.shrunk_key_list())


def another_model_for_one() -> bool:
    return joined(model_hash=blob(9))


def _run(world: Scene) -> events.Completed | events.Aborted:
    world.run()
    end = world.outcome(AGGREGATOR)
    assert isinstance(end, events.Completed | events.Aborted)
    return end


def a_model_that_no_hospital_allowed() -> bool:
    """All train on it, and their sum is opened."""
    own = Policy(min_members=4, corruption_bound=1, models=frozenset({blob(1)}))
    return isinstance(_run(scene(policy=own)), events.Completed)


def a_wrong_sum_by_a_dealer() -> bool:
    """Shares that match their commitments, of another seed than silo 4 masks with."""
    world = scene().started().until("share_keys")
    dealer: Any = world.clients[silo(4)]
    keys = dealer._session.keys
    dealer._session = replace(dealer._session, keys=replace(keys, b_u=5))
    for carried in world.waiting("KeyList"):
        world._queue.remove(carried)
        world._deliver(carried)
    dealer._session = replace(dealer._session, keys=keys)
    world.pump()
    if not isinstance(world.outcome(AGGREGATOR), events.Completed):
        return False
    assert world.opened is not None
    return [*world.opened] != plain_sum(world, world.server.params.members)


def an_honest_dealer_blamed_for_a_wrong_share() -> bool:
    world = scene()
    shares = (None, blob(1), None, None)

    def made(envelope):
        h3 = world.server._state.h3
        return resigned(world, silo(1), msg.Unmasking(shares=shares), h3)

    end = _run(saying(world, silo(1), "Unmasking", made))
    return isinstance(end, events.Aborted) and silo(2) in end.culprits


def shares_withheld() -> bool:
    """One of four falls silent when the shares are due: is the sum lost?"""
    world = scene(silent={4: "unmasking"})
    return isinstance(_run(world), events.Aborted)


def _every_share_needed():
    return mock.patch.object(Parameters, "t", property(lambda self: self.n))


def an_honest_dealer_framed() -> bool:
    """One false complaint, within c."""
    world = scene()
    accused = msg.ShareAck(bitmap=bytes([0b1110]))

    def made(envelope):
        return resigned(world, silo(4), accused, world.server._state.h1)

    _run(saying(world, silo(4), "ShareAck", made))
    return silo(1) not in world.server.sets["u2"]


def _any_complaint_excludes():
    real = share_ack.tally

    def strict(*args):
        said = real(*args)
        return replace(said, zeros=said.zeros * 100)

    return mock.patch.object(share_ack, "tally", strict)


def an_old_manifest_again() -> bool:
    """The nonce in it was drawn for an earlier Ready."""
    old = tuple(replace(m, ready_nonce=blob(7)) for m in scene().manifest().members)
    return joined(members=old)


def a_signature_of_one_type_used_for_another() -> bool:
    world = scene().started().until("unmasking")
    envelope = next(e for e in world.clients[ME].sent if e.type == "ShareAck")
    other = replace(envelope, type="ShareKeys")
    public = world.consortium.silos[ME].key.public
    return verifies(other, public=public, h=world.server._state.h1)


def _type_unsigned():
    real = transcript.signing_input

    def bare(type_, *args, **kwargs):
        return real("", *args, **kwargs)

    return mock.patch.object(transcript, "signing_input", bare)


def a_line_in_anothers_name() -> bool:
    """Silo 4 says Hello as silo 1: whose words will be those of that line?"""
    return asyncio.run(_taken_for()) == silo(1)


async def _taken_for() -> PeerId | None:
    consortium = scene().consortium
    book = RosterBook(consortium.roster)
    posing = door_of(Identity(silo(1), consortium.silos[silo(4)].seed), book)
    theirs = door_of(consortium.aggregator, book)
    near, far = memory.pair()
    admitting = asyncio.create_task(admission.admit(far, theirs, lambda *_: None))
    challenge = await lobby.challenged(near, posing, AGGREGATOR)
    await lobby._greet(near, posing, AGGREGATOR, challenge, lobby.Standing())
    try:
        admitted = await admitting
    except errors.RemoteProtocolError:
        return None
    assert not isinstance(admitted, admission.Informed)
    return admitted[0].peer


def speaking_in_anothers_name() -> bool:
    """On its own line, in an envelope that names silo 1 as its sender."""

    def impostor(carried):
        if carried.sender == silo(4) and carried.envelope.type == "ShareAck":
            claimed = replace(carried.envelope, sender=silo(1))
            return (replace(carried, envelope=claimed),)
        return (carried,)

    world = scene(network=impostor)
    world.run()
    return silo(4) not in world.drops()


CHUNKS = Chunks(length=3 << 12, width=16, chunk_log2=12)


def a_chunk_out_of_its_order() -> bool:
    """Without a word, so that its sender takes it for stored."""
    spool = MemorySpool(SessionId(blob(1)), CHUNKS)
    chunk = bytes(packed_size(1 << CHUNKS.chunk_log2, CHUNKS.width))
    return accepted(spool.append, silo(1), 2, chunk)


def a_chunk_again_for_one_that_lacks() -> bool:
    """The line repeats the first of three chunks, and cuts the last: is it a vector?"""
    peer, spool = silo(1), MemorySpool(SessionId(blob(1)), CHUNKS)
    chunk = bytes(packed_size(1 << CHUNKS.chunk_log2, CHUNKS.width))
    for index in (0, 1, 0):
        accepted(spool.append, peer, index, chunk)
    return spool.complete(peer)


def _whatever_comes_is_next():
    return mock.patch.object(vector, "is_next", return_value=True)


ATTACKS = [
    Attack(6, a_member_that_no_roster_has, without("4.1-1")),
    Attack(6, made_up_inputs, without("4.5-3")),
    Attack(8, shrunk_key_list, without("4.2-4")),
    Attack(13, another_model_for_one, without("4.1-4")),
    Attack(14, a_model_that_no_hospital_allowed, without("4.1-5")),
    Attack(17, a_wrong_sum_by_a_dealer, without("4.7-4")),
    Attack(18, an_honest_dealer_blamed_for_a_wrong_share, without("4.7-2")),
    Attack(19, shares_withheld, _every_share_needed),
    Attack(20, an_honest_dealer_framed, _any_complaint_excludes),
    Attack(21, an_old_manifest_again, without("4.1-3")),
    Attack(23, a_signature_of_one_type_used_for_another, _type_unsigned),
    Attack(24, a_line_in_anothers_name, without("8-1")),
    Attack(24, speaking_in_anothers_name, without("3.4-3", "3.4-4")),
    Attack(25, a_chunk_out_of_its_order, without("7.1-2")),
    Attack(25, a_chunk_again_for_one_that_lacks, _whatever_comes_is_next),
]
