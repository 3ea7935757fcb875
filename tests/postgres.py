"""A PostgreSQL server of the tests' own, where its programs are installed.

In a folder of its own, on a Unix socket, under a password: nothing else can reach it,
and what the password must not show up in has one.
"""

import contextlib
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

USER = "secagg"
PASSWORD = "canary-of-a-password"  # noqa: S105 it guards an empty server in a folder
ACCOUNT = "postgres"
"""As whom the server runs if we are root, which it refuses to be."""

_NUMBERS = itertools.count(1)


class Server:
    """A running server."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def url(self, database: str, password: str = PASSWORD) -> str:
        """The address of a database."""
        return f"postgresql://{USER}:{password}@/{database}?host={self._folder}"

    def database(self) -> str:
        """Make a new database and return its address."""
        import psycopg

        name = f"d{next(_NUMBERS)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)


def programs() -> Path | None:
    """The folder of `initdb` and `pg_ctl`: on the path, or where Debian has them."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).parent
    known = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return known[-1].parent if known else None


@contextlib.contextmanager
def running_server() -> Iterator[Server]:
    """Run a server; skips the test where there is none."""
    pytest.importorskip("psycopg", reason="the extra postgres")
    found = programs()
    if found is None:
        pytest.skip("no PostgreSQL server is installed")
    account = _account()
    with tempfile.TemporaryDirectory(prefix="secagg-pg-") as name:
        folder = Path(name)
        (folder / "password").write_text(PASSWORD)
        if account is not None:
            for path in (folder, folder / "password"):
                shutil.chown(path, account)
        data = ("-D", str(folder / "data"))
        login = ("-U", USER, "-A", "scram-sha-256", f"--pwfile={folder}/password")
        _run(account, found / "initdb", *data, *login, "--no-sync", "--no-locale")
        terms = f"-c listen_addresses='' -k {folder}"
        log = ("-l", str(folder / "log"))
        _run(account, found / "pg_ctl", *data, *log, "-w", "-o", terms, "start")
        try:
            yield Server(folder)
        finally:
            _run(account, found / "pg_ctl", *data, "-m", "immediate", "stop")


def _account() -> str | None:
    """Whom to become; None for who we are."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(ACCOUNT).pw_name
    except KeyError:
        pytest.skip(f"PostgreSQL does not run as root, and there is no user {ACCOUNT}")


def _run(account: str | None, *command: str | Path) -> None:
    subprocess.run(
        [str(part) for part in command],
        check=True,
        user=account,
        group=account,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
