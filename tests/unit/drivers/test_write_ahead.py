"""A log damaged in its middle is refused; one that a power cut tore is not."""

import shutil
import sqlite3

import pytest

from secagg import errors
from secagg.drivers import write_ahead
from secagg.drivers.database import Database

SCHEMA = ["CREATE TABLE IF NOT EXISTS marks (mark INTEGER PRIMARY KEY) STRICT"]
HEADER = 32
FRAME = 24 + 4096
MARKS = 6


def open_at(path):
    return Database(path, SCHEMA, version=1, if_damaged="do this")


@pytest.fixture
def killed(tmp_path):
    """What a killed process leaves, after the log was emptied and begun again."""
    running = tmp_path / "running.sqlite3"
    with open_at(running) as database:
        database.execute("INSERT INTO marks VALUES (100)")
        database.empty_log()
        for mark in range(MARKS):
            database.execute("INSERT INTO marks VALUES (?)", mark)
        for end in ("", "-wal", ".begun"):
            shutil.copyfile(f"{running}{end}", tmp_path / f"state.sqlite3{end}")
    return tmp_path / "state.sqlite3"


def log_of(path):
    return path.with_name(f"{path.name}-wal")


def commits(path) -> list[int]:
    """Where the last frame of each commit begins."""
    log = log_of(path).read_bytes()
    starts = range(HEADER, len(log), FRAME)
    return [at for at in starts if log[at + 4 : at + 8] != bytes(4)]


def flip(path, at) -> None:
    log = bytearray(log_of(path).read_bytes())
    log[at] ^= 1
    log_of(path).write_bytes(log)


def marks(path):
    with open_at(path) as database:
        return [row[0] for row in database.execute("SELECT mark FROM marks")]


def test_a_good_log_is_read_in_full(killed) -> None:
    assert len(commits(killed)) == MARKS
    assert write_ahead.lost(log_of(killed)) is None
    assert marks(killed) == [*range(MARKS), 100]


def test_sqlite_alone_drops_what_lies_behind_a_damaged_frame(killed) -> None:
    flip(killed, commits(killed)[1] + 200)
    with sqlite3.connect(killed) as connection:
        assert connection.execute("SELECT mark FROM marks").fetchall() == [(0,), (100,)]
    connection.close()


@pytest.mark.parametrize("commit", range(MARKS - 1))
@pytest.mark.parametrize("byte", [0, 8, 24, FRAME - 1], ids=str)
def test_a_damaged_commit_before_the_last_is_refused(killed, commit, byte) -> None:
    flip(killed, commits(killed)[commit] + byte)
    for _ in range(2):  # and is not forgotten by having been looked at
        with pytest.raises(errors.StateError, match=r"of its log.*do this"):
            open_at(killed)


def test_a_frame_given_back_as_zeros_is_refused(killed) -> None:
    log = bytearray(log_of(killed).read_bytes())
    at = commits(killed)[1]
    log[at : at + FRAME] = bytes(FRAME)
    log_of(killed).write_bytes(log)
    with pytest.raises(errors.StateError, match="of its log"):
        open_at(killed)


@pytest.mark.parametrize("byte", [0, 9, 17, 25])
def test_a_damaged_head_is_refused(killed, byte) -> None:
    flip(killed, byte)
    with pytest.raises(errors.StateError, match="the head of its log"):
        open_at(killed)


@pytest.mark.parametrize("kept", [1, 24, 2000, FRAME - 1])
def test_a_torn_last_commit_is_as_if_it_had_not_been(killed, kept) -> None:
    log = log_of(killed)
    log.write_bytes(log.read_bytes()[: commits(killed)[-1] + kept])
    assert marks(killed) == [*range(MARKS - 1), 100]


def test_the_last_commit_half_written_is_no_damage(killed) -> None:
    flip(killed, commits(killed)[-1] + 200)
    assert marks(killed) == [*range(MARKS - 1), 100]


def test_frames_of_an_older_log_behind_the_newest_are_no_damage(killed) -> None:
    log, older = log_of(killed), bytearray(log_of(killed).read_bytes()[HEADER:])
    for at in range(0, len(older), FRAME):
        older[at + 8] ^= 1
    log.write_bytes(log.read_bytes() + older)
    assert marks(killed) == [*range(MARKS), 100]


def test_a_log_that_is_not_there_or_empty_is_none(tmp_path) -> None:
    path = tmp_path / "state.sqlite3-wal"
    assert write_ahead.lost(path) is None
    path.touch()
    assert write_ahead.lost(path) is None
