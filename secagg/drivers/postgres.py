"""Tables of a PostgreSQL server that belong to one process. Spec section 9.

For who runs such a server anyway, with its backups and its standby. It stands in for
`secagg.drivers.database`: the same statements, each committed to the server's disk when
`execute` returns, and one writer at a time, by an advisory lock that the server lets go
of when the connection ends. The only module that imports psycopg (the extra
``postgres``). No message of an error holds the password, nor what a statement wrote.

The lock belongs to a session of the server. A pooler, such as PgBouncer, may run each
statement in another one, and would leave the lock behind with a session of its own: so
it is refused, in whatever mode, by the number under which the session was announced,
which is not that of a process of the server. Not noticed is a pooler that passes on the
number of a real session, and then runs both statements of the check in that one.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Final, Self

from secagg import errors
from secagg.drivers.database import Row, Value

LOCK_SECONDS = 10.0
"""How long the lock of a process that was killed may outlive it."""

CONNECT_SECONDS: Final = 10
"""How long the server may take to let us in."""

STATEMENT_SECONDS: Final = 60
"""How long one statement may take before the server gives it up."""

_SILENCE_MS: Final = 30_000
"""After so long without an answer to what was sent, the line is lost."""

_SETTINGS: Final = (
    f"SET statement_timeout = '{STATEMENT_SECONDS}s'",
    # The server notices within a minute that our machine is gone, and frees the lock.
    "SET tcp_keepalives_idle = 30",
    "SET tcp_keepalives_interval = 10",
    "SET tcp_keepalives_count = 3",
)
_SPACE: Final = (
    "CREATE SCHEMA IF NOT EXISTS secagg",
    "SET search_path = secagg",
    "CREATE TABLE IF NOT EXISTS formats (name TEXT PRIMARY KEY, version BIGINT)",
)

# What SQLite calls them, in the order in which they are replaced.
_TYPES: Final = (
    (r"\bINTEGER PRIMARY KEY\b", "BIGSERIAL PRIMARY KEY"),
    (r"\bINTEGER\b", "BIGINT"),
    (r"\bBLOB\b", "BYTEA"),
    (r"\bREAL\b", "DOUBLE PRECISION"),
    (r"\)\s*STRICT\s*$", ")"),
)

_TRUSTED_MODES: Final = frozenset({"verify-ca", "verify-full"})
_HOLDER: Final = (
    "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND"
    " pid = pg_backend_pid() AND (classid::bigint << 32) + objid::bigint = ?"
)
"""The process that answers, if it holds the lock of this number (two halves there)."""

_LOCKED: Final = "55P03"
_FULL: Final = "53100"


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """Where a server is: ``postgresql://user:password@host:port/name``; a secret."""

    text: str = field(repr=False)


