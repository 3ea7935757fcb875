"""secagg.drivers.wire.admission: whom the aggregator lets in, and whom it informs."""

import dataclasses

from secagg import errors
from secagg.drivers.wire import admission
from secagg.identity import Identity
from tests.unit.drivers.wire.test_lobby import (
    AGGREGATOR,
    CONSORTIUM,
    KEY,
    MEMBERS,
    ONE,
    OTHER,
    SILO,
    THREE,
    TWO,
    book_door,
    door,
    meet,
)


async def test_many_versions_come_in_messages_that_fit(monkeypatch) -> None:
    monkeypatch.setattr(admission, "MAX_ROSTERS", 3 * len(ONE.newest.body()) // 2)
    ours = book_door(SILO, ONE)
    for version in (2, 3):
        await meet(ours, book_door(AGGREGATOR, THREE))
        assert ours.roster.version == version


async def test_8_2_a_fork_is_named_loudly_on_the_aggregators_side() -> None:
    fork = ONE.followed_by(MEMBERS[:-1], KEY)
    ours, theirs = await meet(book_door(SILO, fork), book_door(AGGREGATOR, THREE))
    assert isinstance(theirs, errors.RemoteProtocolError)
    assert theirs.rule == "8-2"
    assert "FORKED" in theirs.detail
    assert "rule 8-2" in str(ours)


async def test_8_1_nobody_else_is_given_rosters_in_a_silos_name() -> None:
    posing = book_door(SILO, ONE, identity=CONSORTIUM.silos[OTHER])
    posing = dataclasses.replace(
        posing, identity=Identity(SILO, CONSORTIUM.silos[OTHER].seed)
    )
    ours, theirs = await meet(posing, book_door(AGGREGATOR, TWO))
    assert isinstance(theirs, errors.RemoteProtocolError)
    assert theirs.rule == "8-1"
    assert isinstance(ours, errors.ConnectionRefused)


async def test_an_aggregator_does_not_let_in_an_aggregator() -> None:
    ours, theirs = await meet(door(AGGREGATOR), door(AGGREGATOR))
    assert isinstance(theirs, errors.RemoteProtocolError)
    assert theirs.rule == "8-1"
    assert isinstance(ours, errors.ConnectionRefused)
