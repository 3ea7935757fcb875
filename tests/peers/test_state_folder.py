"""peers.state_folder: what the journal knows while no aggregator runs."""

import contextlib

import pytest

from peers import state_folder
from peers.membership import Membership
from secagg import errors, events
from secagg.consortium import Consortium
from secagg.drivers.aggregator.journal import COMPLETED, FAILED, FILE_NAME, Journal
from secagg.drivers.roster_book import RosterBook
from secagg.names import Round
from secagg.server import Server
from secagg.task import Task
from tests.samples import first_manifest

CONSORTIUM = Consortium.of(4, b"state folder")
MEMBER = Membership(identity=CONSORTIUM.aggregator, book=RosterBook(CONSORTIUM.roster))
SILO = next(iter(CONSORTIUM.silos))
MANIFEST = first_manifest(CONSORTIUM, Task(task_id="demo", length=5, clip=1.0))


@contextlib.contextmanager
def journal_in(folder):
    with contextlib.closing(Journal(folder, members=5)) as journal:
        yield journal


def journal_of_a_round(folder, status, *accepted):
    """Journal one round with a session that took these events."""
    server = Server(
        identity=CONSORTIUM.aggregator, roster=CONSORTIUM.roster, manifest=MANIFEST
    )
    with journal_in(folder) as journal:
        journal.open_round("demo", bytes(32), 0)
        journal.open_session(server.sid, MANIFEST, bytes(32))
        for event in accepted:
            journal.append(server.sid, event)
        journal.end_session(server.sid, status)
        journal.close_round("demo", 1, status)


def failed(folder, *, after=0):
    return state_folder.failed_round(folder, MEMBER, "demo", after=after)


def test_no_journal_has_no_failed_round(tmp_path) -> None:
    assert failed(tmp_path) is None
    assert not (tmp_path / FILE_NAME).exists()


def test_a_round_that_failed_before_a_crash_is_told_with_rule_and_sets(
    tmp_path,
) -> None:
    late = events.DeadlinePassed(round=Round.ADVERTISE_KEYS)
    journal_of_a_round(tmp_path, FAILED, late)
    round_no, error = failed(tmp_path) or pytest.fail("nothing was found")
    assert round_no == 1
    assert set(error.missing) == set(CONSORTIUM.silos)
    (attempt,) = error.attempts
    assert attempt.code == error.code
    assert set(attempt.sets["u0"]) == set(CONSORTIUM.silos)


def test_a_round_that_failed_without_a_journaled_end_is_told(tmp_path) -> None:
    journal_of_a_round(tmp_path, FAILED)
    _, error = failed(tmp_path) or pytest.fail("nothing was found")
    assert "before a restart" in str(error)


def test_a_round_that_was_settled_is_not_told_again(tmp_path) -> None:
    journal_of_a_round(tmp_path, FAILED)
    assert failed(tmp_path, after=1) is None


def test_a_round_with_a_result_has_not_failed(tmp_path) -> None:
    journal_of_a_round(tmp_path, COMPLETED)
    assert failed(tmp_path) is None


def test_who_was_blamed_is_readmitted_with_the_reason(tmp_path) -> None:
    with journal_in(tmp_path) as journal:
        journal.blame("demo", SILO, "rule 4.7-6: bad shares")
    told = state_folder.readmit(tmp_path, MEMBER, "demo", SILO)
    assert told == "rule 4.7-6: bad shares"
    with journal_in(tmp_path) as journal:
        assert journal.blamed("demo") == {}


def test_who_was_not_blamed_cannot_be_readmitted(tmp_path) -> None:
    with journal_in(tmp_path) as journal:
        journal.blame("demo", SILO, "rule 4.7-6: bad shares")
    with pytest.raises(errors.StateError, match=f"left out: {SILO}"):
        state_folder.readmit(tmp_path, MEMBER, "demo", "silo-003")


def test_nobody_is_readmitted_where_no_aggregator_was(tmp_path) -> None:
    with pytest.raises(errors.StateError, match="holds no journal"):
        state_folder.readmit(tmp_path, MEMBER, "demo", SILO)


def test_nobody_is_readmitted_while_the_aggregator_runs(tmp_path) -> None:
    with (
        journal_in(tmp_path),
        pytest.raises(errors.StateError, match="another process has it open"),
    ):
        state_folder.readmit(tmp_path, MEMBER, "demo", SILO)
