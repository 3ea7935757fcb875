import pytest

from secagg import codec, errors, events
from secagg.consortium import Consortium
from secagg.crypto.transcript import LINK_START
from secagg.drivers import postgres
from secagg.drivers.aggregator.journal import (
    COMPLETED,
    FAILED,
    MAX_HISTORY,
    OPEN,
    Journal,
)
from secagg.drivers.postgres import DatabaseUrl
from secagg.messages import History, PastRound
from secagg.names import PeerId, Round, SessionId
from secagg.task import Task
from tests.samples import first_manifest

CONSORTIUM = Consortium.of(4, b"journal")
MANIFEST = first_manifest(CONSORTIUM, Task(task_id="demo", length=5, clip=1.0))
SID = SessionId(bytes([5]) * 32)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request, tmp_path):
    """Where a journal may be: a directory, or a database."""
    if request.param == "sqlite":
        return tmp_path
    return DatabaseUrl(request.getfixturevalue("postgres_url"))


@pytest.fixture
def journal(place):
    opened = Journal(place, members=5)
    yield opened
    opened.close()


@pytest.fixture
def file_journal(tmp_path):
    opened = Journal(tmp_path, members=5)
    yield opened
    opened.close()


def past(k: int) -> PastRound:
    return PastRound(
        manifest=bytes([k]), h3=bytes(32), certificate=b"c", result=bytes([k])
    )


def link(k: int) -> bytes:
    return bytes([k]) * 32


def test_rounds_are_counted_from_one(journal) -> None:
    assert journal.last_round("demo") is None
    first = journal.open_round("demo", bytes(32), 7)
    journal.close_round("demo", 1, COMPLETED)
    second = journal.open_round("demo", bytes(32), 7)
    assert (first.round_no, second.round_no) == (1, 2)
    assert journal.last_round("demo") == second


def test_an_open_round_on_the_same_model_goes_on(journal) -> None:
    first = journal.open_round("demo", bytes(32), 7)
    assert journal.open_round("demo", bytes(32), 7) == first


def test_an_open_round_on_another_model_has_failed(journal) -> None:
    journal.open_round("demo", bytes(32), 7)
    second = journal.open_round("demo", link(1), 7)
    assert (second.round_no, second.status) == (2, OPEN)


def test_a_session_is_read_back_with_its_events_in_order(journal) -> None:
    journal.open_session(SID, MANIFEST, link(9))
    told = [events.DeadlinePassed(round=Round.SHARE_ACK)] * 2 + [
        events.Stopped(code="0-1", reason="stopped")
    ]
    for event in told:
        journal.append(SID, event)
    row = journal.newest_session("demo", 1)
    assert row is not None
    assert row.manifest == MANIFEST
    assert row.noise_seed == link(9)
    assert list(row.events) == told
    assert "noise_seed" not in repr(row)


def test_the_journal_outlives_the_process(place) -> None:
    first = Journal(place, members=5)
    first.open_session(SID, MANIFEST, link(9))
    first.append(SID, events.Stopped(code="0-1", reason="stopped"))
    first.close()
    second = Journal(place, members=5)
    row = second.newest_session("demo", 1)
    assert row is not None
    assert len(row.events) == 1
    second.close()


def test_attempts_of_a_round_are_counted(journal) -> None:
    assert journal.attempts("demo", 1) == 0
    assert journal.newest_session("demo", 1) is None
    journal.open_session(SID, MANIFEST, link(9))
    journal.end_session(SID, FAILED)
    assert journal.attempts("demo", 1) == 1


def test_the_head_is_the_newest_link(journal) -> None:
    assert journal.head("demo") == LINK_START
    for k in (1, 2):
        journal.add_link("demo", link(k), past(k))
    assert journal.head("demo") == link(2)


def test_a_link_that_is_there_stays_as_it_is(journal) -> None:
    journal.add_link("demo", link(1), past(1))
    journal.add_link("demo", link(1), past(9))
    assert journal.history("demo", LINK_START) == (past(1),)


def test_the_history_follows_a_head_oldest_first(journal) -> None:
    for k in (1, 2, 3):
        journal.add_link("demo", link(k), past(k))
    assert journal.history("demo", LINK_START) == (past(1), past(2), past(3))
    assert journal.history("demo", link(2)) == (past(3),)
    assert journal.history("demo", link(3)) == ()


def test_a_head_that_is_not_of_the_chain_has_no_history(journal) -> None:
    journal.add_link("demo", link(1), past(1))
    assert journal.history("demo", link(7)) == ()
    assert journal.history("other", link(1)) == ()


