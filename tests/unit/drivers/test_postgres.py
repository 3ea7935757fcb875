"""secagg.drivers.postgres: one writer, no password in a word of it, honest refusals."""

import builtins
import contextlib
import signal
import subprocess
import sys

import pytest

from secagg import errors
from secagg.drivers import postgres
from secagg.drivers.postgres import DatabaseUrl, Postgres, translated
from tests.postgres import PASSWORD, NoServerError, running_pooler

SCHEMA = ["CREATE TABLE IF NOT EXISTS marks (mark INTEGER) STRICT"]


def open_at(url):
    return Postgres(DatabaseUrl(url), "marks", SCHEMA, version=1)


def refusal(url, kind: type[Exception] = errors.StateError) -> str:
    with pytest.raises(kind) as caught:
        open_at(url)
    said = f"{caught.value!r} {caught.value.__cause__!r}"
    assert PASSWORD not in said
    return said


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("a INTEGER PRIMARY KEY", "a BIGSERIAL PRIMARY KEY"),
        ("(a INTEGER, b TEXT) STRICT", "(a BIGINT, b TEXT)"),
        ("a BLOB NOT NULL, b REAL", "a BYTEA NOT NULL, b DOUBLE PRECISION"),
    ],
)
def test_a_schema_is_translated(ours, theirs) -> None:
    assert translated(ours) == theirs


def test_a_url_shows_nothing_of_itself() -> None:
    assert PASSWORD not in repr(DatabaseUrl(f"postgresql://u:{PASSWORD}@h/d"))


def test_a_second_user_is_refused_until_the_first_has_closed(
    postgres_url, monkeypatch
) -> None:
    monkeypatch.setattr(postgres, "LOCK_SECONDS", 0.01)
    with open_at(postgres_url):
        assert "another process has it open" in refusal(postgres_url)
    open_at(postgres_url).close()


KILLED = """
import os, signal, sys
from secagg.drivers.postgres import DatabaseUrl, Postgres
schema = ["CREATE TABLE IF NOT EXISTS marks (mark INTEGER) STRICT"]
tables = Postgres(DatabaseUrl(sys.stdin.read()), "marks", schema, version=1)
tables.execute("INSERT INTO marks VALUES (?)", 7)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_committed_outlives_a_killed_process_and_its_lock_does_not(
    postgres_url,
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED], input=postgres_url.encode(), check=False
    )
    assert done.returncode == -signal.SIGKILL
    with open_at(postgres_url) as tables:
        assert tables.execute("SELECT mark FROM marks") == [(7,)]


def test_a_commit_waits_for_the_servers_disk(postgres_url) -> None:
    import psycopg

    name = postgres_url.rpartition("/d")[2].partition("?")[0]
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        forgetful = f"ALTER DATABASE d{name} SET synchronous_commit = off"
        connection.execute(forgetful.encode())
    with open_at(postgres_url) as tables:
        assert tables.execute("SHOW synchronous_commit") == [("on",)]


def test_a_server_that_forgets_in_a_power_cut_is_refused(
    postgres_url, monkeypatch
) -> None:
    really = Postgres.execute

    def execute(self, statement, *values):
        if statement == "SHOW fsync":
            return [("off",)]
        return really(self, statement, *values)

    monkeypatch.setattr(Postgres, "execute", execute)
    assert "fsync = off" in refusal(postgres_url)


@pytest.fixture
def pooled_url(postgres_server, postgres_url, request):
    """The address of the same database behind a pooler; skips where there is none."""
    with contextlib.ExitStack() as stack:
        try:
            pooler = running_pooler(postgres_server, request.param)
            folder = stack.enter_context(pooler)
        except NoServerError as error:
            pytest.skip(str(error))
        yield postgres_url.replace(str(postgres_server.folder), str(folder))


@pytest.mark.parametrize("pooled_url", ["transaction", "session"], indirect=True)
def test_a_pooler_is_refused_and_nothing_is_left_with_it(
    postgres_url, pooled_url, monkeypatch
) -> None:
    monkeypatch.setattr(postgres, "LOCK_SECONDS", 0.01)
    assert "a pooler stands before it" in refusal(pooled_url)
    open_at(postgres_url).close()


def test_a_lock_that_another_session_took_is_refused(postgres_url, monkeypatch) -> None:
    """As by a pooler whose first session is announced as our own."""
    really = Postgres.execute

    def execute(self, statement, *values):
        if "pg_advisory_lock" in statement:
            return []
        return really(self, statement, *values)

    monkeypatch.setattr(Postgres, "execute", execute)
    assert "a pooler stands before it" in refusal(postgres_url)


def test_a_wrong_password_is_not_repeated(postgres_server, postgres_url) -> None:
    wrong = postgres_url.replace(PASSWORD, "wrong-canary")
    said = refusal(wrong)
    assert "password authentication failed" in said
    assert "wrong-canary" not in said


def test_a_message_that_quotes_the_password_is_cleaned(postgres_url) -> None:
    with open_at(postgres_url) as tables:
        told = tables._unusable(ValueError(f"connection to {PASSWORD} failed\n\nnow"))
    assert "connection to ... failed now" in str(told)


def test_a_server_that_is_not_there_is_named(tmp_path) -> None:
    pytest.importorskip("psycopg", reason="the extra postgres")
    said = refusal(f"postgresql://u:{PASSWORD}@/d?host={tmp_path}")
    assert f"the database d of the PostgreSQL server at {tmp_path}:5432" in said


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://u:{PASSWORD}@h:x y/d",
        f"mysql://u:{PASSWORD}@127.0.0.1/d",
        f"postgresql://u:{PASSWORD}@/d",
        f"password={PASSWORD} host=127.0.0.1",
    ],
)
def test_what_is_no_url_is_refused_without_being_quoted(url) -> None:
    pytest.importorskip("psycopg", reason="the extra postgres")
    assert "write postgresql://" in refusal(url, errors.ParameterError)


@pytest.mark.parametrize("mode", ["", "?sslmode=require", "?sslmode=prefer"])
@pytest.mark.parametrize("host", ["db.example", "10.0.0.7", "127.0.0.1,db.example"])
def test_over_a_network_a_server_has_to_prove_itself(host, mode) -> None:
    pytest.importorskip("psycopg", reason="the extra postgres")
    url = f"postgresql://u:{PASSWORD}@{host}/d{mode}"
    assert "sslmode=verify-full" in refusal(url, errors.ParameterError)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_on_the_loopback_none_has_to(host) -> None:
    """There nobody listens on port 1: it comes so far as to be told that."""
    pytest.importorskip("psycopg", reason="the extra postgres")
    assert "cannot use" in refusal(f"postgresql://u:{PASSWORD}@{host}:1/d")


def test_without_the_library_the_extra_is_named(monkeypatch) -> None:
    really = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "psycopg":
            raise ImportError(name)
        return really(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(errors.ParameterError, match=r"secagg\[postgres\]"):
        open_at("postgresql://u@127.0.0.1/d")


def test_a_lost_connection_is_a_typed_error(postgres_url) -> None:
    """The journal then stands still; a restart takes the session up again."""
    import psycopg

    with open_at(postgres_url) as tables:
        [(pid,)] = tables.execute("SELECT pg_backend_pid()")
        with psycopg.connect(postgres_url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
        with pytest.raises(errors.StateError, match="cannot use the database"):
            tables.execute("INSERT INTO marks VALUES (1)")
