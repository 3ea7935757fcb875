"""secagg.drivers.aggregator.stage: whose session is answered for, and how long."""

from types import SimpleNamespace
from typing import Any

import pytest

from secagg.drivers.aggregator.stage import PAST_SESSIONS, Stage
from secagg.names import PeerId, SessionId

A, B = PeerId("a"), PeerId("b")


def session(number, *, over=False) -> Any:
    """What the stage looks at; a is its one member."""
    params = SimpleNamespace(members=(A,))
    sid, server = SessionId(bytes([number]) * 32), SimpleNamespace(params=params)
    return SimpleNamespace(sid=sid, over=over, server=server)


def round_of(*sessions) -> Any:
    last = sessions[-1] if sessions else None
    return SimpleNamespace(sessions=list(sessions), session=last)


@pytest.fixture
def stage():
    return Stage()


def test_sessions_of_the_round_and_of_the_last_ones_are_found(stage) -> None:
    old, new = session(1, over=True), session(2)
    stage.round = round_of(old)
    stage.retire(stage.round)
    assert stage.round is None
    stage.round = round_of(new)
    assert [stage.session(one.sid) for one in (old, new)] == [old, new]
    assert stage.session(SessionId(bytes(32))) is None
    assert stage.session(None) is None


def test_a_session_that_was_taken_up_again_is_found_before_the_broken_one(
    stage,
) -> None:
    broken, again = session(1, over=True), session(1)
    stage.retire(round_of(broken))
    stage.round = round_of(again)
    assert stage.session(broken.sid) is again


def test_only_the_newest_sessions_are_kept(stage) -> None:
    sessions = [session(number, over=True) for number in range(1, PAST_SESSIONS + 2)]
    for one in sessions:
        stage.retire(round_of(one))
    assert [stage.session(one.sid) for one in sessions] == [None, *sessions[1:]]


@pytest.mark.parametrize(("peer", "over"), [(A, True), (B, False), (B, True)])
def test_a_session_runs_for_its_members_until_it_is_over(stage, peer, over) -> None:
    assert stage.running(A) is None
    stage.round = round_of()
    assert stage.running(A) is None
    stage.round = round_of(session(1))
    assert stage.running(A) is stage.round.session
    stage.round = round_of(session(1, over=over))
    assert stage.running(peer) is None
