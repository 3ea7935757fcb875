"""peers.display: what a person at a terminal sees."""

import dataclasses
import io

import pytest
from rich.console import Console

from peers.display import AggregatorDisplay, HospitalDisplay, round_line
from peers.records import RoundReport
from secagg import RoundRecord
from secagg.drivers import progress
from secagg.drivers.progress import Progress
from secagg.messages import Result
from secagg.names import PeerId, SessionId

SID = SessionId(bytes(32))
BERN, ZUG = PeerId("bern"), PeerId("zug")
RESULT = Result(
    status="released",
    u3=(ZUG,),
    verdicts=(),
    dp=None,
    extras=(),
    vector=None,
    next_model_hash=None,
    epsilon=None,
)
REPORT = RoundReport(
    task="cardio",
    round=3,
    status="released",
    sets={"u0": ["basel", "bern", "zug"], "u3": ["basel", "bern"]},
    lost={"zug": {"round": "masked_input", "reason": "silent"}},
    absent={"chur": "was not connected when the session opened"},
    seconds={"masked_input": 1.5, "unmasking": 0.5},
)


@pytest.fixture
def screen():
    """A terminal of 120 columns."""
    return Console(
        file=io.StringIO(), force_terminal=True, width=120, color_system=None
    )


def text_of(console):
    return console.file.getvalue()


def test_a_round_in_one_line_says_who_was_not_in_it_and_why() -> None:
    line = round_line(REPORT)
    for part in ("round 3", "2 of 3 in the sum", "zug", "masked input", "2.0 s"):
        assert part in line
    assert "chur" in line
    assert "not connected" in line


def test_a_round_without_a_sum_says_why() -> None:
    report = RoundReport(task="t", round=2, status="aborted", detail="rule [4.5-5]")
    assert "no sum" in round_line(report)
    assert "4.5-5" in round_line(report)


def test_epsilon_is_on_the_screen() -> None:
    assert "epsilon 1.5" in round_line(dataclasses.replace(REPORT, epsilon=1.5))


def test_a_discarded_sum_is_said() -> None:
    report = dataclasses.replace(REPORT, status="discarded")
    assert "discarded" in round_line(report)


AGGREGATOR_EVENTS: dict[str, Progress] = {
    "ready": progress.PeerReady(peer=BERN, waiting_for=(ZUG,)),
    "connection lost": progress.Disconnected(peer=BERN, reason=""),
    "input 2 of 8": progress.ChunkStored(sid=SID, peer=BERN, chunks=2, total=8),
    "dropped by rule 3.4-3": progress.PeerDropped(
        sid=SID, peer=BERN, rule="3.4-3", detail="x"
    ),
    "declined by rule 4.1-5": progress.PeerDeclined(
        peer=BERN, round_no=1, rule="4.1-5", detail="x", waiting_for=()
    ),
    "2 more are needed": progress.RoundLate(ready=(ZUG,), needed=2),
    "session of 2": progress.SessionBegan(
        sid=SID, round_no=1, attempt=1, members=(BERN, ZUG)
    ),
    "unmasking": progress.PhaseReached(sid=SID, phase="unmasking"),
    "1 in the sum": progress.SessionCompleted(sid=SID, status="released", u3=(ZUG,)),
}


@pytest.mark.parametrize("shown", AGGREGATOR_EVENTS)
def test_the_aggregators_table_shows(screen, shown) -> None:
    display = AggregatorDisplay(screen, "cardio", 10, ["bern", "zug"])
    with display.shown():
        assert "not connected" in text_of(screen)
        display.observe(AGGREGATOR_EVENTS[shown])
        assert shown in text_of(screen)


def test_a_stranger_gets_no_row(screen) -> None:
    display = AggregatorDisplay(screen, "cardio", 10, ["bern"])
    with display.shown():
        display.observe(progress.Connected(peer=PeerId("mallory")))
    assert "mallory" not in text_of(screen)


def test_the_line_of_a_round_stays(screen) -> None:
    display = AggregatorDisplay(screen, "cardio", 10, ["bern"])
    with display.shown():
        display.report(REPORT)
    assert "2 of 3 in the sum" in text_of(screen)


def test_what_the_aggregator_tells_stays(screen) -> None:
    AggregatorDisplay(screen, "cardio", 10, ["bern"]).tell("bern is out: rule [4.7-6]")
    assert text_of(screen) == "bern is out: rule [4.7-6]\n"


HOSPITAL_EVENTS: dict[str, Progress] = {
    "keys shared": progress.PhaseReached(sid=SID, phase="shared"),
    "sending, 25%": progress.Uploaded(sid=SID, sent_bytes=1, total_bytes=4),
    "connection lost": progress.Disconnected(peer=BERN, reason="[x]"),
    "again in 4 s": progress.DialFailed(reason="nobody answers", retry_seconds=4),
    "connected again after 4 attempts, 2 m": progress.Connected(
        peer=BERN, attempts=4, after_seconds=118.2
    ),
    "connected again after 1 attempt, 9 s": progress.Connected(
        peer=BERN, attempts=1, after_seconds=9.1
    ),
}


@pytest.mark.parametrize("shown", HOSPITAL_EVENTS)
def test_the_hospitals_line_shows(screen, shown) -> None:
    display = HospitalDisplay(screen, "bern")
    began = progress.SessionBegan(sid=SID, round_no=7, attempt=1, members=(BERN, ZUG))
    with display.shown():
        display.observe(began)
        display.observe(HOSPITAL_EVENTS[shown])
        display.observe(progress.MessageIgnored(peer=BERN, type="Abort", rule="8-6"))
        screen.print(display.line)
    assert shown in text_of(screen)


def test_the_programs_own_words_are_shown_as_they_are(screen) -> None:
    display = HospitalDisplay(screen, "bern")
    display.tell("round 1: training [red]")
    screen.print(display.line)
    assert "bern: round 1: training [red]" in text_of(screen)


@pytest.mark.parametrize(
    ("included", "said"), [(True, "with ours"), (False, "without ours")]
)
def test_a_hospital_sees_whether_its_input_is_in_the_sum(
    screen, included, said
) -> None:
    record = RoundRecord(
        task_id="cardio",
        round_no=7,
        sid=SID,
        included=included,
        sets={"u0": (BERN, ZUG), "u3": (ZUG,)},
        result=RESULT,
        error=None,
        attempts=(),
        link=bytes(32),
    )
    display = HospitalDisplay(screen, "bern")
    display.received(record, None)
    assert f"round 7: 1 of 2 inputs are in the sum, {said}" in text_of(screen)


def test_what_stays_out_of_the_log_is_printed_as_it_is(screen) -> None:
    HospitalDisplay(screen, "bern").show("Traceback:\n  x[0]\nKeyError: 'age'\n")
    assert text_of(screen) == "bern: Traceback:\n  x[0]\nKeyError: 'age'\n"
