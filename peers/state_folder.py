"""The aggregator's state directory while no aggregator holds it: look, and readmit.

The library's journal outlives a crash that the reports of the program did not, and it
has who is left out for cheating. Both are asked for here, under the journal's own lock.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from peers.membership import Membership
from secagg import errors, events
from secagg.drivers import outcome
from secagg.drivers.aggregator.journal import FAILED, FILE_NAME, Journal, SessionRow
from secagg.drivers.postgres import DatabaseUrl
from secagg.drivers.tables import Place
from secagg.names import PeerId
from secagg.server import Server


def failed_round(
    state: Path,
    member: Membership,
    task: str,
    *,
    after: int,
    database: DatabaseUrl | None = None,
) -> tuple[int, errors.SessionAborted] | None:
    """Return the task's last round, if it is newer than `after` and had no Result.

    The journaled session is replayed, so the rule, the sets and who was missing are
    those of then.

    Args:
        state: the aggregator's state directory.
        member: identity and roster of the aggregator.
        task: the task's id.
        after: the last round that was settled.
        database: where the journal is instead, if not in the directory.

    Raises:
        StateError: another process holds the directory, or it is damaged.
    """
    with _journal(database or state, member) as journal:
        row = None if journal is None else journal.last_round(task)
        if journal is None or row is None:
            return None
        if row.status != FAILED or row.round_no <= after:
            return None
        session = journal.newest_session(task, row.round_no)
    if session is None:
        return row.round_no, errors.SessionAborted("0-1", "no session was opened")
    return row.round_no, _replayed(session, member)


def readmit(
    state: Path,
    member: Membership,
    task: str,
    peer: str,
    database: DatabaseUrl | None = None,
) -> str:
    """Let a blamed hospital take part again; return what it was blamed for.

    Raises:
        StateError: an aggregator runs on the directory, there is none, or the hospital
            is not left out.
    """
    with _journal(database or state, member) as journal:
        if journal is None:
            raise errors.StateError(
                f"{state} holds no journal of an aggregator: nobody is left out"
            )
        blamed = journal.blamed(task)
        if peer not in blamed:
            known = ", ".join(blamed) or "nobody"
            raise errors.StateError(
                f"{peer!r} is not left out of task {task!r}; left out: {known}"
            )
        journal.readmit(task, PeerId(peer))
        return blamed[PeerId(peer)]


@contextlib.contextmanager
def _journal(where: Place, member: Membership) -> Iterator[Journal | None]:
    """Yield the journal, locked; None if there is none yet."""
    if isinstance(where, Path) and not (where / FILE_NAME).exists():
        yield None
        return
    with contextlib.closing(Journal(where, members=member.book.largest)) as journal:
        yield journal


def _replayed(session: SessionRow, member: Membership) -> errors.SessionAborted:
    """Return how a session ended, from what its machine accepted."""
    manifest = session.manifest
    try:
        roster = member.book.named(manifest.roster_hash) or member.roster
        server = Server(identity=member.identity, roster=roster, manifest=manifest)
        effects = server.start()
        for event in session.events:
            effects += server.handle(event)
    except errors.SecaggError as error:
        detail = f"ended before a restart; its journal cannot be replayed: {error}"
        return errors.SessionAborted("0-1", detail)
    dropped = {
        effect.peer: f"rule {effect.rule}: {effect.detail}"
        for effect in effects
        if isinstance(effect, events.Drop)
    }
    ends = [effect for effect in effects if isinstance(effect, events.Aborted)]
    if not ends:
        return errors.SessionAborted("0-1", "ended with the program, before a restart")
    ended = ends[-1]
    attempt = outcome.failed_attempt(ended, manifest, sets=server.sets, dropped=dropped)
    return errors.SessionAborted(ended.code, ended.detail, ended.missing, [attempt])
