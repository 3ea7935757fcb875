"""secagg.drivers.silo.recollection: our own signature in a session we do not know."""

from dataclasses import replace

import pytest

from secagg import errors
from secagg import messages as msg
from secagg.drivers.clock import SystemClock
from secagg.drivers.roster_book import RosterBook
from secagg.drivers.silo.recollection import Recollection
from secagg.drivers.silo.store import MemoryStore
from secagg.drivers.wire.door import Door
from secagg.entropy import SeededEntropy
from secagg.signing import seal
from tests.helpers import AGGREGATOR, scene, silo
from tests.recording import body_of

ME = silo(2)


@pytest.fixture(scope="module")
def world():
    """A session whose KeyList is out."""
    return scene().started().until("share_keys")


def shown(world, type_):
    """What the aggregator sends of this type."""
    return world.sent_by_server(type_)[0].envelope


def recollection(world, store):
    door = Door(
        identity=world.consortium.silos[ME],
        book=RosterBook(world.consortium.roster),
        entropy=SeededEntropy(b""),
        clock=SystemClock(),
    )
    return Recollection(door, AGGREGATOR, store)


def take(world, store, *envelopes) -> None:
    looking = recollection(world, store)
    for envelope in envelopes:
        looking.take(envelope)


def test_our_signature_above_our_marks_says_that_the_state_is_old(world) -> None:
    """Rule 9-6."""
    store = MemoryStore()
    with pytest.raises(errors.StateRolledBack, match="up to round 1"):
        take(world, store, shown(world, "Manifest"), shown(world, "KeyList"))
    assert store.forgotten.of("task") == 1


@pytest.mark.parametrize("pair", [(1, 1), (1, 2), (2, 1)])
def test_a_session_that_the_marks_know_of_is_a_restarts_own(world, pair) -> None:
    store = MemoryStore()
    store.record_joined("task", *pair)
    take(world, store, shown(world, "Manifest"), shown(world, "KeyList"))
    assert store.forgotten.tasks() == ()


def key_list(world, change, sid=None):
    """The KeyList with our entry changed, signed by the aggregator."""
    envelope = shown(world, "KeyList")
    listed = body_of(envelope)
    assert isinstance(listed, msg.KeyList)
    rows = [change(row) if row.peer == ME else row for row in listed.entries]
    message = msg.KeyList(entries=tuple(row for row in rows if row is not None))
    here = world.server.sid if sid is None else sid
    identity = world.consortium.aggregator
    return seal(message, identity=identity, receiver=ME, sid=here, h=here)


@pytest.mark.parametrize(
    "change",
    [
        lambda row: None,
        lambda row: replace(row, signature=bytes(64)),
        lambda row: replace(row, keys=replace(row.keys, b_commitment=bytes(32))),
    ],
    ids=["not there", "another signature", "other keys"],
)
def test_what_we_did_not_sign_shows_nothing(world, change) -> None:
    store = MemoryStore()
    take(world, store, shown(world, "Manifest"), key_list(world, change))
    assert store.forgotten.tasks() == ()


def test_a_list_of_a_session_whose_terms_are_not_known_shows_nothing(world) -> None:
    store = MemoryStore()
    other = type(world.server.sid)(bytes(32))
    take(world, store, shown(world, "KeyList"))
    take(
        world,
        store,
        shown(world, "Manifest"),
        key_list(world, lambda row: row, sid=other),
    )
    assert store.forgotten.tasks() == ()


def test_what_the_aggregator_did_not_sign_shows_nothing(world) -> None:
    store = MemoryStore()
    forged = replace(shown(world, "Manifest"), signature=bytes(64))
    take(world, store, forged, shown(world, "KeyList"))
    take(
        world,
        store,
        shown(world, "Manifest"),
        replace(shown(world, "KeyList"), signature=bytes(64)),
    )
    assert store.forgotten.tasks() == ()
