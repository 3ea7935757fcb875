"""Archive: answers who asks for the links of the chain that it missed (spec 8).

One answer at a time per connection, at the line's pace: however often is asked, no more
than one History waits for a peer that does not read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from secagg import codec, errors
from secagg.drivers.aggregator.journal import Journal
from secagg.drivers.wire.connection import Connection
from secagg.drivers.wire.transport import ConnectionLost
from secagg.messages import Catchup, Envelope, History
from secagg.vector import envelope_frame

Seal = Callable[[Connection, History], Envelope]
"""Signs a History for one connection."""


class Archive:
    """Answers every Catchup from one journal."""

    def __init__(self, journal: Journal, seal: Seal) -> None:
        """Answer with what `journal` holds, signed by `seal`."""
        self._journal = journal
        self._seal = seal
        self._asked: dict[Connection, Catchup] = {}
        self._answering: dict[Connection, asyncio.Task[None]] = {}

    def answer(self, connection: Connection, asked: Catchup) -> None:
        """Answer once the line is free; of what is asked until then, only the last."""
        self._asked[connection] = asked
        if connection not in self._answering:
            task = asyncio.create_task(self._answer(connection))
            self._answering[connection] = task

    async def leave(self, connection: Connection) -> None:
        """Stop answering on a connection that ended."""
        self._asked.pop(connection, None)
        answering = self._answering.pop(connection, None)
        if answering is not None:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)

    async def _answer(self, connection: Connection) -> None:
        try:
            while (asked := self._asked.pop(connection, None)) is not None:
                rounds = self._journal.history(asked.task_id, asked.head)
                envelope = self._seal(connection, History(rounds=rounds))
                await connection.push(envelope_frame(codec.encode_envelope(envelope)))
        except (ConnectionLost, errors.StateError):
            await connection.close()
        finally:
            self._answering.pop(connection, None)
