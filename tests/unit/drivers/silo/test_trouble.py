"""secagg.drivers.silo.trouble: said when new and when over, not with each try."""

import asyncio

import pytest

from secagg.drivers import progress
from secagg.drivers.silo.trouble import LASTING_SECONDS, Trouble
from secagg.names import PeerId
from tests.drivers.fake_clock import FakeClock, until

AGG = PeerId("agg")
CUT = "rule 7.1-1: more than was expected"


class Line:
    """What is told of one line, and its clock."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.events: list[progress.Progress] = []
        self.trouble = Trouble(self.clock, self.events.append)

    def pass_by(self, seconds: float) -> None:
        self.clock.time_ms += round(seconds * 1000)

    def fail(self, *reasons: str) -> None:
        for reason in reasons:
            self.trouble.failed(reason, 1.0)
            self.pass_by(30)

    def short(self, reason: str = CUT) -> bool:
        """Make a connection that is lost after a second."""
        self.trouble.made(AGG)
        self.pass_by(1)
        self.trouble.stop()
        return self.trouble.lost(AGG, reason)

    def told(self) -> list[str]:
        return [type(event).__name__ for event in self.events]

    def reasons(self) -> list[str]:
        kinds = (progress.DialFailed, progress.Disconnected)
        return [event.reason for event in self.events if isinstance(event, kinds)]

    def connected(self) -> list[tuple[int | None, float | None]]:
        return [
            (event.attempts, event.after_seconds)
            for event in self.events
            if isinstance(event, progress.Connected)
        ]


async def test_a_first_connection_says_nothing_of_attempts() -> None:
    line = Line()
    line.trouble.made(AGG)
    assert line.connected() == [(None, None)]


async def test_a_reason_is_said_once() -> None:
    line = Line()
    line.fail(*["no answer"] * 5)
    assert line.reasons() == ["no answer"]


async def test_another_reason_is_said() -> None:
    line = Line()
    line.fail("no answer", "no answer", "expired", "expired", "no answer")
    assert line.reasons() == ["no answer", "expired", "no answer"]


async def test_the_end_of_it_says_how_many_attempts_and_how_long() -> None:
    line = Line()
    line.fail(*["no answer"] * 3)
    line.trouble.made(AGG)
    assert line.connected() == [(4, 90.0)]


async def test_a_lost_line_counts_from_its_loss() -> None:
    line = Line()
    line.trouble.made(AGG)
    line.pass_by(500)
    line.trouble.lost(AGG, "cut")
    line.pass_by(10)
    line.fail("no answer")
    line.trouble.made(AGG)
    assert line.connected() == [(None, None), (2, 40.0)]


async def test_after_it_is_over_the_same_reason_is_said_again() -> None:
    line = Line()
    line.fail("no answer")
    line.trouble.made(AGG)
    line.pass_by(100)
    line.trouble.lost(AGG, "cut")
    line.fail("no answer")
    assert line.reasons() == ["no answer", "cut", "no answer"]


@pytest.mark.parametrize(
    ("seconds", "lasted"), [(LASTING_SECONDS - 1, False), (LASTING_SECONDS, True)]
)
async def test_whether_a_connection_lasted_is_known(seconds, lasted) -> None:
    line = Line()
    line.trouble.made(AGG)
    line.pass_by(seconds)
    assert line.trouble.lost(AGG, "") is lasted


async def test_connections_lost_at_once_for_one_reason_are_not_told_one_by_one() -> (
    None
):
    line = Line()
    for _ in range(9):
        assert not line.short()
    assert line.told() == ["Connected", "Disconnected"] * 2


async def test_a_short_connection_with_another_reason_is_told() -> None:
    line = Line()
    for _ in range(4):
        line.short()
    line.short("rule 8-6")
    assert line.reasons() == [CUT, CUT, "rule 8-6"]


async def test_when_one_lasts_at_last_that_is_told_with_the_attempts() -> None:
    line = Line()
    for _ in range(5):
        line.short()
    line.trouble.made(AGG)
    await until(lambda: line.clock.deadlines == [LASTING_SECONDS])
    line.pass_by(LASTING_SECONDS)
    line.clock.expire()
    await until(lambda: len(line.connected()) == 3)
    # Of five connections two were told; three and this one were attempts.
    assert line.connected()[-1] == (4, 3 * 1.0 + LASTING_SECONDS)
    assert line.trouble.lost(AGG, "cut")
    assert line.reasons() == [CUT, CUT, "cut"]


async def test_one_that_ends_before_it_lasted_is_never_told() -> None:
    line = Line()
    for _ in range(3):
        line.short()
    line.clock.expire()
    await asyncio.sleep(0)
    assert len(line.connected()) == 2
