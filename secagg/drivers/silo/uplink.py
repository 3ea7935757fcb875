"""The uplink: a silo's connection to its aggregator, made again whenever it is lost.

Back-off doubles to a minute, with jitter so that a consortium does not return in step,
and to three seconds while a round waits for this silo: its deadlines go on. A
connection counts as made again only once it has lasted; in a round, also once something
came over it, so that a line which is cut again and again is dialled at once each time.
What a person has to mend (another roster, an unknown identity, a certificate) is raised
at once when nothing ever went well: it is the first thing a person at a terminal sees.
Later, and for a service at once, it is said and dialled again: it may be mended at the
other side. Whose place another process takes again and again gives way to it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from secagg import errors
from secagg.drivers import progress
from secagg.drivers.progress import Observer
from secagg.drivers.silo.trouble import Trouble
from secagg.drivers.wire import lobby
from secagg.drivers.wire.connection import REPLACED, Connection
from secagg.drivers.wire.door import Door
from secagg.drivers.wire.lobby import Standing
from secagg.drivers.wire.transport import ConnectionLost, Dial, Transport
from secagg.messages import Welcome
from secagg.names import PeerId
from secagg.vector import Frame

FIRST_SECONDS: Final = 0.5
MOST_SECONDS: Final = 60.0
REPLACEMENTS: Final = 3
"""Connections in a row that another process of this identity takes before this one
ends: the newest wins (rule 8-4), and a doctor elsewhere takes one for a moment."""

MOST_SECONDS_IN_A_ROUND: Final = 3.0
"""A phase gives ten seconds and more: a silo whose line is back is back within it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """What the uplink tells, and asks.

    Attributes:
        standing: where the silo stands in a session, for Hello.
        entered: a connection was proved; resume on it.
        handle: a frame came on it.
        left: it is gone, and why; returns what to tell an operator of it.
        urgent: whether a round waits for this silo.
        updated: newer versions of the roster were pinned.
    """

    standing: Callable[[], Standing]
    entered: Callable[[Connection, Welcome], None]
    handle: Callable[[Connection, Frame], Awaitable[None]]
    left: Callable[[str], str]
    urgent: Callable[[], bool]
    updated: Callable[[], None]


