"""peers.records: a round in one line, whatever came of it."""

import dataclasses

import pytest

from peers import records
from peers.config_aggregator import Extra
from peers.records import RoundReport
from secagg import RoundOutcome, errors
from secagg.drivers.outcome import Attempt, Loss, Traffic
from secagg.messages import CheckVerdict, Result
from secagg.names import PeerId, SessionId
from secagg.scale import ErrorBound

BASEL, BERN, CHUR, ZUG, GENEVA = map(PeerId, ("basel", "bern", "chur", "zug", "geneva"))
HOSPITALS = (BASEL, BERN, CHUR, GENEVA, ZUG)
RESULT = Result(
    status="released",
    u3=(BASEL, BERN, CHUR),
    verdicts=(CheckVerdict(check="exact-bounds", passed=True, detail=""),),
    dp=None,
    extras=(("loss_e2", 150), ("weight", 60)),
    vector=None,
    next_model_hash=bytes(32),
    epsilon=None,
)
OUTCOME = RoundOutcome(
    task_id="cardio",
    round_no=3,
    sid=SessionId(b"\x01" * 32),
    model_hash=b"\x02" * 32,
    result=RESULT,
    vector=None,
    extras={"loss_e2": 150, "weight": 60},
    sets={
        "u0": (BASEL, BERN, CHUR, ZUG),
        "u1": (BASEL, BERN, CHUR, ZUG),
        "u2": (BASEL, BERN, CHUR),
        "u3": (BASEL, BERN, CHUR),
        "u4": (BASEL, BERN, CHUR),
        "u5": (BASEL, BERN, CHUR),
    },
    lost={ZUG: Loss(round="share_keys", reason="silent until the deadline")},
    late=(),
    error=ErrorBound(0.5, 0.1, 1.5, (0.5,)),
    durations={"share_keys": 1.23456},
    traffic={BASEL: Traffic(up=5, down=6)},
    attempts=(
        Attempt(
            sid=SessionId(b"\x03" * 32),
            attempt=1,
            code="4.5-5",
            detail="too few",
            missing=(ZUG,),
            culprits=(),
        ),
    ),
    link=b"\x04" * 32,
)
EXTRAS = (Extra(name="loss", decimals=2, low=0, high=9),)


def present(connected=(), blamed=None):
    return records.Present(
        hospitals=HOSPITALS, connected=connected, blamed=blamed or {}
    )


def report_of(outcome=OUTCOME, connected=(), blamed=None):
    return records.report_of(
        outcome,
        present=present(connected, blamed),
        extras=EXTRAS,
        model_after=b"\x05" * 32,
    )


def test_a_report_comes_back_from_its_line() -> None:
    report = report_of()
    assert "\n" not in report.to_json()
    assert RoundReport.from_json(report.to_json()) == report


def test_who_was_lost_is_named_with_where_and_why() -> None:
    lost = report_of().lost
    assert lost == {
        "zug": {"round": "share_keys", "reason": "silent until the deadline"}
    }


@pytest.mark.parametrize(
    ("late", "connected", "why"),
    [
        ((), (), records.NOT_CONNECTED),
        ((), (GENEVA,), records.NOT_READY),
        ((GENEVA,), (GENEVA,), records.TOO_LATE),
    ],
)
def test_who_was_no_member_is_named_with_why(late, connected, why) -> None:
    outcome = dataclasses.replace(OUTCOME, late=late)
    assert report_of(outcome, connected).absent == {"geneva": why}


def test_metrics_are_means_over_u3_in_their_unit() -> None:
    assert report_of().metrics == {"loss": 0.5}
    assert report_of().weight == 60


def test_attempts_that_failed_are_kept() -> None:
    (attempt,) = report_of().attempts
    assert attempt["rule"] == "4.5-5"
    assert attempt["missing"] == ["zug"]


def test_a_discarded_round_has_its_verdicts_and_no_mean() -> None:
    verdict = CheckVerdict(check="exact-bounds", passed=False, detail="norm 9 > 3")
    result = dataclasses.replace(
        RESULT, status="discarded", verdicts=(verdict,), extras=(), next_model_hash=None
    )
    outcome = dataclasses.replace(
        OUTCOME, result=result, vector=None, extras={}, error=None
    )
    report = report_of(outcome)
    assert report.status == "discarded"
    assert report.verdicts[0]["passed"] is False
    assert report.error_bound is None
    assert report.metrics == {}


def aborted(error, **who):
    return records.aborted_report(
        error, task="cardio", round_no=4, model=bytes(32), present=present(**who)
    )


