"""Upload: y_u chunk by chunk, the next ones masked while one is sent (spec 7).

Nothing of it is kept. A chunk is made from the update, the seeds and the session's
rounding key whenever it is needed, the same bytes each time, so an upload that was cut
goes on from wherever the aggregator says.
"""

from __future__ import annotations

import asyncio
import collections
import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from secagg.contribution import Contribution, DeviceContribution
from secagg.drivers import progress
from secagg.drivers.progress import Observer
from secagg.drivers.wire.connection import Connection
from secagg.drivers.wire.transport import ConnectionLost
from secagg.engine import MaskEngine
from secagg.events import MaskVector
from secagg.masked_chunks import chunk_maker, chunks_of
from secagg.vector import RootBuilder, chunk_frame, leaf_hash

_CUTS_BY_CHANCE: Final = 2
"""As many cuts of one upload are no chance any more."""

_AHEAD: Final = min(4, os.cpu_count() or 1)
"""Chunks in the making while one is sent: as the line is faster than a core that masks,
one for each core, but no more than memory of a few chunks allows."""


@dataclass(frozen=True, slots=True)
class _Made:
    """A chunk that is ready to go: its leaf for the root, and its frame."""

    index: int
    leaf: bytes
    frame: bytes = field(repr=False)


class Upload:
    """One session's masked input on its way."""

    def __init__(
        self,
        x_u: Contribution | DeviceContribution,
        masks: MaskVector,
        engine: MaskEngine,
        observer: Observer,
    ) -> None:
        """Prepare; nothing is masked yet.

        Args:
            x_u: the input of this session.
            masks: seeds and signs, as the machine gave them.
            engine: of the session's width.
            observer: is told how much was handed over.
        """
        self._masks = masks
        self._chunks = chunks_of(x_u.params)
        # Chunks side by side take a core each; a lone one takes them all.
        taken = engine.alone() if self._chunks.count >= _AHEAD else engine
        self._chunk = chunk_maker(x_u, masks.seeds, masks.signs, taken)
        # A device makes its chunks in order, and is ahead by itself.
        workers = _AHEAD if isinstance(x_u, Contribution) else 1
        self._workers = ThreadPoolExecutor(workers)
        self._observer = observer
        self._builder = RootBuilder(masks.sid)

    @property
    def frame_bytes(self) -> int:
        """Bytes of the largest frame that carries a chunk."""
        return len(chunk_frame(self._masks.sid, 0, b"")) + self._chunks.size_bytes(0)

    async def run(self, connection: Connection, start: int) -> bytes:
        """Send the chunks from `start` on, and return the root over all of them.

        Args:
            connection: where to.
            start: the first chunk that the aggregator lacks.

        Raises:
            ConnectionLost: the connection ended; run again on the next one.
        """
        indices = iter(range(min(start, self._builder.count), self._chunks.count))
        making: collections.deque[asyncio.Future[_Made]] = collections.deque()
        try:
            while True:
                for index in itertools.islice(indices, _AHEAD + 1 - len(making)):
                    making.append(self._make(index))
                if not making:
                    return self._builder.root()
                made = await making[0]
                making.popleft()
                if made.index == self._builder.count:
                    self._builder.add_leaf(made.leaf)
                await self._send(connection, made.index, made.frame)
        finally:
            # Their threads finish the chunks that they are at, for nobody.
            for one in making:
                one.cancel()
            await asyncio.gather(*making, return_exceptions=True)

    def _make(self, index: int) -> asyncio.Future[_Made]:
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._workers, self._made, index)

    def _made(self, index: int) -> _Made:
        """Mask, pack and hash a chunk; in a thread, beside others."""
        chunk, sid = self._chunk(index), self._masks.sid
        return _Made(
            index, leaf_hash(sid, index, chunk), chunk_frame(sid, index, chunk)
        )

    async def _send(self, connection: Connection, index: int, frame: bytes) -> None:
        await connection.push(frame)
        done = index * self._chunks.size_bytes(0) + self._chunks.size_bytes(index)
        self._observer(
            progress.Uploaded(
                sid=self._masks.sid,
                sent_bytes=done,
                total_bytes=self._chunks.total_bytes,
            )
        )


class Uploader:
    """The upload of the session that runs, over one connection after the other."""

    def __init__(
        self,
        uploaded: Callable[[bytes], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Begin with nothing to upload.

        Args:
            uploaded: is given the root, each time all that was lacking was sent.
            failed: is given what ended an upload, except for a lost connection.
        """
        self._uploaded = uploaded
        self._failed = failed
        self._upload: Upload | None = None
        self._running: asyncio.Task[None] | None = None
        self._sent = False
        self._cuts = 0

    @property
    def active(self) -> bool:
        """Whether there is something to upload."""
        return self._upload is not None

    def begin(self, upload: Upload, connection: Connection | None) -> None:
        """Start an upload; without a connection it waits for `resume`."""
        self._upload = upload
        self._cuts = 0
        if connection is not None:
            self.resume(connection, 0)

    def resume(self, connection: Connection, start: int) -> None:
        """Go on from the first chunk that the aggregator lacks."""
        self.pause()
        if self._upload is not None:
            self._sent = False
            work = self._run(self._upload, connection, start)
            self._running = asyncio.create_task(work)

    def pause(self) -> None:
        """Stop sending; what is to be uploaded stays."""
        if self._running is not None:
            self._running.cancel()
            self._running = None

    def cut(self) -> str:
        """Stop sending because the connection is gone.

        Returns:
            What an operator may check, from the second cut of one upload on.
        """
        upload, running = self._upload, self._running
        self.pause()
        if upload is None or running is None or self._sent:
            return ""
        self._cuts += 1
        if self._cuts < _CUTS_BY_CHANCE:
            return ""
        return (
            f"cut {self._cuts} times during one upload: a firewall or proxy may limit"
            " the size of messages or how long they take; let websocket frames of"
            f" {upload.frame_bytes} bytes to the aggregator through"
        )

    def leave(self) -> None:
        """Forget the upload: its session or its phase is over."""
        self.pause()
        self._upload = None

    async def _run(self, upload: Upload, connection: Connection, start: int) -> None:
        try:
            root = await upload.run(connection, start)
            if upload is self._upload:
                self._sent = True
                self._uploaded(root)
        except ConnectionLost:
            return  # The next connection goes on with it.
        except Exception as error:  # noqa: BLE001 nobody awaits this task
            self._failed(error)
