"""secagg.drivers.wire.door: in what two sides differ is said with the remedy."""

import dataclasses

import pytest

from secagg import errors
from secagg.consortium import Consortium
from secagg.crypto.sign import SigningKey
from secagg.drivers.roster_book import RosterBook
from secagg.drivers.wire.door import Door, check_agreement, check_enrolled
from secagg.entropy import SeededEntropy
from secagg.messages import Challenge
from secagg.roster_chain import RosterChain
from tests.drivers.fake_clock import FakeClock

CONSORTIUM = Consortium.of(4, b"door")
SILO = min(CONSORTIUM.silos)
ME = CONSORTIUM.silos[SILO]
KEY = SigningKey(b"consortium".ljust(32, b"."))
MEMBERS = CONSORTIUM.roster.members
ONE = RosterChain.founded("door", MEMBERS, KEY)
TWO = ONE.followed_by(MEMBERS, KEY)
OTHER = dataclasses.replace(ONE.newest, members=MEMBERS[1:])


def said_by_aggregator(roster, **changes):
    """What a Challenge of an aggregator with this roster says."""
    clock = FakeClock()
    told = Challenge(
        nonce=bytes(32),
        roster_version=roster.version,
        roster_hash=roster.hash,
        time_ms=clock.now_ms(),
    )
    return dataclasses.replace(told, **changes)


def refused(chain, said):
    door = Door(
        identity=ME,
        book=RosterBook(chain),
        entropy=SeededEntropy(b"door"),
        clock=FakeClock(),
    )
    with pytest.raises(errors.RemoteProtocolError) as caught:
        check_agreement(door, said, peer=CONSORTIUM.aggregator.id)
    assert caught.value.culprits == (CONSORTIUM.aggregator.id,)
    return caught.value.rule, caught.value.detail


def test_8_2_who_is_behind_is_told_to_install() -> None:
    rule, detail = refused(ONE, said_by_aggregator(TWO.newest))
    assert rule == "8-2"
    assert "version 2" in detail
    assert "version 1" in detail
    assert "secagg roster install" in detail


def test_8_2_two_rosters_of_one_version_are_a_fork() -> None:
    for pinned in (ONE, TWO):
        rule, detail = refused(pinned, said_by_aggregator(OTHER))
        assert rule == "8-2"
        assert "FORKED" in detail
        assert OTHER.hash.hex()[:12] in detail


def test_8_3_a_clock_that_differs_is_told_with_how_much() -> None:
    late = said_by_aggregator(ONE.newest, time_ms=FakeClock().now_ms() - 600_000)
    rule, detail = refused(ONE, late)
    assert rule == "8-3"
    assert "10 min behind" in detail


def not_enrolled(chain):
    with pytest.raises(errors.NotEnrolled) as caught:
        check_enrolled(ME, RosterBook(chain))
    return str(caught.value)


def test_8_9_a_member_with_its_key_takes_part() -> None:
    check_enrolled(ME, RosterBook(TWO))


def test_8_9_a_stranger_is_told_to_hand_in_its_card() -> None:
    chain = RosterChain.founded("door", MEMBERS[:1], KEY)
    assert "secagg roster accept" in not_enrolled(chain)


def test_8_9_who_was_revoked_is_told_since_when() -> None:
    others = [member for member in MEMBERS if member.id != SILO]
    assert "revoked it after version 2" in not_enrolled(TWO.followed_by(others, KEY))


def test_8_9_who_has_another_key_is_told_both() -> None:
    theirs = CONSORTIUM.aggregator.key.public
    members = [
        dataclasses.replace(one, key=theirs if one.id == SILO else one.key)
        for one in MEMBERS
        if one.key != theirs
    ]
    chain = ONE.followed_by(members, KEY)
    told = not_enrolled(chain)
    assert chain.newest.fingerprint(SILO) in told
    assert ME.fingerprint in told


def test_8_9_an_aggregator_is_no_hospital() -> None:
    members = [
        dataclasses.replace(one, role="aggregator" if one.id == SILO else one.role)
        for one in MEMBERS
    ]
    told = not_enrolled(RosterChain.founded("door", members, KEY))
    assert "as aggregator, and not as hospital" in told
