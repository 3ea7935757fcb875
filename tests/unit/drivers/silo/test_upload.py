import asyncio

import numpy as np
import pytest

from secagg import errors
from secagg.consortium import Consortium
from secagg.contribution import contribution
from secagg.crypto.prg import Tag
from secagg.drivers import progress
from secagg.drivers.silo import upload as module
from secagg.drivers.silo.upload import Upload, Uploader
from secagg.drivers.wire import memory
from secagg.drivers.wire.connection import Connection
from secagg.engine import MaskSeed, NumpyThreads
from secagg.entropy import SeededEntropy
from secagg.events import MaskVector
from secagg.masked_chunks import chunks_of
from secagg.names import PeerId, SessionId
from secagg.params import Parameters
from secagg.roster import Roster
from secagg.task import Task
from secagg.vector import ChunkFrame, RootBuilder, chunk_frame, parse_frame
from tests.drivers.fake_clock import until
from tests.samples import first_manifest

NOBODY = Roster.beginning("nobody")

CONSORTIUM = Consortium.of(4, b"upload")
SID = SessionId(bytes([3]) * 32)
LENGTH = 3 * 4096 + 7
PARAMS = Parameters.of(
    first_manifest(
        CONSORTIUM, Task(task_id="demo", length=LENGTH, clip=1.0, chunk_log2=12)
    )
)


def upload(events=None, workers=None) -> Upload:
    x_u = contribution(
        np.linspace(-0.001, 0.001, LENGTH),
        weight=1,
        values={},
        params=PARAMS,
        sid=SID,
        entropy=SeededEntropy(b"upload"),
    )
    masks = MaskVector(sid=SID, seeds=(MaskSeed(bytes(32), Tag.SELF),), signs=(1,))
    observer = (lambda event: None) if events is None else events.append
    return Upload(x_u, masks, NumpyThreads(PARAMS.width, workers), observer)


class Line:
    """A connection that keeps the chunks it carried, and may fall after some."""

    def __init__(self) -> None:
        near, self.far = memory.pair()
        self.connection = Connection(
            near, peer=PeerId("s"), hc=bytes(32), roster=NOBODY
        )
        self.serving = asyncio.create_task(self.connection.serve(self._ignore))

    async def _ignore(self, frame) -> None:
        del frame

    async def chunk(self) -> ChunkFrame:
        frame = parse_frame(await self.far.recv())
        assert isinstance(frame, ChunkFrame)
        return frame

    async def fall(self) -> None:
        await self.far.cut()
        await asyncio.gather(self.serving, return_exceptions=True)


def root_of(chunks: list[ChunkFrame]) -> bytes:
    builder = RootBuilder(SID)
    for frame in chunks:
        builder.add(frame.index, frame.chunk)
    return builder.root()


@pytest.mark.parametrize(("ahead", "workers"), [(2, 1), (4, 1), (5, 2)])
async def test_chunks_side_by_side_take_a_thread_each(monkeypatch, ahead, workers):
    """Four chunks; fewer than are made at a time share the engine's threads."""
    monkeypatch.setattr(module, "_AHEAD", ahead)
    taken = []
    monkeypatch.setattr(module, "chunk_maker", lambda *given: taken.append(given[-1]))
    upload(workers=2)
    assert repr(taken[0]).endswith(f"workers={workers})")


async def test_all_chunks_go_out_in_order_and_their_root_comes_back() -> None:
    line, one = Line(), upload()
    running = asyncio.create_task(one.run(line.connection, 0))
    chunks = [await line.chunk() for _ in range(4)]
    assert [frame.index for frame in chunks] == [0, 1, 2, 3]
    assert all(frame.sid == SID for frame in chunks)
    assert await running == root_of(chunks)
    await line.fall()


async def test_after_a_cut_the_same_bytes_go_on_from_where_they_are_lacking() -> None:
    first, second, one = Line(), Line(), upload()
    cut = asyncio.create_task(one.run(first.connection, 0))
    before = [await first.chunk() for _ in range(3)]
    await first.fall()
    await asyncio.gather(cut, return_exceptions=True)
    running = asyncio.create_task(one.run(second.connection, 2))
    after = [await second.chunk() for _ in range(2)]
    assert [frame.index for frame in after] == [2, 3]
    assert after[0] == before[2]
    assert await running == root_of([*before, after[1]])
    await second.fall()


async def test_a_start_beyond_what_was_made_is_not_believed() -> None:
    line, one = Line(), upload()
    running = asyncio.create_task(one.run(line.connection, 4))
    assert (await line.chunk()).index == 0
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await line.fall()


