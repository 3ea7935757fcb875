"""Attacks 55 to 59, on the chain of rosters: who is in the consortium, as one is told.

Silo 5 was taken out: its machine fell to the attacker, who has the aggregator as well.
It wins if silo 2 takes part in a session with silo 5, or with a member that is none.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterable
from unittest import mock

from peers import enrolment
from peers.card import Card, EnrolmentError
from secagg import events
from secagg.crypto.sign import SigningKey
from secagg.drivers.roster_book import RosterBook
from secagg.drivers.wire import door, handshake, lobby, memory
from secagg.identity import Identity
from secagg.messages import Challenge, Member, Rosters, RosterVersion
from secagg.names import PeerId
from secagg.roster import HOSPITAL, Roster, RosterMember, SignedRoster
from secagg.roster_chain import RosterChain
from tests.attacks.attack import Attack, accepted, without
from tests.attacks.stories import ME, door_of, offer, stranger
from tests.helpers import AGGREGATOR, scene, silo
from tests.samples import blob

KEY, ANOTHER = (SigningKey(blob(i)) for i in (4, 5))
GONE = silo(5)
WORLD = scene(5)
MEMBERS = WORLD.consortium.roster.members
ZETA = RosterMember(
    id=stranger().peer, role=HOSPITAL, key=SigningKey(blob(6)).public, name="Zeta"
)

ONE = RosterChain.founded("chain", MEMBERS, KEY)
TWO = ONE.followed_by((m for m in MEMBERS if m.id != GONE), KEY)
"""What silo 2 has pinned."""


def shown(versions: Iterable[SignedRoster]) -> Roster:
    """What silo 2 has pinned after an aggregator gave it these as newer ones."""
    book = RosterBook(TWO)
    asyncio.run(_shown(book, versions))
    return book.newest


async def _shown(book: RosterBook, versions: Iterable[SignedRoster]) -> None:
    near, far = memory.pair()
    ours = door_of(WORLD.consortium.silos[ME], book)
    theirs = door_of(WORLD.consortium.aggregator, book)
    entering = asyncio.create_task(
        lobby.enter(near, ours, AGGREGATOR, lobby.Standing())
    )
    challenge = Challenge(
        nonce=blob(1),
        roster_version=9,
        roster_hash=blob(2),
        time_ms=theirs.clock.now_ms(),
    )
    await handshake.say(far, theirs, challenge, to=PeerId(""), h=handshake.ZERO)
    await far.recv()
    rows = [
        RosterVersion(body=v.claimed.body(), signature=v.signature) for v in versions
    ]
    await handshake.say(far, theirs, Rosters(versions=tuple(rows)), to=ME, h=bytes(32))
    await asyncio.gather(entering, return_exceptions=True)


def sits_with(pinned: Roster, *others: Member, named: Roster | None = None) -> bool:
    """Whether silo 2, with this roster, joins a session of all five and others."""
    world = scene(5)
    world.clients[ME].handle(events.RosterPinned(roster=pinned))
    members = (*world.manifest().members, *others)
    roster = pinned if named is None else named
    sid: object = offer(world, members=members, roster_hash=roster.hash)
    return world.clients[ME].sid == sid


def an_old_version_again() -> bool:
    """The one that still has silo 5, as if it were newer."""
    return sits_with(shown(ONE.versions))


def _the_last_shown_counts():
    def taken(self: RosterChain, more: Iterable[SignedRoster]) -> RosterChain:
        return RosterChain(self.consortium_key, tuple(more))

    return mock.patch.object(RosterChain, "extended", taken)


def a_fork_shown_to_one() -> bool:
    """The consortium's key signed another version 2, with zeta, and one upon it."""
    fork = ONE.followed_by((*MEMBERS, ZETA), KEY)
    fork = fork.followed_by((*MEMBERS, ZETA), KEY)
    return sits_with(shown(fork.after(1)), stranger())


def a_version_that_another_key_signed() -> bool:
    """That of silo 5, say."""
    forged = SignedRoster.sign(TWO.newest.followed_by((*MEMBERS, ZETA)), ANOTHER)
    return sits_with(shown([forged]), stranger())


def a_key_put_back_by_the_one_before() -> bool:
    """Silo 5 had its key renewed; who has the old one asks for a key of its own."""
    before, after, evil = (
        Identity(GONE, seed)
        for seed in (WORLD.consortium.silos[GONE].seed, blob(7), blob(8))
    )
    renewed = enrolment.rotate(Card.of(after, old=before), roster=ONE.newest)
    request = Card.of(evil, old=before)
    try:
        taken = enrolment.rotate(request, roster=renewed)
    except EnrolmentError:
        return False
    book = RosterBook(
        ONE.followed_by(renewed.members, KEY).followed_by(taken.members, KEY)
    )
    return accepted(door.check_enrolled, evil, book)


def _by_whoever_asks():
    lost = functools.partial(enrolment.rotate, old_key_lost=True)
    return mock.patch.object(enrolment, "rotate", lost)


def a_revocation_withheld() -> bool:
    """The aggregator goes on with the version that silo 5 was in."""
    return sits_with(TWO.newest, named=ONE.newest)


ATTACKS = [
    Attack(55, an_old_version_again, _the_last_shown_counts),
    Attack(56, a_fork_shown_to_one, without("2.1-4", "2.1-5")),
    Attack(57, a_version_that_another_key_signed, without("2.1-2")),
    Attack(58, a_key_put_back_by_the_one_before, _by_whoever_asks),
    Attack(59, a_revocation_withheld, without("4.1-1", "4.1-2")),
]
