"""secagg.drivers.aggregator.refusals: said once, counted, and never silent for ever."""

import pytest

from secagg.drivers import progress
from secagg.drivers.aggregator.refusals import (
    LASTING_SECONDS,
    MOST_SAID,
    SILENT_SECONDS,
    Refusals,
)
from secagg.names import PeerId
from tests.drivers.fake_clock import FakeClock

BERN, ZUG = PeerId("bern"), PeerId("zug")


class Gate:
    """A gate with its clock, and what is said of it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.events: list[progress.Progress] = []
        self.observe = Refusals(self.clock, self.events.append)

    def refuse(self, peer: PeerId | None = BERN, rule="8-2", detail="differs") -> None:
        self.observe(progress.PeerRefused(peer=peer, rule=rule, detail=detail))

    def pass_by(self, seconds: float) -> None:
        self.clock.time_ms += round(seconds * 1000)

    def repeats(self) -> list[int | None]:
        kind = progress.PeerRefused
        return [event.repeats for event in self.events if isinstance(event, kind)]


def test_the_same_refusal_is_said_once() -> None:
    gate = Gate()
    for _ in range(100):
        gate.refuse()
    assert gate.repeats() == [None]


@pytest.mark.parametrize(
    "other", [{"peer": ZUG}, {"peer": None}, {"rule": "8-3"}, {"detail": "another"}]
)
def test_another_refusal_is_said(other) -> None:
    gate = Gate()
    gate.refuse()
    gate.refuse(**other)
    assert gate.repeats() == [None, None]


def test_after_an_hour_it_is_said_again_with_its_count() -> None:
    gate = Gate()
    for _ in range(60):
        gate.refuse()
        gate.pass_by(SILENT_SECONDS / 60)
    assert gate.repeats() == [None]
    gate.refuse()
    assert gate.repeats() == [None, 59]


def test_who_got_in_since_is_told_of_anew() -> None:
    gate = Gate()
    gate.refuse()
    gate.refuse(ZUG)
    gate.observe(progress.Connected(peer=BERN))
    gate.pass_by(LASTING_SECONDS)
    gate.refuse()
    gate.refuse(ZUG)
    said = [event for event in gate.events if isinstance(event, progress.PeerRefused)]
    assert [event.peer for event in said] == [BERN, ZUG, BERN]


def test_who_comes_in_and_is_refused_at_once_is_told_of_once() -> None:
    gate = Gate()
    for _ in range(50):
        gate.observe(progress.Connected(peer=BERN))
        gate.pass_by(1)
        gate.refuse(rule="7.1-1")
    assert gate.repeats() == [None]


def test_all_else_passes() -> None:
    gate = Gate()
    event = progress.Disconnected(peer=BERN, reason="")
    gate.observe(event)
    gate.observe(event)
    assert gate.events == [event, event]


def test_what_is_remembered_is_bounded() -> None:
    gate = Gate()
    for k in range(MOST_SAID + 1):
        gate.refuse(detail=f"refusal {k}")
    gate.refuse(detail=f"refusal {MOST_SAID}")
    gate.refuse(detail="refusal 1")
    assert len(gate.events) == MOST_SAID + 1
    gate.refuse(detail="refusal 0")
    assert len(gate.events) == MOST_SAID + 2