class Postgres:
    """Some tables of one database. Calls may come from any thread, one at a time."""

    def __init__(
        self, url: DatabaseUrl, name: str, schema: Sequence[str], *, version: int
    ) -> None:
        """Connect, make what is missing, and keep it locked until `close`.

        Args:
            url: the server and the database, of one aggregator alone.
            name: of these tables.
            schema: the statements that make them, as for SQLite.
            version: of the schema, at least 1; kept beside them.

        Raises:
            ParameterError: the extra is missing, the URL is none, or it would send
                what it carries over a network without TLS.
            StateError: the server cannot be used, another process has the tables, or
                they are of another version.
        """
        self._library = load_library()
        terms = _terms(self._library, url)
        self._secret = str(terms.get("password") or "")
        self._where = _where(terms)
        self._connection = self._connect(terms)
        try:
            self._settle(name, schema, version)
        except errors.StateError:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Return the tables themselves."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Close the connection; the server lets go of the lock."""
        self._connection.close()

    def execute(self, statement: str, *values: Value) -> list[Row]:
        """Run one statement, commit it to the server's disk, and return its rows.

        Raises:
            StateError: it could not be done; nothing has changed.
        """
        asked = statement.replace("%", "%%").replace("?", "%s")
        try:
            cursor = self._connection.execute(asked, values)
            return cursor.fetchall() if cursor.description else []
        except self._library.Error as error:
            raise self._unusable(error) from None

    def empty_log(self) -> None:
        """Do nothing: the server keeps its log, and old rows, as long as it likes."""

    def _connect(self, terms: dict[str, Any]) -> Any:
        usual = {
            "connect_timeout": CONNECT_SECONDS,
            "tcp_user_timeout": _SILENCE_MS,
            "application_name": "secagg",
        }
        # Whatever the database's own is, text comes as text.
        given = {**usual, **terms, "client_encoding": "UTF8"}
        try:
            return self._library.connect(**given, autocommit=True)
        except (self._library.Error, OSError) as error:
            raise self._unusable(error) from None

    def _settle(self, name: str, schema: Sequence[str], version: int) -> None:
        """Take the lock, then make the tables; refuse a server that may forget."""
        # Before anything is left with a session that is not ours.
        self._check_session(self.execute("SELECT pg_backend_pid()"))
        if self.execute("SHOW fsync") != [("on",)]:
            raise errors.StateError(
                f"{self._where} runs with fsync = off and forgets what it was told in a"
                " power cut: switch it on"
            )
        if self.execute("SHOW synchronous_commit") == [("off",)]:
            self.execute("SET synchronous_commit = on")
        for statement in _SETTINGS:
            self.execute(statement)
        self.execute(f"SET lock_timeout = '{1000 * LOCK_SECONDS:.0f}ms'")
        self.execute("SELECT pg_advisory_lock(?)", _lock_key(name))
        self._check_session(self.execute(_HOLDER, _lock_key(name)))
        for statement in (*_SPACE, *map(translated, schema)):
            self.execute(statement)
        self._settle_version(name, version)

    def _check_session(self, found: list[Row]) -> None:
        """Refuse a connection that is not one session of the server.

        Args:
            found: the process of the session that answered; none if it has no lock.
        """
        if found != [(self._connection.info.backend_pid,)]:
            raise errors.StateError(
                f"cannot use {self._where}: a pooler stands before it, with which the"
                " lock of the one writer is nobody's: name the server itself"
            )

    def _settle_version(self, name: str, version: int) -> None:
        self.execute(
            "INSERT INTO formats VALUES (?, ?) ON CONFLICT DO NOTHING", name, version
        )
        [(stored,)] = self.execute("SELECT version FROM formats WHERE name = ?", name)
        if stored != version:
            raise errors.StateError(
                f"the {name} in {self._where} was written by another version of secagg"
                f" (format {stored}, this one has {version}): use that version, or"
                " another database"
            )

    def _unusable(self, error: Exception) -> errors.StateError:
        code = getattr(error, "sqlstate", None)
        remedies = {
            _LOCKED: "another process has it open: stop that one first, or give each"
            " its own database",
            _FULL: "its disk is full: free some space and start again",
        }
        diagnosed = getattr(getattr(error, "diag", None), "message_primary", None)
        said = remedies.get(code or "", diagnosed or str(error) or "no answer")
        # One line, and never the password, whatever a library may put into a message.
        said = " ".join(said.split())
        if self._secret:
            said = said.replace(self._secret, "...")
        return errors.StateError(f"cannot use {self._where}: {said}")


def load_library() -> ModuleType:
    """Return `psycopg`.

    Raises:
        ParameterError: it is not installed.
    """
    try:
        import psycopg
    except ImportError as error:
        raise errors.ParameterError(
            "a journal in PostgreSQL needs psycopg, which is not installed:"
            " pip install 'secagg[postgres]'"
        ) from error
    library: ModuleType = psycopg
    return library


def translated(statement: str) -> str:
    """Return a statement that makes a table in SQLite as PostgreSQL has it."""
    for pattern, replacement in _TYPES:
        statement = re.sub(pattern, replacement, statement)
    return statement


def _lock_key(name: str) -> int:
    """Return the number of the lock on some tables: 63 bits of a hash."""
    digest = hashlib.sha256(b"secagg/" + name.encode("ascii")).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def _terms(library: ModuleType, url: DatabaseUrl) -> dict[str, Any]:
    """Return what a URL says, checked, by the names of libpq."""
    parsed: dict[str, Any] | None = None
    if url.text.startswith(("postgresql://", "postgres://")):
        # What libpq says of a URL quotes it.
        try:
            parsed = library.conninfo.conninfo_to_dict(url.text)
        except library.Error:
            parsed = None
    # libpq would take a host that is not there from the environment.
    if parsed is None or not _hosts(parsed):
        raise errors.ParameterError(
            "the journal's url is none, or names no host: write"
            " postgresql://user@host:5432/name?sslmode=verify-full, or for a socket"
            " postgresql:///name?host=/var/run/postgresql"
        )
    mode = parsed.get("sslmode")
    remote = [host for host in _hosts(parsed) if not _is_local(host)]
    if remote and mode not in _TRUSTED_MODES:
        raise errors.ParameterError(
            f"the journal's server {remote[0]} is reached over a network, and with"
            f" sslmode = {mode or 'prefer'} anybody there could be it: write"
            " ?sslmode=verify-full behind the url, with the authority in sslrootcert"
        )
    return parsed


def _hosts(terms: dict[str, Any]) -> list[str]:
    named = f"{terms.get('host') or ''},{terms.get('hostaddr') or ''}"
    return [host for host in named.split(",") if host]


def _is_local(host: str) -> bool:
    """Return whether a host is this machine: a socket's folder, or the loopback."""
    if host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _where(terms: dict[str, Any]) -> str:
    """Return the database in words, for messages."""
    host, port = ",".join(_hosts(terms)), terms.get("port") or 5432
    name = terms.get("dbname") or terms.get("user") or "its default"
    return f"the database {name} of the PostgreSQL server at {host}:{port}"