def test_a_history_is_at_most_64_links(journal) -> None:
    for k in range(MAX_HISTORY + 2):
        journal.add_link("demo", link(k), past(k))
    assert len(journal.history("demo", LINK_START)) == MAX_HISTORY


def test_who_is_blamed_is_left_out_until_readmitted(journal) -> None:
    a, b = PeerId("a"), PeerId("b")
    journal.blame("demo", b, "rule 4.7-4: bad shares")
    journal.blame("demo", a, "rule 4.7-4: bad shares")
    journal.readmit("demo", a)
    assert journal.blamed("demo") == {b: "rule 4.7-4: bad shares"}
    assert journal.blamed("other") == {}


def test_a_second_process_is_refused(journal, place, monkeypatch) -> None:
    monkeypatch.setattr(postgres, "LOCK_SECONDS", 0.01)
    with pytest.raises(errors.StateError, match="another process"):
        Journal(place, members=5)


def test_a_history_is_no_longer_than_one_message(journal) -> None:
    limit = codec.body_limit(History, 5)
    large = bytes(limit // 3)
    for k in (1, 2, 3, 4):
        row = PastRound(manifest=large, h3=bytes([k]), certificate=b"", result=b"")
        journal.add_link("demo", link(k), row)
    first = journal.history("demo", LINK_START)
    assert [row.h3 for row in first] == [bytes([1]), bytes([2])]
    assert len(codec.encode_body(History(rounds=first))) <= limit
    assert len(journal.history("demo", link(2))) == 2


def test_a_link_longer_than_a_message_is_still_given(journal) -> None:
    huge = bytes(codec.body_limit(History, 5))
    journal.add_link(
        "demo", link(1), PastRound(manifest=huge, h3=b"", certificate=b"", result=b"")
    )
    assert len(journal.history("demo", LINK_START)) == 1


SECRETS = ("a seed of 32 bytes, all of noise", "a share of some secret key")


def journal_bytes(directory) -> bytes:
    return b"".join(path.read_bytes() for path in directory.iterdir())


def with_secrets(journal) -> None:
    journal.open_round("demo", bytes(32), 0)
    journal.open_session(SID, MANIFEST, SECRETS[0].encode())
    journal.append(SID, events.Stopped(code="0-1", reason=SECRETS[1]))
    journal.close_round("demo", 1, COMPLETED)


def test_what_the_next_round_does_not_need_is_forgotten(journal) -> None:
    with_secrets(journal)
    journal.add_link("demo", link(1), past(1))
    journal.open_round("demo", bytes(32), 0)
    row = journal.newest_session("demo", 1)
    assert row is not None
    assert (row.noise_seed, row.events) == (b"", ())
    assert journal.attempts("demo", 1) == 1
    assert journal.history("demo", LINK_START) == (past(1),)


def test_in_a_file_what_is_forgotten_is_overwritten(file_journal, tmp_path) -> None:
    with_secrets(file_journal)
    file_journal.open_round("demo", bytes(32), 0)
    for secret in SECRETS:
        assert secret.encode() not in journal_bytes(tmp_path)


def test_a_session_that_has_ended_leaves_no_noise_seed_on_the_disk(
    file_journal, tmp_path
) -> None:
    """Nobody draws its noise again, and who finds the seed can take it off."""
    with_secrets(file_journal)
    file_journal.end_session(SID, COMPLETED)
    row = file_journal.newest_session("demo", 1)
    assert row is not None
    assert row.noise_seed == b""
    assert SECRETS[0].encode() not in journal_bytes(tmp_path)
    assert len(row.events) == 1
    file_journal.open_round("demo", bytes(32), 0)
    assert SECRETS[1].encode() not in journal_bytes(tmp_path)


def test_the_round_that_is_over_can_be_restored_until_the_next_opens(
    file_journal, tmp_path
) -> None:
    with_secrets(file_journal)
    row = file_journal.newest_session("demo", 1)
    assert row is not None
    assert row.noise_seed == SECRETS[0].encode()
    assert len(row.events) == 1
    for secret in SECRETS:
        assert secret.encode() in journal_bytes(tmp_path)


def test_other_tasks_keep_what_they_need(journal) -> None:
    with_secrets(journal)
    for _ in range(2):
        number = journal.open_round("other", bytes(32), 0).round_no
        journal.close_round("other", number, COMPLETED)
    row = journal.newest_session("demo", 1)
    assert row is not None
    assert len(row.events) == 1
