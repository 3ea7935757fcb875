"""secagg.drivers.thinning: said once, counted, and never silent for ever."""

import pytest

from secagg.drivers import progress
from secagg.drivers.thinning import (
    LASTING_SECONDS,
    MOST_SAID,
    SILENT_SECONDS,
    Thinned,
)
from secagg.names import PeerId
from tests.drivers.fake_clock import FakeClock

BERN, ZUG = PeerId("bern"), PeerId("zug")


class Gate:
    """A gate with its clock, and what is said of it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.events: list[progress.Progress] = []
        self.observe = Thinned(self.clock, self.events.append)

    def refuse(self, peer: PeerId | None = BERN, rule="8-2", detail="differs") -> None:
        self.observe(progress.PeerRefused(peer=peer, rule=rule, detail=detail))

    def ignore(self, type_="Unmasking", rule="8-6") -> None:
        self.observe(progress.MessageIgnored(peer=BERN, type=type_, rule=rule))

    def pass_by(self, seconds: float) -> None:
        self.clock.time_ms += round(seconds * 1000)

    def repeats(self) -> list[int | None]:
        kind = progress.PeerRefused | progress.MessageIgnored
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


def test_an_ignored_message_is_said_once_of_its_type_and_rule() -> None:
    gate = Gate()
    for _ in range(3):
        gate.ignore()
        gate.ignore("Consistency")
        gate.ignore(rule="3.4-7")
    assert gate.repeats() == [None, None, None]
    gate.pass_by(SILENT_SECONDS)
    gate.ignore()
    assert gate.repeats() == [None, None, None, 2]


def test_strangers_who_claim_a_name_each_are_said_as_one_peer() -> None:
    """With their count, when an hour is over."""
    gate = Gate()
    for k in range(1000):
        gate.refuse(None, "8-1", f"hospital-{k} is no hospital")
    assert gate.repeats() == [None] * (MOST_SAID + 1)
    gate.pass_by(SILENT_SECONDS)
    for k in range(1000, 1000 + MOST_SAID + 1):
        gate.refuse(None, "8-1", f"hospital-{k} is no hospital")
    rest = 1000 - MOST_SAID - 1
    assert rest in gate.repeats()
    assert len(gate.events) <= 2 * (MOST_SAID + 1)


def test_strangers_do_not_hide_what_a_hospital_does_nor_another_hospital_it() -> None:
    gate = Gate()
    for k in range(100):
        gate.refuse(None, detail=f"name {k}")
        gate.refuse(ZUG, detail=f"text {k}")
    before = len(gate.events)
    gate.refuse(BERN)
    gate.refuse(BERN)
    assert len(gate.events) == before + 1


@pytest.mark.parametrize("many", ["refuse", "ignore"])
def test_a_peer_that_varies_what_it_does_is_said_of_so_often_in_an_hour(many) -> None:
    gate = Gate()
    for k in range(1000):
        if many == "refuse":
            gate.refuse(detail=f"its clock is {k} min ahead")
        else:
            gate.ignore(f"Type{k}")
    assert len(gate.events) == MOST_SAID + 1


def test_what_is_remembered_is_bounded() -> None:
    gate = Gate()
    for k in range(50 * MOST_SAID):
        gate.refuse(detail=f"refusal {k}")
        gate.pass_by(SILENT_SECONDS / MOST_SAID)
    assert sum(map(len, gate.observe._said.values())) <= MOST_SAID + 1