def attempt_of(number, **fields):
    u0 = (BASEL, BERN, CHUR, ZUG)
    values = {"code": "4.5-5", "detail": "too few", "missing": (), "culprits": ()}
    sets = {"u0": u0, "u1": u0}
    return Attempt(
        sid=SessionId(bytes([number]) * 32),
        attempt=number,
        **{"sets": sets, **values, **fields},
    )


def test_a_blamed_hospital_is_told_as_blamed() -> None:
    blamed = {GENEVA: "rule 4.7-6: bad shares"}
    late = dataclasses.replace(OUTCOME, late=(GENEVA,))
    for outcome in (OUTCOME, late):
        why = report_of(outcome, (GENEVA,), blamed).absent["geneva"]
        assert why == f"{records.BLAMED}: rule 4.7-6: bad shares"


def test_who_fell_out_of_an_earlier_attempt_is_told_so() -> None:
    attempts = (
        attempt_of(1, missing=(GENEVA,)),
        attempt_of(2, dropped={GENEVA: "rule 4.1-5: n = 4 is below min_members 5"}),
    )
    one = dataclasses.replace(OUTCOME, attempts=attempts[:1])
    both = dataclasses.replace(OUTCOME, attempts=attempts)
    assert "silent in attempt 1" in report_of(one).absent["geneva"]
    report = report_of(both)
    assert report.absent["geneva"].startswith("in attempt 2: rule 4.1-5: n = 4")
    assert report.attempts[1]["dropped"]["geneva"].startswith("rule 4.1-5")


def test_a_round_without_a_result_has_the_sets_of_its_last_attempt() -> None:
    u0 = (BASEL, BERN, CHUR, ZUG)
    last = attempt_of(
        2,
        sets={"u0": u0, "u1": u0, "u2": (BASEL, BERN, CHUR)},
        missing=(CHUR,),
        culprits=(BASEL,),
        dropped={ZUG: "rule 4.3-1: a breach"},
    )
    error = errors.SessionAborted(
        "4.5-5", "too few", (CHUR,), [attempt_of(1, missing=(GENEVA,)), last]
    )
    report = aborted(error)
    assert report.sets["u2"] == ["basel", "bern", "chur"]
    assert report.lost["zug"] == {
        "round": "share_keys",
        "reason": "rule 4.3-1: a breach",
    }
    assert report.lost["chur"]["reason"] == "missing when rule 4.5-5 ended it"
    assert report.lost["basel"]["reason"].startswith("blamed by rule 4.5-5")
    assert "silent in attempt 1" in report.absent["geneva"]
    assert [one["attempt"] for one in report.attempts] == [1, 2]
    assert RoundReport.from_json(report.to_json()) == report


def test_a_round_without_a_result_names_who_is_missing() -> None:
    error = errors.SessionAborted("4.5-5", "|U3| = 2 is below 3", ["zug", "bern"])
    report = aborted(error)
    assert set(report.lost) == {"bern", "zug"}
    assert "4.5-5" in report.detail
    assert report.model_before == report.model_after


def test_reports_are_read_in_order(tmp_path) -> None:
    for number in (1, 2):
        report = dataclasses.replace(report_of(), round=number)
        records.append(tmp_path, report)
    assert [report.round for report in records.read(tmp_path)] == [1, 2]


def test_a_line_that_a_crash_cut_is_left_out(tmp_path) -> None:
    records.append(tmp_path, report_of())
    with (tmp_path / records.FILE_NAME).open("a") as file:
        file.write(report_of().to_json()[:40])
    assert len(records.read(tmp_path)) == 1


def test_a_report_behind_a_torn_line_is_read_back(tmp_path) -> None:
    records.append(tmp_path, report_of())
    with (tmp_path / records.FILE_NAME).open("a") as file:
        file.write(report_of().to_json()[:40])
    records.append(tmp_path, dataclasses.replace(report_of(), round=4))
    assert [report.round for report in records.read(tmp_path)] == [3, 4]


@pytest.mark.parametrize("line", [b"{", b"[]", b"{}", b'{"task":"t"}', b"\xff", b"5"])
def test_a_damaged_line_is_told_with_file_and_line(tmp_path, line) -> None:
    records.append(tmp_path, report_of())
    with (tmp_path / records.FILE_NAME).open("ab") as file:
        file.write(line + b"\n")
    records.append(tmp_path, report_of())
    with pytest.raises(errors.StateError, match=r"rounds\.jsonl, line 2: "):
        records.read(tmp_path)


def test_no_file_holds_no_report(tmp_path) -> None:
    assert records.read(tmp_path) == []


def test_a_report_that_cannot_be_written_is_told(tmp_path) -> None:
    with pytest.raises(errors.StateError, match="cannot write"):
        records.append(tmp_path / "missing", report_of())
