"""A PostgreSQL server of the tests' own, where its programs are installed.

In a folder of its own, on a Unix socket, under a password: nothing else can reach it,
and what the password must not show up in has one. A shell runs it and waits for the end
of its input: server and folder go with whoever started them, even if that is killed.
"""

import contextlib
import importlib.util
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

USER = "secagg"
PASSWORD = "canary-of-a-password"  # noqa: S105 it guards an empty server in a folder
ACCOUNT = "postgres"
"""As whom the server runs if we are root, which it refuses to be."""

SCRIPT = r"""
umask 077
folder=$(mktemp -d -t secagg-pg-XXXXXXXX) || exit
trap '"$1/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null; rm -rf "$folder"' EXIT
printf %s "$3" >"$folder/password"
"$1/initdb" -D "$folder/data" -U "$2" -A scram-sha-256 --pwfile="$folder/password" \
    --no-sync --no-locale >/dev/null || exit
"$1/pg_ctl" -D "$folder/data" -l "$folder/log" -w \
    -o "-c listen_addresses='' -k $folder" start >/dev/null || exit
echo "$folder"
cat
"""
"""Takes the folder of the programs, user and password; says where the socket is."""

_NUMBERS = itertools.count(1)


class NoServerError(Exception):
    """PostgreSQL is not installed here; says what is missing."""


class Server:
    """A running server.

    Attributes:
        folder: of its socket and its data.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def url(self, database: str, password: str = PASSWORD) -> str:
        """The address of a database."""
        return f"postgresql://{USER}:{password}@/{database}?host={self.folder}"

    def database(self) -> str:
        """Make a new database and return its address."""
        import psycopg

        name = f"d{next(_NUMBERS)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)


def programs() -> Path:
    """The folder of `initdb` and `pg_ctl`: on the path, or where Debian has them.

    Raises:
        NoServerError: it is in neither.
    """
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).parent
    known = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not known:
        raise NoServerError("no PostgreSQL server is installed: initdb is missing")
    return known[-1].parent


@contextlib.contextmanager
def running_server() -> Iterator[Server]:
    """Run a server.

    Raises:
        NoServerError: what it takes is not installed.
        RuntimeError: it did not start.
    """
    if importlib.util.find_spec("psycopg") is None:
        raise NoServerError("psycopg is not installed: it is in the extra postgres")
    account = _account()
    with subprocess.Popen(
        ["sh", "-c", SCRIPT, "sh", programs(), USER, PASSWORD],
        user=account,
        group=account,
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # What ends a whole group of processes must not end the one that cleans up.
        start_new_session=True,
        text=True,
    ) as shell:
        assert shell.stdout is not None
        folder = shell.stdout.readline().strip()
        if not folder:
            raise RuntimeError("the PostgreSQL server did not start")
        yield Server(Path(folder))


@contextlib.contextmanager
def running_pooler(server: Server, mode: str) -> Iterator[Path]:
    """Run PgBouncer before a server; yield the folder of its socket.

    Raises:
        NoServerError: it is not installed.
    """
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        raise NoServerError("PgBouncer is not installed")
    account = _account()
    with tempfile.TemporaryDirectory(prefix="secagg-pool-") as name:
        folder = Path(name)
        settings = folder / "settings"
        settings.write_text(
            f"[databases]\n* = host={server.folder} user={USER} password={PASSWORD}\n"
            f"[pgbouncer]\nunix_socket_dir = {folder}\nlisten_port = 5432\n"
            f"auth_type = any\npool_mode = {mode}\n"
        )
        if account is not None:
            for path in (folder, settings):
                shutil.chown(path, account)
        with subprocess.Popen(
            [found, settings],
            user=account,
            group=account,
            cwd="/",
            stderr=subprocess.PIPE,
            text=True,
        ) as pooler:
            assert pooler.stderr is not None
            assert any("process up" in line for line in pooler.stderr)
            try:
                yield folder
            finally:
                pooler.terminate()


def _account() -> str | None:
    """Whom to become; None for who we are.

    Raises:
        NoServerError: we are root, and there is nobody to become.
    """
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(ACCOUNT).pw_name
    except KeyError:
        raise NoServerError(
            f"PostgreSQL does not run as root, and there is no user {ACCOUNT}"
        ) from None
