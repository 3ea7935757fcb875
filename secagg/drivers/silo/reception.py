"""Reception: what comes on a silo's connection, and whom it goes to (spec 8).

Connections come and go; the round that is open, the questions that are unanswered and
the participation outlast them, and are told of each.
"""

from __future__ import annotations

from secagg import codec, errors, events
from secagg import messages as msg
from secagg.drivers import progress
from secagg.drivers.progress import Observer
from secagg.drivers.silo.agenda import Agenda, is_missed, is_over
from secagg.drivers.silo.guard import Guard
from secagg.drivers.silo.inquiries import Inquiries
from secagg.drivers.silo.participation import Participation
from secagg.drivers.silo.recollection import Recollection
from secagg.drivers.silo.uplink import Calls
from secagg.drivers.wire import lobby
from secagg.drivers.wire.connection import Connection
from secagg.drivers.wire.door import Door
from secagg.drivers.wire.lobby import Standing
from secagg.vector import BlobFrame, EnvelopeFrame, Frame


class Reception:
    """One silo's, for all of its connections.

    Attributes:
        agenda: which round is open.
        connection: the proved one, if there is one now.
        participation: the round that this silo takes part in, if there is one.
    """

    def __init__(
        self,
        *,
        door: Door,
        guard: Guard,
        inquiries: Inquiries,
        recollection: Recollection,
        observer: Observer,
    ) -> None:
        """Begin without a connection.

        Args:
            door: who this silo is.
            guard: is told of what its waiters wait for.
            inquiries: take the answers.
            recollection: looks at the sessions of others.
            observer: is told what came.
        """
        self.agenda = Agenda()
        self.connection: Connection | None = None
        self.participation: Participation | None = None
        self._door = door
        self._guard = guard
        self._inquiries = inquiries
        self._recollection = recollection
        self._observer = observer

    @property
    def calls(self) -> Calls:
        """What the uplink calls."""
        return Calls(
            standing=self._standing,
            entered=self._entered,
            handle=self._handle,
            left=self._left,
            urgent=self._urgent,
            updated=self._updated,
        )

    def say(self, connection: Connection, message: msg.Message) -> None:
        """Queue a message of the lobby."""
        connection.post(
            lobby.lobby_seal(message, door=self._door, connection=connection)
        )

    def decline(self, rule: str, detail: str) -> None:
        """Take no part in the round that was taken up, and say why (rule 8-10).

        Raises:
            LocalProtocolError: none is.
        """
        declined = self.agenda.decline(rule, codec.printable(detail))
        self._observer(
            progress.RoundDeclined(
                task_id=declined.task_id,
                round_no=declined.round_no,
                rule=declined.rule,
                detail=declined.detail,
            )
        )
        # Without a connection: once the next one has brought the RoundOpen again.
        if self.connection is not None:
            self.say(self.connection, declined)

    def _standing(self) -> Standing:
        part = self.participation
        if part is None:
            return Standing()
        return Standing(session=part.sid, transcript=part.transcript)

    def _entered(self, connection: Connection, welcome: msg.Welcome) -> None:
        self.connection = connection
        self._inquiries.connected(connection)
        if self.participation is not None:
            self.participation.resume(connection, welcome.next_chunk)
        self._guard.changed()

    def _left(self, reason: str) -> str:
        self.connection = None
        self._inquiries.connected(None)
        self._inquiries.refused(reason)
        advice = "" if self.participation is None else self.participation.paused()
        return reason or advice

    def _updated(self) -> None:
        """Judge the next sessions by the newest roster; one that runs has its own."""
        if self.participation is not None:
            self.participation.feed(events.RosterPinned(roster=self._door.roster))

    def _urgent(self) -> bool:
        """Whether a round waits for this silo, or runs with it."""
        return self.participation is not None or self.agenda.waits

    async def _handle(self, connection: Connection, frame: Frame) -> None:
        match frame:
            case EnvelopeFrame():
                members = self._door.book.largest
                envelope = codec.decode_envelope(frame.envelope, members=members)
                self._envelope(connection, envelope)
            case BlobFrame():
                self._inquiries.take_part(frame)
            case _:
                raise errors.CodecError("7.1-1", "an aggregator sends no chunks")

    def _envelope(self, connection: Connection, envelope: msg.Envelope) -> None:
        if envelope.sid == msg.LOBBY_SID:
            message = lobby.lobby_open(envelope, door=self._door, connection=connection)
            self._lobby(connection, message)
            return
        if self.participation is None or self.participation.sid != envelope.sid:
            self._recollection.take(envelope)
        if self.participation is not None:
            received = events.Received(peer=connection.peer, envelope=envelope)
            self.participation.feed(received)
        else:
            ignored = progress.MessageIgnored(
                peer=connection.peer, type=envelope.type, rule="8-6"
            )
            self._observer(ignored)

    def _lobby(self, connection: Connection, message: msg.Message) -> None:
        part = self.participation
        match message:
            case msg.RoundOpen():
                self._opened(connection, message)
            case msg.Missed():
                if part is not None and is_missed(part.round, message):
                    part.missed(message.reason)
            case msg.History():
                self._inquiries.take_history(message)
            case _:
                kind = type(message).__name__
                raise errors.RemoteProtocolError("8-6", f"an aggregator says no {kind}")

    def _opened(self, connection: Connection, opened: msg.RoundOpen) -> None:
        self._observer(progress.RoundOpened(round=opened))
        self.agenda.opened = opened
        self._guard.changed()
        declined = self.agenda.declined(opened)
        if declined is not None:
            self.say(connection, declined)
        part = self.participation
        if part is not None and is_over(part.round, opened):
            named = f"round {opened.round_no} of task {opened.task_id}"
            part.missed(f"{named} is open by now")
