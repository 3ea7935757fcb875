"""secagg.drivers.silo.recollection: our own signature in a session we do not know."""

from dataclasses import replace

import pytest

from secagg import codec, errors
from secagg import messages as msg
from secagg.crypto.sign import SigningKey
from secagg.drivers.clock import SystemClock
from secagg.drivers.roster_book import RosterBook
from secagg.drivers.silo.recollection import Recollection
from secagg.drivers.silo.store import MemoryStore
from secagg.drivers.wire.door import Door
from secagg.entropy import SeededEntropy
from secagg.identity import Identity
from secagg.roster import Roster
from secagg.roster_chain import RosterChain
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


def recollection(world, store, book=None):
    door = Door(
        identity=world.consortium.silos[ME],
        book=book or RosterBook(world.consortium.roster),
        entropy=SeededEntropy(b""),
        clock=SystemClock(),
    )
    return Recollection(door, AGGREGATOR, store)


def take(world, store, *envelopes, book=None) -> None:
    looking = recollection(world, store, book)
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


# --- the roster has gone on since that session began

KEY = SigningKey(bytes([6]) * 32)


def later(world, *ids, gone=False):
    """The book of a client whose newest version gives these another key, or none."""
    first = world.consortium.roster
    assert first.previous == Roster.beginning(first.consortium).hash
    keys = {peer: Identity(peer, bytes([8, i] * 16)).key for i, peer in enumerate(ids)}
    members = [
        replace(m, key=keys[m.id].public) if m.id in keys else m
        for m in first.members
        if not (gone and m.id in keys)
    ]
    chain = RosterChain.founded(first.consortium, first.members, KEY)
    return RosterBook(chain.followed_by(members, KEY))


@pytest.mark.parametrize("ids", [(ME,), (AGGREGATOR,), (ME, AGGREGATOR)])
@pytest.mark.parametrize("gone", [False, True], ids=["rotated", "revoked"])
def test_old_messages_are_judged_by_the_version_their_manifest_names(
    world, ids, gone
) -> None:
    """Rule 9-6 under 2.1: the keys are those of then, whatever the newest ones are."""
    store, book = MemoryStore(), later(world, *ids, gone=gone)
    assert book.named(world.consortium.roster.hash) == world.consortium.roster
    with pytest.raises(errors.StateRolledBack):
        take(world, store, shown(world, "Manifest"), shown(world, "KeyList"), book=book)


@pytest.mark.parametrize("ids", [(ME,), (AGGREGATOR,)])
def test_a_version_that_is_not_pinned_or_lacks_one_of_the_two_shows_nothing(
    world, ids
) -> None:
    first = world.consortium.roster
    members = [m for m in first.members if m.id not in ids]
    other = RosterBook(RosterChain.founded("another", members, KEY))
    store = MemoryStore()
    take(world, store, shown(world, "Manifest"), shown(world, "KeyList"), book=other)
    lacking = RosterBook(Roster.beginning(first.consortium).followed_by(members))
    manifest = body_of(shown(world, "Manifest"))
    assert isinstance(manifest, msg.Manifest)
    body = replace(manifest, roster_hash=lacking.newest.hash)
    named = replace(shown(world, "Manifest"), body=codec.encode_body(body))
    take(world, store, named, shown(world, "KeyList"), book=lacking)
    assert store.forgotten.tasks() == ()
