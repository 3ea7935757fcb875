"""secagg.drivers.database: one process, durable commits, errors with remedies."""

import os
import resource
import shutil
import signal
import subprocess
import sys

import pytest

from secagg import errors
from secagg.drivers.database import Database

SCHEMA = ["CREATE TABLE IF NOT EXISTS marks (mark INTEGER PRIMARY KEY) STRICT"]


def open_at(path, *, version=1):
    return Database(path, SCHEMA, version=version, if_damaged="do this")


def refusal(path, **options):
    with pytest.raises(errors.StateError) as caught:
        open_at(path, **options)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.sqlite3"


def test_what_was_committed_is_there_when_it_is_opened_again(path) -> None:
    with open_at(path) as database:
        database.execute("INSERT INTO marks VALUES (?)", 7)
    with open_at(path) as database:
        assert database.execute("SELECT mark FROM marks") == [(7,)]


KILLED = """
import os, pathlib, signal, sys
from secagg.drivers.database import Database
schema = ["CREATE TABLE marks (mark INTEGER PRIMARY KEY) STRICT"]
database = Database(pathlib.Path(sys.argv[1]), schema, version=1, if_damaged="")
database.execute("INSERT INTO marks VALUES (?)", 7)
os.kill(os.getpid(), signal.SIGKILL)
"""

READER = """
import sqlite3, sys
sqlite3.connect(sys.argv[1], timeout=0).execute("SELECT * FROM marks")
"""


def run(program, path):
    return subprocess.run(
        [sys.executable, "-c", program, path],
        check=False,
        capture_output=True,
        text=True,
    )


def test_what_was_committed_outlives_a_killed_process(path) -> None:
    assert run(KILLED, path).returncode == -signal.SIGKILL
    with open_at(path) as database:
        assert database.execute("SELECT mark FROM marks") == [(7,)]


def test_every_commit_is_synced_to_the_disk(path) -> None:
    with open_at(path) as database:
        assert database.execute("PRAGMA synchronous") == [(2,)]
        assert database.execute("PRAGMA journal_mode") == [("wal",)]
        assert database.execute("PRAGMA locking_mode") == [("exclusive",)]


def test_a_second_user_is_refused_until_the_first_has_closed(path) -> None:
    with open_at(path):
        assert "another process" in refusal(path)
    open_at(path).close()


def test_another_process_is_locked_out(path) -> None:
    with open_at(path):
        assert "database is locked" in run(READER, path).stderr
    assert run(READER, path).returncode == 0


def test_a_refused_second_user_leaves_the_first_its_lock(path) -> None:
    # POSIX drops a process's locks with any descriptor of the file that it closes.
    with open_at(path) as first:
        refusal(path)
        assert "database is locked" in run(READER, path).stderr
        first.execute("INSERT INTO marks VALUES (1)")


def test_a_file_that_is_no_database_is_refused_with_the_callers_remedy(path) -> None:
    path.write_bytes(b"no database at all " * 99)
    assert refusal(path).endswith("do this")


def fill(database):
    for mark in range(2000):
        database.execute("INSERT INTO marks VALUES (?)", mark)


@pytest.fixture
def filled(path):
    """A file of several pages."""
    with open_at(path) as database:
        fill(database)
    return path


def test_a_torn_file_is_refused_with_the_callers_remedy(filled) -> None:
    os.truncate(filled, filled.stat().st_size // 2)
    assert refusal(filled).endswith("do this")


def test_a_page_overwritten_is_refused_with_the_callers_remedy(filled) -> None:
    data = bytearray(filled.read_bytes())
    data[4096:8192] = bytes(4096)
    filled.write_bytes(data)
    assert refusal(filled).endswith("do this")


@pytest.mark.parametrize("version", [1, 3])
def test_a_file_of_another_version_is_refused_and_left_alone(path, version) -> None:
    open_at(path, version=2).close()
    before = path.read_bytes()
    assert "format 2" in refusal(path, version=version)
    assert path.read_bytes() == before


def test_a_folder_that_is_missing_is_named(tmp_path) -> None:
    assert "check the path" in refusal(tmp_path / "none" / "state.sqlite3")


def test_a_failed_statement_says_why_and_changes_nothing(path) -> None:
    with open_at(path) as database:
        database.execute("INSERT INTO marks VALUES (1)")
        with pytest.raises(errors.StateError, match="UNIQUE"):
            database.execute("INSERT INTO marks VALUES (2), (1)")
        assert database.execute("SELECT mark FROM marks") == [(1,)]


def test_a_full_disk_is_named(path) -> None:
    with open_at(path) as database:
        [(pages,)] = database.execute("PRAGMA page_count")
        database.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(errors.StateError, match="free some space"):
            fill(database)


LARGE = """WITH RECURSIVE some(mark) AS (SELECT ? UNION ALL SELECT mark + 1 FROM some)
INSERT INTO marks SELECT mark FROM some LIMIT ?"""
"""Commits in some frames of 24 + 4096 bytes."""


@pytest.fixture
def files_limited_to():
    """Let no file grow beyond so many bytes: a write stops there and fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 1, 23, 24, 100, 4119, 4120, 4121, 5000, 8240])
def test_what_follows_a_commit_without_room_is_whole(
    path, tmp_path, files_limited_to, room
) -> None:
    """It is written over the half one, of which no kill leaves anything."""
    log = path.with_name(f"{path.name}-wal")
    with open_at(path) as database:
        database.execute("INSERT INTO marks VALUES (1)")
        files_limited_to(log.stat().st_size + room)
        for _ in range(2):
            with pytest.raises(errors.StateError, match="cannot use"):
                database.execute(LARGE, 2, 2000)
        files_limited_to(1 << 30)
        database.execute("INSERT INTO marks VALUES (5000)")
        killed = tmp_path / "killed"
        killed.mkdir()
        for file in (path, log):
            shutil.copy(file, killed)
    for found in (path, killed / path.name):
        with open_at(found) as again:
            marks = again.execute("SELECT mark FROM marks ORDER BY mark")
            assert marks == [(1,), (5000,)]


def test_a_closed_file_is_refused(path) -> None:
    database = open_at(path)
    database.close()
    with pytest.raises(errors.StateError, match="closed"):
        database.execute("SELECT 1")
