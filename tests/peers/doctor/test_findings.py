"""peers.doctor.findings: warnings pass, failures do not."""

import pytest

from peers.doctor.findings import Level, Report
from secagg import errors
from tests.peers.doctor.sites import found


def test_warnings_pass_and_failures_do_not() -> None:
    report = Report()
    report.ok("a", "good")
    report.warn("b", "mind this")
    before = report.passed
    report.fail("c", "mend this")
    assert (before, report.passed) == (True, False)
    assert [one.row()["level"] for one in report.findings] == [
        "ok",
        "warning",
        "failed",
    ]


def test_each_finding_is_shown_as_it_comes() -> None:
    shown: list[str] = []
    report = Report(lambda finding: shown.append(finding.check))
    report.ok("a", "")
    assert shown == ["a"]


def test_an_error_that_says_its_remedy_is_a_failure() -> None:
    report = Report()
    with report.checking("state"):
        raise errors.StateError("free some space")
    assert found(report, "state") == (Level.FAILED, "free some space")


def test_an_error_of_the_doctor_itself_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError), Report().checking("state"):
        raise ZeroDivisionError