class Uplink:
    """Keeps one connection up."""

    def __init__(
        self,
        *,
        dial: Dial,
        door: Door,
        aggregator: PeerId,
        calls: Calls,
        observer: Observer,
        dial_anyone: Dial | None = None,
        patient: bool = False,
    ) -> None:
        """Prepare; `run` does the work.

        Args:
            dial: opens a transport.
            dial_anyone: opens one to whoever answers, to ask for newer versions of the
                roster when `dial` is refused; None where that is pointless.
            door: who this silo is.
            aggregator: whom it talks to.
            calls: what is told and asked.
            observer: is told of connections made, lost and failed.
            patient: whether a refusal before the first connection is dialled again
                too, as for a service that nobody watches.
        """
        self._dial = dial
        self._dial_anyone = dial_anyone
        self._door = door
        self._aggregator = aggregator
        self._calls = calls
        self._observer = observer
        self._trouble = Trouble(door.clock, observer)
        self._failures = 0
        self._replaced = 0
        self._lenient = patient
        self._was_in = False

    async def run(self) -> None:
        """Connect, serve, and connect again, until cancelled.

        Raises:
            ConnectionRefused: a person has to mend something before the first
                connection, and this one is not patient; or another process works under
                this identity. The message says what to do.
        """
        while True:
            entered = await self._enter()
            if entered is None:
                continue
            connection, welcome = entered
            self._lenient = self._was_in = True
            if await self._live(connection, welcome):
                self._failures = 0
            await self._pause()

    async def _live(self, connection: Connection, welcome: Welcome) -> bool:
        """Serve a proved connection to its end; return whether back-off begins anew."""
        self._trouble.made(connection.peer)
        self._calls.entered(connection, welcome)
        reason = why = ""
        try:
            reason = why = await self._serve(connection)
        finally:
            self._trouble.stop()
            # Cut, and not closed with a word: the aggregator has nothing against us.
            served = not reason and connection.received_bytes > 0
            blip = served and self._calls.urgent()
            reason = self._calls.left(reason)
            await connection.close()
        lasted = self._trouble.lost(connection.peer, reason)
        self._give_way(why, lasted=lasted)
        return lasted or blip

    def _give_way(self, why: str, *, lasted: bool) -> None:
        """End where another process of this identity keeps the place (rule 8-4)."""
        if lasted or why != REPLACED:
            self._replaced = 0
        self._replaced += why == REPLACED
        if self._replaced >= REPLACEMENTS:
            raise errors.ConnectionRefused(
                f"another process proved to be {self._door.identity.id} and took this"
                f" connection's place, {REPLACEMENTS} times in a row: stop one of the"
                " two (rule 8-4)"
            )

    async def _enter(self) -> tuple[Connection, Welcome] | None:
        """Make and prove a connection; None says to dial again now."""
        try:
            transport = await self._dialled()
            return None if transport is None else await self._prove(transport)
        except ConnectionLost as error:
            await self._failed(str(error))
        except errors.ConnectionRefused as error:
            # Who was let in and is no more was taken out by the consortium itself.
            gone = self._was_in and isinstance(error, errors.NotEnrolled)
            if gone or not self._lenient:
                raise
            await self._failed(str(error))
        return None

    async def _dialled(self) -> Transport | None:
        """Open a transport; None if newer versions of the roster came instead."""
        try:
            return await self._dial()
        except errors.ConnectionRefused as error:
            await self._ask_anyone(error)
            self._pinned()
            return None

    async def _prove(self, transport: Transport) -> tuple[Connection, Welcome] | None:
        try:
            entered = await lobby.enter(
                transport, self._door, self._aggregator, self._calls.standing()
            )
        except BaseException:
            await transport.close()
            raise
        if entered is None:
            await transport.close()
            self._pinned()
        return entered

    def _pinned(self) -> None:
        """Tell of newer versions of the roster; the next dial goes by them."""
        newest = self._door.roster
        told = progress.RosterPinned(version=newest.version, hash=newest.hash)
        self._observer(told)
        self._calls.updated()

    async def _ask_anyone(self, refused: errors.ConnectionRefused) -> None:
        """Pin newer versions that whoever answers has: the aggregator's key may be new.

        Raises:
            ConnectionRefused: `refused`, if there are none.
        """
        if self._dial_anyone is None or not self._door.book.grows:
            raise refused
        try:
            transport = await self._dial_anyone()
        except (ConnectionLost, errors.ConnectionRefused):
            raise refused from None
        try:
            newer = await lobby.update(transport, self._door, self._aggregator)
        except (ConnectionLost, errors.RemoteProtocolError):
            newer = False
        finally:
            await transport.close()
        if not newer:
            raise refused

    async def _serve(self, connection: Connection) -> str:
        """Serve the connection until it ends, and return why it did."""

        async def handle(frame: Frame) -> None:
            await self._calls.handle(connection, frame)

        try:
            await connection.serve(handle)
        except ConnectionLost as error:
            return error.reason
        except errors.RemoteProtocolError as error:
            reason = f"rule {error.rule}: {error.detail}"
            await connection.close(reason)
            return reason
        return ""

    async def _failed(self, reason: str) -> None:
        seconds = self._delay()
        self._trouble.failed(reason, seconds)
        await self._pause(seconds)

    async def _pause(self, seconds: float | None = None) -> None:
        delay = self._delay() if seconds is None else seconds
        self._failures += 1
        await self._door.clock.pause(delay)

    def _delay(self) -> float:
        """Return 0.5 s doubled with each failure, to a limit, times 0.5 to 1."""
        limit = MOST_SECONDS_IN_A_ROUND if self._calls.urgent() else MOST_SECONDS
        most = min(limit, FIRST_SECONDS * 2.0 ** min(self._failures, 16))
        draw = int.from_bytes(self._door.entropy.draw("backoff", 4), "little")
        return most * (0.5 + draw / 2.0**33)
