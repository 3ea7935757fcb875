"""The PostgreSQL server of the tests: it goes with whoever started it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import postgres
from tests.postgres import NoServerError, running_server

STARTS = """
import sys
from tests.postgres import running_server

with running_server() as server:
    print(server.folder, flush=True)
    sys.stdin.read()
"""


def started():
    """A process that runs a server, the server's folder and its process."""
    process = subprocess.Popen(
        [sys.executable, "-c", STARTS],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    folder = Path(process.stdout.readline().strip())
    number = (folder / "data" / "postmaster.pid").read_text().splitlines()[0]
    return process, folder, int(number)


def runs(number):
    """Whether a process has not ended; one that nobody has waited for has."""
    path = Path(f"/proc/{number}/cmdline")
    return path.exists() and path.read_bytes() != b""


@pytest.mark.parametrize("killed", [True, False])
def test_nothing_is_left_of_a_server_whose_owner_is_gone(
    postgres_server, killed
) -> None:
    process, folder, number = started()
    assert folder != postgres_server.folder
    assert runs(number)
    if killed:
        process.kill()
    # What cleans up has the same standard error, so both are gone when this returns.
    _, said = process.communicate()
    assert said == ""
    assert not folder.exists()
    assert not runs(number)


def test_a_server_that_does_not_start_is_no_reason_to_skip(
    postgres_server, monkeypatch
) -> None:
    monkeypatch.setattr(postgres, "SCRIPT", "exit 1")
    with pytest.raises(RuntimeError, match="did not start"), running_server():
        pass


def test_what_is_missing_is_said(monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(NoServerError, match="psycopg"), running_server():
        pass
