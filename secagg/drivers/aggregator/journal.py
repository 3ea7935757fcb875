"""The aggregator's journal: what it accepted, before it acts on it (rules 9-3, 9-4).

Event-sourced: a session is its Manifest and the events its machine accepted, as bytes,
in order; replaying them rebuilds the machine exactly, its signatures included. Beside
them stand the rounds, the chain of Results with its evidence, and each session's noise
seed, drawn once. Every statement is on the disk when it returns; all are repeatable, so
a crash between two of them is mended by doing them again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from secagg import codec, errors, events
from secagg import messages as msg
from secagg.crypto.transcript import LINK_START
from secagg.drivers import tables
from secagg.drivers.aggregator.journal_events import decode_event, encode_event
from secagg.drivers.aggregator.journal_schema import SCHEMA, VERSION, fitting
from secagg.names import PeerId, SessionId

FILE_NAME: Final = "journal.sqlite3"
MAX_HISTORY: Final = 64
"""Links in one History (spec 8)."""

OPEN: Final = "open"
COMPLETED: Final = "completed"
FAILED: Final = "failed"

_IF_DAMAGED: Final = (
    "the sessions in it cannot be resumed; restore the whole state directory from a"
    " backup that holds every release, or begin a new task"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundRow:
    """One round of a task: the model it trains on, and how it stands."""

    round_no: int
    model_hash: bytes
    model_size: int
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    """One session as journaled.

    Attributes:
        sid: the session.
        manifest: its terms.
        noise_seed: 32 secret bytes; none once the session has ended.
        events: what its machine accepted, in order.
    """

    sid: SessionId
    manifest: msg.Manifest
    noise_seed: bytes = field(repr=False)
    events: tuple[events.ServerEvent, ...]


class Journal:
    """The journal of one aggregator. Calls may come from any thread, one at a time."""

    def __init__(self, where: tables.Place, *, members: int) -> None:
        """Open the journal in the state directory or the database, or make it.

        Args:
            where: a directory, which exists, or a PostgreSQL database.
            members: of the roster, for the length limits of what is read back.

        Raises:
            ParameterError: the URL cannot be used.
            StateError: another process holds it, or it is damaged.
        """
        self._members = members
        self._database = tables.opened(
            where / FILE_NAME if isinstance(where, Path) else where,
            "journal",
            SCHEMA,
            version=VERSION,
            if_damaged=_IF_DAMAGED,
        )

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    # --- rounds -----------------------------------------------------------------

    def last_round(self, task_id: str) -> RoundRow | None:
        """Return the task's newest round."""
        rows = self._database.execute(
            "SELECT round_no, model_hash, model_size, status FROM rounds WHERE task = ?"
            " ORDER BY round_no DESC LIMIT 1",
            task_id,
        )
        return _round(*rows[0]) if rows else None

    def open_round(self, task_id: str, model_hash: bytes, model_size: int) -> RoundRow:
        """Return the open round on this model, or begin the next one.

        An open round on another model is over: it is marked failed. What the sessions
        of earlier rounds held in secret is forgotten: nothing resumes them any more.
        """
        opened = self._open_round(task_id, model_hash, model_size)
        self._forget_before(task_id, opened.round_no)
        return opened

    def _open_round(self, task_id: str, model_hash: bytes, model_size: int) -> RoundRow:
        last = self.last_round(task_id)
        if last is not None and last.status == OPEN:
            if last.model_hash == model_hash:
                return last
            self.close_round(task_id, last.round_no, FAILED)
        number = 1 if last is None else last.round_no + 1
        self._database.execute(
            "INSERT INTO rounds VALUES (?, ?, ?, ?, ?)",
            task_id,
            number,
            model_hash,
            model_size,
            OPEN,
        )
        return _round(number, model_hash, model_size, OPEN)

    def close_round(self, task_id: str, round_no: int, status: str) -> None:
        """Mark how a round ended."""
        self._database.execute(
            "UPDATE rounds SET status = ? WHERE task = ? AND round_no = ?",
            status,
            task_id,
            round_no,
        )

    def _forget_before(self, task_id: str, round_no: int) -> None:
        """Blank noise seeds, and drop events with the shares and seeds in them."""
        old = self._database.execute(
            "SELECT sid FROM sessions AS s WHERE task = ? AND round_no < ?"
            " AND (length(noise_seed) > 0"
            " OR EXISTS (SELECT 1 FROM events AS e WHERE e.sid = s.sid))",
            task_id,
            round_no,
        )
        for (sid,) in old:
            self._database.execute("DELETE FROM events WHERE sid = ?", sid)
            self._database.execute(
                "UPDATE sessions SET noise_seed = ? WHERE sid = ?", b"", sid
            )
        if old:
            self._database.empty_log()

    # --- sessions ---------------------------------------------------------------

    def open_session(
        self, sid: SessionId, manifest: msg.Manifest, noise_seed: bytes
    ) -> None:
        """Journal a session before its Manifest goes out."""
        self._database.execute(
            "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?)",
            sid,
            manifest.task_id,
            manifest.round_no,
            manifest.attempt,
            codec.encode_body(manifest),
            noise_seed,
            OPEN,
        )

    def append(self, sid: SessionId, event: events.ServerEvent) -> None:
        """Journal an accepted event before anything is done about it."""
        self._database.execute(
            "INSERT INTO events SELECT ?, count(*), ? FROM events WHERE sid = ?",
            sid,
            encode_event(event),
            sid,
        )

    def end_session(self, sid: SessionId, status: str) -> None:
        """Mark how a session ended; its noise is drawn, so its seed is forgotten."""
        self._database.execute(
            "UPDATE sessions SET status = ?, noise_seed = ? WHERE sid = ?",
            status,
            b"",
            sid,
        )
        self._database.empty_log()

    def attempts(self, task_id: str, round_no: int) -> int:
        """Return how many sessions a round had."""
        [(count,)] = self._database.execute(
            "SELECT count(*) FROM sessions WHERE task = ? AND round_no = ?",
            task_id,
            round_no,
        )
        return int(count)

    def newest_session(self, task_id: str, round_no: int) -> SessionRow | None:
        """Return the last session of a round, with its events."""
        rows = self._database.execute(
            "SELECT sid, manifest, noise_seed FROM sessions"
            " WHERE task = ? AND round_no = ? ORDER BY attempt DESC LIMIT 1",
            task_id,
            round_no,
        )
        return self._session(*rows[0]) if rows else None

    def _session(self, sid: bytes, manifest: bytes, noise_seed: bytes) -> SessionRow:
        terms = codec.decode_body("Manifest", manifest, members=self._members)
        if not isinstance(terms, msg.Manifest):
            raise errors.StateError("the journal holds no Manifest where one belongs")
        rows = self._database.execute(
            "SELECT event FROM events WHERE sid = ? ORDER BY number", sid
        )
        return SessionRow(
            sid=SessionId(sid),
            manifest=terms,
            noise_seed=noise_seed,
            events=tuple(decode_event(row[0], members=self._members) for row in rows),
        )

    # --- the blamed (spec 4.9) ---------------------------------------------------

    def blame(self, task_id: str, peer: PeerId, reason: str) -> None:
        """Leave a member out of the task's sessions until it is readmitted."""
        self._database.execute(
            "INSERT INTO blamed VALUES (?, ?, ?)"
            " ON CONFLICT (task, peer) DO UPDATE SET reason = excluded.reason",
            task_id,
            peer,
            reason,
        )

    def blamed(self, task_id: str) -> dict[PeerId, str]:
        """Return who is left out, and why."""
        rows = self._database.execute(
            "SELECT peer, reason FROM blamed WHERE task = ? ORDER BY peer", task_id
        )
        return {PeerId(peer): reason for peer, reason in rows}

    def readmit(self, task_id: str, peer: PeerId) -> None:
        """Let a member take part again."""
        self._database.execute(
            "DELETE FROM blamed WHERE task = ? AND peer = ?", task_id, peer
        )

    # --- the chain --------------------------------------------------------------

    def head(self, task_id: str) -> bytes:
        """Return the head of the task's chain."""
        rows = self._database.execute(
            "SELECT link FROM links WHERE task = ? ORDER BY number DESC LIMIT 1",
            task_id,
        )
        return bytes(rows[0][0]) if rows else LINK_START

    def add_link(self, task_id: str, link: bytes, past: msg.PastRound) -> None:
        """Append a link with its evidence; one that is there stays as it is."""
        self._database.execute(
            "INSERT INTO links (task, link, manifest, h3, certificate, result)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            task_id,
            link,
            past.manifest,
            past.h3,
            past.certificate,
            past.result,
        )

    def history(self, task_id: str, head: bytes) -> tuple[msg.PastRound, ...]:
        """Return the links after `head`; none if it is not known.

        At most `MAX_HISTORY`, and as many as one message carries.
        """
        found = self._database.execute(
            "SELECT number FROM links WHERE task = ? AND link = ?", task_id, head
        )
        if not found and head != LINK_START:
            return ()
        rows = self._database.execute(
            "SELECT manifest, h3, certificate, result FROM links"
            " WHERE task = ? AND number > ? ORDER BY number LIMIT ?",
            task_id,
            found[0][0] if found else 0,
            MAX_HISTORY,
        )
        return fitting(rows, codec.body_limit(msg.History, self._members))


def _round(number: int, model_hash: bytes, model_size: int, status: str) -> RoundRow:
    return RoundRow(
        round_no=number,
        model_hash=bytes(model_hash),
        model_size=model_size,
        status=status,
    )
