"""Recollection: what this hospital took part in, and this process did not.

Of a round that is over the chain of its task tells. Of a session that goes on the
aggregator sends a hospital that connects what its running session has said so far.
A process that was restarted is lost for it (rule 9-1) and needs none of that; but the
KeyList quotes this hospital's own signature, and its disk has to know of that session.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from secagg import codec, errors
from secagg.crypto import transcript
from secagg.drivers.silo.forgotten import Marks, check_part
from secagg.drivers.silo.inquiries import Link
from secagg.drivers.silo.store import ClientStore
from secagg.drivers.wire.door import Door
from secagg.messages import Envelope, KeyList, Manifest
from secagg.names import PeerId, SessionId
from secagg.roster import Roster
from secagg.rounds.own_part import in_key_list
from secagg.signing import open_envelope

_Terms: TypeAlias = tuple[SessionId, Manifest, Roster]
"""A session's id, its terms, and the version of the roster that they name."""


class Recollection:
    """Looks at what comes of sessions that are not this process's own."""

    def __init__(self, door: Door, aggregator: PeerId, marks: Marks) -> None:
        """Compare what `aggregator` shows with `marks`."""
        self._door = door
        self._aggregator = aggregator
        self._marks = marks
        self._terms: _Terms | None = None

    def take(self, envelope: Envelope) -> None:
        """Look at a message of a session that this process has not joined.

        Raises:
            StateRolledBack: this hospital did, and its disk does not know of it.
        """
        try:
            if envelope.type == "Manifest":
                self._note(envelope)
            elif envelope.type == "KeyList" and self._terms is not None:
                self._compare(envelope, self._terms)
        except errors.RemoteProtocolError:
            return  # Whatever it is, it shows nothing of ours.

    def _note(self, envelope: Envelope) -> None:
        roster = self._roster_of(envelope)
        if roster is None:
            return
        sid = SessionId(transcript.session_id(envelope.body))
        message = self._opened(envelope, sid, roster)
        if isinstance(message, Manifest) and message.aggregator == self._aggregator:
            self._terms = sid, message, roster

    def _roster_of(self, envelope: Envelope) -> Roster | None:
        """Return the version that a Manifest names, which has the session's keys.

        The session may have begun before a key was rotated; what comes of it is signed
        with the keys of then. A version without one of the two shows nothing of ours.
        """
        book = self._door.book
        named = codec.decode_body(envelope.type, envelope.body, members=book.largest)
        if not isinstance(named, Manifest):
            return None
        roster = book.named(named.roster_hash)
        if roster is None or self._aggregator not in roster.aggregators:
            return None
        return roster if self._door.identity.id in roster else None

    def _compare(self, envelope: Envelope, terms: _Terms) -> None:
        sid, manifest, roster = terms
        # Of this session alone: the members' signatures in it are under its id.
        message = self._opened(envelope, sid, roster) if envelope.sid == sid else None
        if not isinstance(message, KeyList):
            return
        me = self._door.identity.id
        part = in_key_list(message, manifest, me=me, roster=roster)
        if part is not None:
            check_part(self._marks, manifest.task_id, part, manifest.round_no)

    def _opened(self, envelope: Envelope, sid: SessionId, roster: Roster) -> object:
        public = roster.member(self._aggregator).key
        members = self._door.book.largest
        return open_envelope(envelope, public=public, h=sid, members=members)


def recall(
    store: ClientStore, task_id: str, links: Sequence[Link], round_no: int
) -> None:
    """Take note of the links that this hospital missed, once it knows its part in all.

    Args:
        store: its durable memory.
        task_id: the task.
        links: what follows the store's head, in order, each checked.
        round_no: the round that is open.

    Raises:
        StateRolledBack: a link shows what the store does not know of (rule 9-6).
        StateError: not written.
    """
    for link in links:
        if link.part is not None:
            check_part(store, task_id, link.part, round_no)
    for link in links:
        if link.part is not None and link.part.noise is not None:
            # Charged when it was spent, unless that was forgotten and accepted.
            store.past.record_charge(task_id, link.part.round_no, link.part.noise)
        store.past.record_summed(task_id, link.summed)
        store.record_head(task_id, link.head)
