"""Recollection: a session that goes on without this process, and that it was part of.

The aggregator sends a hospital that connects what its running session has said so far.
A process that was restarted is lost for it (rule 9-1) and needs none of that; but the
KeyList quotes this hospital's own signature, and its disk has to know of that session.
"""

from __future__ import annotations

from secagg import errors
from secagg.crypto import transcript
from secagg.drivers.silo.forgotten import Marks, check_part
from secagg.drivers.wire.door import Door
from secagg.messages import Envelope, KeyList, Manifest
from secagg.names import PeerId, SessionId
from secagg.rounds.own_part import in_key_list
from secagg.signing import open_envelope


class Recollection:
    """Looks at what comes of sessions that are not this process's own."""

    def __init__(self, door: Door, aggregator: PeerId, marks: Marks) -> None:
        """Compare what `aggregator` shows with `marks`."""
        self._door = door
        self._aggregator = aggregator
        self._marks = marks
        self._terms: tuple[SessionId, Manifest] | None = None

    def take(self, envelope: Envelope) -> None:
        """Look at a message of a session that this process has not joined.

        Raises:
            StateRolledBack: this hospital did, and its disk does not know of it.
        """
        try:
            if envelope.type == "Manifest":
                self._note(envelope)
            elif envelope.type == "KeyList" and self._terms is not None:
                self._compare(envelope, *self._terms)
        except errors.RemoteProtocolError:
            return  # Whatever it is, it shows nothing of ours.

    def _note(self, envelope: Envelope) -> None:
        sid = SessionId(transcript.session_id(envelope.body))
        message = self._opened(envelope, sid)
        if isinstance(message, Manifest) and message.aggregator == self._aggregator:
            self._terms = sid, message

    def _compare(self, envelope: Envelope, sid: SessionId, manifest: Manifest) -> None:
        # Of this session alone: the members' signatures in it are under its id.
        message = self._opened(envelope, sid) if envelope.sid == sid else None
        if not isinstance(message, KeyList):
            return
        part = in_key_list(
            message, manifest, me=self._door.identity.id, roster=self._door.roster
        )
        if part is not None:
            check_part(self._marks, manifest.task_id, part, manifest.round_no)

    def _opened(self, envelope: Envelope, sid: SessionId) -> object:
        roster = self._door.roster
        public = roster.member(self._aggregator).key
        return open_envelope(
            envelope, public=public, h=sid, members=len(roster.members)
        )
