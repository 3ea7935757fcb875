import asyncio
from dataclasses import dataclass, field

import pytest

from secagg import errors, events
from secagg.drivers import progress
from secagg.drivers.aggregator.storing import Storing
from secagg.names import PeerId, SessionId
from secagg.transitions import ServerPhase
from secagg.vector import ChunkFrame, Chunks
from tests.drivers.fake_clock import until
from tests.memory_spool import MemorySpool

A, B = PeerId("a"), PeerId("b")
SID = SessionId(bytes(32))
CHUNKS = Chunks(length=2 * 4096, width=16, chunk_log2=12)
CHUNK = bytes(8192)


@dataclass
class Machine:
    """What storing looks at."""

    sid: SessionId = SID
    phase: ServerPhase = ServerPhase.MASKED_INPUT
    sets: dict[str, tuple[PeerId, ...]] = field(default_factory=lambda: {"u2": (A,)})


class Scene:
    def __init__(self) -> None:
        self.machine = Machine()
        self.fed: list[events.ServerEvent] = []
        self.failed: list[errors.SecaggError] = []
        self.events: list[progress.Progress] = []
        self.spool = MemorySpool(SID, CHUNKS)
        self.storing = Storing(
            self.machine,  # type: ignore[arg-type]  # only what it looks at
            self.spool,
            sink=self.fed.append,
            fail=self.failed.append,
            observer=self.events.append,
        )

    async def store(self, peer: PeerId, index: int) -> None:
        await self.storing.store(peer, ChunkFrame(SID, index, CHUNK))


async def test_the_last_chunk_becomes_an_event_with_the_root() -> None:
    scene = Scene()
    await scene.store(A, 0)
    assert scene.fed == []
    await scene.store(A, 1)
    assert scene.fed == [events.VectorStored(peer=A, root=scene.spool.root(A))]
    counted = [e.chunks for e in scene.events if isinstance(e, progress.ChunkStored)]
    assert counted == [1, 2]


async def test_a_repeat_changes_nothing() -> None:
    scene = Scene()
    for index in (0, 0, 1, 1, 0):
        await scene.store(A, index)
    assert len(scene.fed) == 1
    assert len(scene.events) == 2


async def test_a_chunk_of_a_stranger_is_refused_by_rule_7_1_2() -> None:
    with pytest.raises(errors.RemoteProtocolError) as caught:
        await Scene().store(B, 0)
    assert (caught.value.rule, caught.value.culprits) == ("7.1-2", (B,))


async def test_a_chunk_after_its_phase_is_left() -> None:
    scene = Scene()
    scene.machine.phase = ServerPhase.CONSISTENCY
    await scene.store(B, 0)
    assert scene.events == []
    assert scene.storing.next_chunk(A) is None


async def test_once_closed_it_takes_no_more_and_has_stored_what_was_at_work() -> None:
    """The next one over the same files must have them to itself."""
    scene = Scene()
    at_work = asyncio.create_task(scene.store(A, 0))
    waiting = asyncio.create_task(scene.store(A, 1))
    await until(scene.storing._turns[A].locked)
    await scene.storing.close()
    assert at_work.done()
    await waiting
    await scene.store(A, 1)
    assert scene.spool.next_index(A) == 1
    assert scene.storing.next_chunk(A) is None


async def test_the_next_chunk_is_the_first_that_is_lacking() -> None:
    scene = Scene()
    assert scene.storing.next_chunk(A) == 0
    await scene.store(A, 0)
    assert scene.storing.next_chunk(A) == 1
    assert scene.storing.next_chunk(B) is None


async def test_two_connections_of_a_peer_take_turns() -> None:
    scene = Scene()
    await asyncio.gather(*(scene.store(A, 0) for _ in range(5)))
    assert scene.spool.next_index(A) == 1


async def test_a_disk_that_fails_is_told_while_chunks_are_wanted(monkeypatch) -> None:
    scene = Scene()

    def full(peer, index, chunk):
        raise errors.StateError("the disk is full")

    monkeypatch.setattr(scene.spool, "append", full)
    await scene.store(A, 0)
    assert [str(error) for error in scene.failed] == ["the disk is full"]


async def test_after_a_restart_complete_uploads_are_told() -> None:
    scene = Scene()
    for index in (0, 1):
        scene.spool.append(A, index, CHUNK)
    await scene.storing.take_up()
    assert scene.fed == [events.VectorStored(peer=A, root=scene.spool.root(A))]
    assert scene.storing.vector_bytes == 2 * len(CHUNK)
    scene.storing.forget()
    assert scene.storing.next_chunk(A) == 0
