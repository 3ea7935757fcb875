"""secagg.drivers.aggregator.inlet: few uploads are read at a time, none is kept out."""

import asyncio

import pytest

from secagg.drivers.aggregator.inlet import Gated, Inlet
from secagg.names import SessionId
from secagg.vector import chunk_frame
from tests.drivers.fake_clock import until

CHUNK = chunk_frame(SessionId(bytes(32)), 0, b"chunk")
MESSAGE = b"\x00message"


class Inner:
    """A transport whose frames the test hands over, and which says if it is read."""

    def __init__(self) -> None:
        self.frames: asyncio.Queue[bytes] = asyncio.Queue()
        self.reads = True
        self.closed = False
        self.limits = list[int]()

    async def send(self, frame: bytes) -> None:
        await self.frames.put(frame)

    async def recv(self) -> bytes:
        return await self.frames.get()

    async def close(self, reason: str = "") -> None:
        del reason
        self.closed = True

    def pause(self) -> None:
        self.reads = False

    def resume(self) -> None:
        self.reads = True

    def allow(self, max_frame: int) -> None:
        self.limits.append(max_frame)


def lines(count: int, inlet: Inlet) -> list[tuple[Inner, Gated]]:
    inners = [Inner() for _ in range(count)]
    return [(inner, Gated(inner, inlet, chunk_frame=1000)) for inner in inners]


def patient(places: int) -> Inlet:
    """An inlet where nobody loses patience while a test runs."""
    return Inlet(places, stall_seconds=60, wait_seconds=60)


def read(all_: list[tuple[Inner, Gated]]) -> list[bool]:
    return [inner.reads for inner, _ in all_]


async def chunk_of(line: tuple[Inner, Gated]) -> None:
    inner, gated = line
    await inner.frames.put(CHUNK)
    assert await gated.recv() == CHUNK


async def test_of_all_that_are_to_send_chunks_only_so_many_are_read() -> None:
    all_ = lines(4, patient(2))
    for _, gated in all_:
        gated.expect_chunks()
    assert read(all_) == [False] * 4
    await until(lambda: read(all_) == [True, True, False, False])


async def test_after_a_chunk_a_place_goes_to_who_has_waited_longest() -> None:
    all_ = lines(3, patient(1))
    for _, gated in all_:
        gated.expect_chunks()
    await until(lambda: read(all_) == [True, False, False])
    await until(lambda: all_[0][1]._inlet.awaited)
    await chunk_of(all_[0])
    # It is looked at: nothing more is read of it, and its place is still its own.
    assert read(all_) == [False] * 3
    again = asyncio.create_task(all_[0][1].recv())
    await until(lambda: read(all_) == [False, True, False])
    await chunk_of(all_[1])
    third = asyncio.create_task(all_[1][1].recv())
    await until(lambda: read(all_) == [False, False, True])
    await chunk_of(all_[2])
    last = asyncio.create_task(all_[2][1].recv())
    await until(lambda: read(all_) == [True, False, False])
    for task in (again, third, last):
        task.cancel()
    await asyncio.gather(again, third, last, return_exceptions=True)


async def test_while_nobody_waits_an_upload_is_read_ahead() -> None:
    [line] = lines(1, patient(1))
    line[1].expect_chunks()
    await until(lambda: line[1]._placed)
    for _ in range(3):
        await chunk_of(line)
        assert line[0].reads


@pytest.mark.parametrize("leaving", ["message", "close"])
async def test_whose_chunks_are_over_leaves_its_place(leaving) -> None:
    first, second = lines(2, patient(1))
    first[1].expect_chunks()
    second[1].expect_chunks()
    await until(lambda: first[0].reads)
    if leaving == "message":
        await first[0].frames.put(MESSAGE)
        assert await first[1].recv() == MESSAGE
        assert first[0].reads
    else:
        await first[1].close()
        assert first[0].closed
    await until(lambda: second[0].reads)


async def test_a_line_that_stalls_loses_its_place_and_is_read_on() -> None:
    first, second = lines(2, Inlet(1, stall_seconds=0.001, wait_seconds=60))
    first[1].expect_chunks()
    second[1].expect_chunks()
    await until(lambda: second[0].reads)
    assert first[0].reads
    # Its next chunk comes without a place, and it has to wait for one after.
    await chunk_of(first)
    assert not first[0].reads


async def test_who_waits_too_long_is_read_without_a_place() -> None:
    first, second = lines(2, Inlet(1, stall_seconds=60, wait_seconds=0.001))
    first[1].expect_chunks()
    second[1].expect_chunks()
    await until(lambda: second[0].reads)
    assert not second[1]._placed


async def test_who_gives_up_waiting_takes_no_place_along() -> None:
    inlet = patient(1)
    first, second, third = lines(3, inlet)
    for _, gated in (first, second, third):
        gated.expect_chunks()
    await until(lambda: len(inlet._waiting) == 2)
    await second[1].close()
    await first[1].close()
    await until(lambda: third[0].reads)
    await third[1].close()
    assert await inlet.enter()


async def test_messages_pass_without_a_place() -> None:
    inlet = patient(1)
    await inlet.enter()
    [line] = lines(1, inlet)
    await line[1].send(MESSAGE)
    assert await line[1].recv() == MESSAGE
    assert line[0].reads
