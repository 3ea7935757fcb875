"""Inquiries: what a silo asks for outside sessions, and asks again after a cut.

A blob by its hash, and the links of a task's chain that it missed (spec 4.8-4, 8).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from secagg import errors
from secagg.differences import SummedSet
from secagg.drivers.progress import Observer
from secagg.drivers.silo.fetching import Fetching, NoBlobError, Sink
from secagg.drivers.wire.connection import Connection
from secagg.drivers.wire.door import Door
from secagg.drivers.wire.lobby import lobby_seal
from secagg.messages import Catchup, History, Message
from secagg.names import PeerId
from secagg.rounds import own_part
from secagg.rounds.own_part import OwnPart
from secagg.rounds.result import next_link, summed_of
from secagg.vector import BlobFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link of a task's chain that this silo had missed.

    Attributes:
        head: the head of the chain after it.
        summed: what was summed.
        part: what this silo did in it, as its own signatures show.
    """

    head: bytes
    summed: SummedSet
    part: OwnPart | None


class Inquiries:
    """One silo's questions, at most one of each kind at a time."""

    def __init__(self, door: Door, aggregator: PeerId, observer: Observer) -> None:
        """Ask `aggregator` in the name of the door's identity."""
        self._door = door
        self._aggregator = aggregator
        self._observer = observer
        self._connection: Connection | None = None
        self._fetching: Fetching | None = None
        self._catchup: Catchup | None = None
        self._history: asyncio.Future[History] | None = None

    def connected(self, connection: Connection | None) -> None:
        """Ask what is still unanswered on a new connection; None: it is gone."""
        self._connection = connection
        if self._fetching is not None:
            self._fetching.ask(self._say)
        if self._catchup is not None:
            self._say(self._catchup)

    def take_part(self, frame: BlobFrame) -> None:
        """Take a part of a blob; one that nobody waits for is left."""
        if self._fetching is not None:
            self._fetching.take(frame)

    def take_history(self, history: History) -> None:
        """Take an answer to a Catchup; one that nobody waits for is left."""
        if self._history is not None and not self._history.done():
            self._history.set_result(history)

    async def fetch(self, digest: bytes, size: int, into: Sink) -> None:
        """Write the blob of this SHA-256 to `into`; good once this has returned.

        Raises:
            LocalProtocolError: a fetch is running; NoBlobError: the aggregator has no
                such blob.
            RemoteProtocolError: other bytes came (rule 4.8-2).
            StateError: it could not be written.
        """
        if self._fetching is not None:
            raise errors.LocalProtocolError("a fetch is running: await it first")
        self._fetching = Fetching(digest, size, into, self._observer)
        try:
            self._fetching.ask(self._say)
            await self._fetching.whole()
        finally:
            self._fetching = None

    def refused(self, reason: str) -> None:
        """Note why a connection ended; a blob that is not there is not asked again."""
        if self._fetching is not None and reason.startswith("no blob"):
            self._fetching.fail(
                NoBlobError(
                    f"the aggregator has {reason}; it keeps those of the last rounds"
                )
            )

    async def walk(self, task_id: str, head: bytes, to: bytes) -> list[Link]:
        """Return the links after `head` up to `to`, each checked.

        Raises:
            RemoteProtocolError: the aggregator's chain does not lead there (rule
                4.8-4), or a link is not what it seems.
        """
        links: list[Link] = []
        members, me = len(self._door.roster.members), self._door.identity.id
        while head != to:
            rounds = (await self._ask_history(task_id, head)).rounds
            errors.require(
                "4.8-4",
                bool(rounds),
                f"the chain of task {task_id} does not lead from this silo's head to"
                " the open round: the history was forked, or a state directory was"
                " restored from an old copy",
                [self._aggregator],
            )
            for past in rounds:
                head = next_link(
                    past,
                    head=head,
                    task_id=task_id,
                    aggregator=self._aggregator,
                    rosters=self._door.book,
                )
                summed = summed_of(past, members=members)
                part = own_part.in_link(past, me=me, members=members)
                links.append(Link(head=head, summed=summed, part=part))
                if head == to:
                    # The round may be over by now: what follows is not asked about.
                    break
            if not rounds:
                break
        return links

    async def _ask_history(self, task_id: str, head: bytes) -> History:
        self._history = asyncio.get_running_loop().create_future()
        self._catchup = Catchup(task_id=task_id, head=head)
        self._say(self._catchup)
        try:
            return await self._history
        finally:
            self._history = None
            self._catchup = None

    def _say(self, message: Message) -> None:
        connection = self._connection
        if connection is not None:
            envelope = lobby_seal(message, door=self._door, connection=connection)
            connection.post(envelope)
