"""Reception: what becomes of a connection to the aggregator, and of what comes on it.

The handshake, the replay of what a silo missed, and the way of every frame: to the
lobby, to the machine of its session, to the spool. Whoever breaks a rule here is told
which, and its connection is closed; its session goes on.
"""

from __future__ import annotations

import functools
from collections.abc import Collection

from secagg import codec, errors, events
from secagg import messages as msg
from secagg.drivers import progress
from secagg.drivers.aggregator.archive import Archive
from secagg.drivers.aggregator.blobs import BlobStore
from secagg.drivers.aggregator.connections import RECALLED, RENEWED, Connections
from secagg.drivers.aggregator.gathering import KEPT_COIN
from secagg.drivers.aggregator.inlet import Gated, Inlet
from secagg.drivers.aggregator.journal import Journal
from secagg.drivers.aggregator.library import Library
from secagg.drivers.aggregator.quotas import (
    Quota,
    Quotas,
    largest_message,
    outbox_bytes,
)
from secagg.drivers.aggregator.stage import Stage
from secagg.drivers.progress import Observer
from secagg.drivers.wire import admission, lobby
from secagg.drivers.wire.connection import Connection
from secagg.drivers.wire.door import Door
from secagg.drivers.wire.transport import ConnectionLost, Transport
from secagg.names import PeerId, SessionId
from secagg.vector import BlobFrame, ChunkFrame, EnvelopeFrame, Frame