async def test_progress_ends_with_all_bytes() -> None:
    events: list[progress.Progress] = []
    line, one = Line(), upload(events)
    running = asyncio.create_task(one.run(line.connection, 0))
    for _ in range(4):
        await line.chunk()
    await running
    sent = [e.sent_bytes for e in events if isinstance(e, progress.Uploaded)]
    assert sent == sorted(sent)
    assert sent[-1] == chunks_of(PARAMS).total_bytes
    await line.fall()


def unexpected(given: object) -> None:
    pytest.fail(f"nobody expected {given!r}")


async def test_an_uploader_tells_the_root_once_per_run_to_the_end() -> None:
    roots: list[bytes] = []
    uploader, line = Uploader(roots.append, unexpected), Line()
    uploader.begin(upload(), line.connection)
    chunks = [await line.chunk() for _ in range(4)]
    await until(lambda: len(roots) == 1)
    uploader.resume(line.connection, 4)
    await until(lambda: len(roots) == 2)
    assert roots == [root_of(chunks)] * 2
    await line.fall()


async def test_an_uploader_waits_for_a_connection_and_forgets_when_told() -> None:
    roots: list[bytes] = []
    uploader, line = Uploader(roots.append, unexpected), Line()
    uploader.begin(upload(), None)
    uploader.leave()
    uploader.resume(line.connection, 0)
    assert not uploader.active
    await line.fall()
    assert not roots


@pytest.mark.parametrize("where", ["engine", "root"])
async def test_what_ends_an_upload_is_told_unless_a_connection_was_lost(where) -> None:
    error = errors.StateError("the disk is full")

    def broken(*given, **named) -> None:
        raise error

    ends: list[Exception] = []
    line, one = Line(), upload()
    if where == "engine":
        one._chunk = broken  # type: ignore[assignment]
    uploader = Uploader(broken if where == "root" else unexpected, ends.append)
    uploader.begin(one, line.connection)
    await until(lambda: len(ends) == 1)
    await line.fall()
    assert where == "engine" or ends == [error]


async def test_the_second_cut_of_one_upload_says_what_to_check() -> None:
    uploader = Uploader(unexpected, unexpected)
    uploader.begin(upload(), None)
    said: list[str] = []
    sizes: list[int] = []
    for _ in range(3):
        line = Line()
        uploader.resume(line.connection, 0)
        sizes.append(len(chunk_frame(SID, 0, bytes((await line.chunk()).chunk))))
        await line.fall()
        said.append(uploader.cut())
    assert said[0] == ""
    assert f"websocket frames of {sizes[0]} bytes" in said[1]
    assert "cut 3 times" in said[2]


async def test_a_cut_between_uploads_or_after_one_counts_for_nothing() -> None:
    roots: list[bytes] = []
    uploader = Uploader(roots.append, unexpected)
    for _ in range(3):
        line = Line()
        assert uploader.cut() == ""
        uploader.begin(upload(), line.connection)
        for _ in range(4):
            await line.chunk()
        await until(lambda: len(roots) == 1)
        roots.clear()
        await line.fall()
        assert uploader.cut() == ""


async def test_a_lost_connection_is_no_failure_of_an_upload() -> None:
    ends: list[Exception] = []
    line = Line()
    uploader = Uploader(unexpected, ends.append)
    uploader.begin(upload(), line.connection)
    await line.chunk()
    await line.fall()
    await until(lambda: uploader._running is None or uploader._running.done())
    assert not ends
    assert uploader.active


def test_a_chunk_frame_is_read_as_it_was_written() -> None:
    frame = chunk_frame(SID, 1, b"chunk")
    assert parse_frame(frame) == ChunkFrame(SID, 1, b"chunk")


async def test_while_one_chunk_is_sent_a_few_are_made_and_no_more(monkeypatch) -> None:
    monkeypatch.setattr(module, "_AHEAD", 2)
    one, begun = upload(), list[int]()
    inner = one._chunk

    def noted(index: int) -> bytes:
        begun.append(index)
        return inner(index)

    monkeypatch.setattr(one, "_chunk", noted)
    near, _ = memory.pair()
    # Nobody writes what is pushed: the first chunk stays on its way.
    stuck = Connection(near, peer=PeerId("s"), hc=bytes(32), roster=NOBODY)
    running = asyncio.create_task(one.run(stuck, 0))
    await until(lambda: stuck._bulk is not None and len(begun) == 3)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert sorted(begun) == [0, 1, 2]