class Reception:
    """Serves connections."""

    def __init__(
        self,
        *,
        task_id: str,
        door: Door,
        connections: Connections,
        stage: Stage,
        journal: Journal,
        blobs: BlobStore,
        observer: Observer,
        max_frame: int,
    ) -> None:
        """Serve for one task.

        Args:
            task_id: the task.
            door: who the aggregator is, and whom it knows.
            connections: who is connected.
            stage: what goes on.
            journal: for the history of the chain.
            blobs: what is served.
            observer: is told who came, went and broke what.
            max_frame: bytes of the largest frame of a client.
        """
        self._task_id = task_id
        self._door = door
        self._connections = connections
        self._stage = stage
        self._journal = journal
        self.library = Library(blobs)
        self._archive = Archive(journal, self._seal)
        self._observer = observer
        self._max_frame = max_frame
        self._quotas = Quotas(door.clock)
        # Of its own: a key that was replaced may be in other hands by now, and those
        # must not use up what the hospital itself may do.
        self._behind = Quotas(door.clock)
        self._inlet = Inlet()

    async def accept(self, transport: Transport) -> None:
        """Serve one connection until it ends.

        Raises:
            StateError: the disk failed, and there is no round to end with it.
        """
        try:
            await self._accept(transport)
        except errors.StateError as error:
            # Or the round would wait for ever for what cannot be taken.
            if self._stage.round is None:
                raise
            self._stage.round.fail(error)

    async def _accept(self, transport: Transport) -> None:
        gated = Gated(transport, self._inlet, chunk_frame=self._max_frame)
        recalls = self._connections.recalls
        try:
            let_in = functools.partial(self._let_in, gated)
            admitted = await admission.admit(gated, self._door, let_in)
        except errors.RemoteProtocolError as error:
            await self._refuse(gated, error)
            return
        except ConnectionLost:
            await gated.close()
            return
        if isinstance(admitted, admission.Informed):
            await self._part(gated, admitted)
            return
        if recalls != self._connections.recalls:
            # It was told of a session that was taken up anew meanwhile.
            await gated.close(RECALLED)
            return
        connection, hello = admitted
        self._connections.admit(connection, gated.expect_chunks)
        self._observer(progress.Connected(peer=connection.peer))
        try:
            await self._serve(connection, hello)
        finally:
            self._connections.leave(connection)
            await gated.close()

    def announce(self, ready: Collection[PeerId] = ()) -> None:
        """Tell everybody who is connected of the open round, but for who is ready.

        Between two sessions, so that a new roster is gone by from here on.
        """
        self.renew()
        for peer in self._connections.peers:
            connection = self._connections.get(peer)
            if connection is not None and peer not in ready:
                self._announce_to(connection)

    def renew(self) -> None:
        """Have who knows an older roster come back: it is given the newest then."""
        stale = self._connections.renew(self._door.roster)
        if self._stage.round is not None:
            # Each says Ready again.
            self._stage.round.gathering.remove(stale)

    def miss(self, peer: PeerId, round_no: int, reason: str) -> None:
        """Tell `peer` that a round went on without it."""
        connection = self._connections.get(peer)
        if connection is not None:
            missed = msg.Missed(
                task_id=self._task_id, round_no=round_no, reason=reason[:512]
            )
            self._say(connection, missed)

    async def _refuse(
        self, transport: Transport, error: errors.RemoteProtocolError
    ) -> None:
        named = error.culprits[0] if error.culprits else None
        peer = None if named is None else PeerId(named)
        refused = progress.PeerRefused(peer=peer, rule=error.rule, detail=error.detail)
        self._observer(refused)
        await transport.close(f"rule {error.rule}: {error.detail}")

    async def _part(self, transport: Transport, told: admission.Informed) -> None:
        """Let go whoever was given a newer roster; say so at a bounded rate (8-7)."""
        try:
            self._behind.of(told.peer).connected(told.peer)
        except errors.RemoteProtocolError as error:
            await self._refuse(transport, error)
            return
        self._observer(progress.RosterGiven(peer=told.peer, since=told.version))
        await transport.close(RENEWED)

    async def _serve(self, connection: Connection, hello: msg.Hello) -> None:
        self._greet(connection, hello)
        quota = self._quotas.of(connection.peer)
        handle = functools.partial(self._handle, connection, quota)
        reason = ""
        try:
            await connection.serve(handle, max_frame=self._max_frame)
        except ConnectionLost as error:
            reason = error.reason
        except errors.RemoteProtocolError as error:
            reason = f"rule {error.rule}: {error.detail}"
            refused = progress.PeerRefused(
                peer=connection.peer, rule=error.rule, detail=error.detail
            )
            self._observer(refused)
            quota.breached()
            await connection.close(reason)
        finally:
            await self.library.leave(connection)
            await self._archive.leave(connection)
        gone = progress.Disconnected(peer=connection.peer, reason=reason)
        self._observer(gone)

    # --- coming in --------------------------------------------------------------

    def _let_in(self, gated: Gated, peer: PeerId, sid: SessionId | None) -> int | None:
        """Take larger frames of a peer that is proved, and return its next chunk.

        Before it is welcomed, for it may send at once.

        Raises:
            RemoteProtocolError: it comes, or breaks rules, too often (rule 8-7).
        """
        self._quotas.of(peer).connected(peer)
        gated.allow(largest_message(self._door.book.largest))
        index = self._next_chunk(peer, sid)
        if index is not None:
            gated.expect_chunks()
        return index

    def _next_chunk(self, peer: PeerId, sid: SessionId | None) -> int | None:
        session = self._stage.session(sid)
        if session is None or session.over:
            return None
        return session.storing.next_chunk(peer)

    def _greet(self, connection: Connection, hello: msg.Hello) -> None:
        """Give a silo what it missed (rule 8-5), and the round that is open."""
        peer = connection.peer
        known = self._stage.session(hello.session)
        if known is not None:
            known.replay(peer, hello.transcript)
        elif hello.session is not None:
            last = self._journal.last_round(self._task_id)
            number = 1 if last is None else last.round_no
            self.miss(peer, number, "that session is over")
        running = self._stage.running(peer)
        if running is not None and running is not known:
            running.replay(peer, None)
        self._announce_to(connection)

    def _announce_to(self, connection: Connection) -> None:
        round_ = self._stage.round
        if round_ is None or not round_.gathers:
            return
        opened = msg.RoundOpen(
            task_id=self._task_id,
            round_no=round_.row.round_no,
            model_hash=round_.row.model_hash,
            model_size=round_.row.model_size,
            previous_link=self._journal.head(self._task_id),
        )
        self._say(connection, opened)

    def _say(self, connection: Connection, message: msg.Message) -> None:
        connection.post(self._seal(connection, message))

    def _seal(self, connection: Connection, message: msg.Message) -> msg.Envelope:
        return lobby.lobby_seal(message, door=self._door, connection=connection)

    # --- frames -----------------------------------------------------------------

    async def _handle(self, connection: Connection, quota: Quota, frame: Frame) -> None:
        if self._connections.get(connection.peer) is not connection:
            # What it says again on the newer one is heard there, and only there.
            raise ConnectionLost
        match frame:
            case EnvelopeFrame():
                quota.message(len(frame.envelope), self._phase(), self._outbox())
                envelope = codec.decode_envelope(
                    frame.envelope, members=self._door.book.largest
                )
                self._envelope(connection, envelope)
            case ChunkFrame():
                await self._chunk(connection.peer, quota, frame)
            case BlobFrame():
                raise errors.CodecError("7.1-1", "a client sends no blobs")

    def _phase(self) -> object:
        """Return what quotas are counted by: the session's phase.

        A session that is taken up from the journal is another one: what was sent to
        it before may have to come again.
        """
        round_ = self._stage.round
        session = None if round_ is None else round_.session
        return None if session is None else (session, session.server.phase)

    def _outbox(self) -> int:
        """Return the bytes of all that a client has said by now."""
        round_ = self._stage.round
        session = None if round_ is None else round_.session
        if session is None:
            return outbox_bytes(self._door.book.largest, None)
        return outbox_bytes(session.server.params.n, session.server.phase)

    def _envelope(self, connection: Connection, envelope: msg.Envelope) -> None:
        if envelope.sid == msg.LOBBY_SID:
            message = lobby.lobby_open(envelope, door=self._door, connection=connection)
            self._lobby(connection, message)
            return
        session = self._stage.session(envelope.sid)
        if session is None:
            ignored = progress.MessageIgnored(
                peer=connection.peer, type=envelope.type, rule="8-6"
            )
            self._observer(ignored)
            return
        session.feed(events.Received(peer=connection.peer, envelope=envelope))

    async def _chunk(self, peer: PeerId, quota: Quota, frame: ChunkFrame) -> None:
        session = self._stage.session(frame.sid)
        if session is None or session.over:
            quota.stray(len(frame.chunk), self._max_frame)
            return
        storing = session.storing
        size, phase = len(frame.chunk), self._phase()
        quota.chunk(size, phase, storing.vector_bytes, storing.chunk_bytes)
        await storing.store(peer, frame)

    def _lobby(self, connection: Connection, message: msg.Message) -> None:
        match message:
            case msg.Ready():
                self._ready(connection.peer, message)
            case msg.Declined():
                self._declined(connection.peer, message)
            case msg.Catchup():
                self._archive.answer(connection, message)
            case msg.Fetch():
                self.library.serve(connection, message)
            case _:
                kind = type(message).__name__
                raise errors.RemoteProtocolError("8-6", f"a client says no {kind}")

    def _ready(self, peer: PeerId, ready: msg.Ready) -> None:
        round_ = self._stage.round
        blamed = self._journal.blamed(self._task_id).get(peer)
        said = (ready.task_id, ready.round_no, ready.model_hash)
        if blamed is not None:
            ask = "left out until the aggregator's operator readmits it"
            self.miss(peer, ready.round_no, f"{ask}: {blamed}")
        elif round_ is None:
            self.miss(peer, ready.round_no, "that round is over")
        elif peer in round_.gathering.barred:
            self.miss(peer, ready.round_no, KEPT_COIN)
        elif said != (self._task_id, round_.row.round_no, round_.row.model_hash):
            now = f"round {round_.row.round_no} of task {self._task_id} is open"
            self.miss(peer, ready.round_no, f"{now}; train on its model")
        else:
            round_.gathering.add(peer, ready)

    def _declined(self, peer: PeerId, declined: msg.Declined) -> None:
        round_ = self._stage.round
        said = (declined.task_id, declined.round_no)
        if round_ is not None and said == (self._task_id, round_.row.round_no):
            round_.gathering.decline(peer, declined)
            return
        ignored = progress.MessageIgnored(peer=peer, type="Declined", rule="8-10")
        self._observer(ignored)
