import asyncio

import pytest

from secagg.drivers.aggregator import library
from secagg.drivers.aggregator.blobs import KEPT, BlobStore
from secagg.drivers.aggregator.library import Library
from secagg.drivers.wire import memory
from secagg.drivers.wire.connection import Connection
from secagg.messages import Fetch
from secagg.names import PeerId
from secagg.roster import Roster
from secagg.vector import BlobFrame, parse_frame

NOBODY = Roster.beginning("nobody")

A, B = PeerId("a"), PeerId("b")


class Reader:
    """A connection to a peer, and what it reads."""

    def __init__(self, peer: PeerId) -> None:
        near, self.far = memory.pair(limit=1)
        self.connection = Connection(near, peer=peer, hc=bytes(32), roster=NOBODY)
        self.serving = asyncio.create_task(self.connection.serve(self._ignore))

    async def _ignore(self, frame) -> None:
        del frame

    async def part(self) -> BlobFrame:
        frame = parse_frame(await self.far.recv())
        assert isinstance(frame, BlobFrame)
        return frame

    async def end(self) -> None:
        await self.far.close()
        await asyncio.gather(self.serving, return_exceptions=True)


def lent(tmp_path, monkeypatch):
    monkeypatch.setattr(library, "PART_BYTES", 4)
    store = BlobStore(tmp_path)
    return Library(store), store.put(b"0123456789")


async def test_a_blob_goes_out_in_parts_from_where_it_was_asked_for(
    tmp_path, monkeypatch
) -> None:
    books, digest = lent(tmp_path, monkeypatch)
    reader = Reader(A)
    books.serve(reader.connection, Fetch(hash=digest, offset=2))
    parts = [await reader.part() for _ in range(2)]
    assert [(one.offset, one.part) for one in parts] == [(2, b"2345"), (6, b"6789")]
    await reader.end()


async def test_a_new_question_breaks_off_the_one_before(tmp_path, monkeypatch) -> None:
    books, digest = lent(tmp_path, monkeypatch)
    reader = Reader(A)
    books.serve(reader.connection, Fetch(hash=digest, offset=0))
    await reader.part()
    books.serve(reader.connection, Fetch(hash=digest, offset=8))
    offsets = [(await reader.part()).offset]
    while offsets[-1] != 8:
        offsets.append((await reader.part()).offset)
    await books.finish()
    await reader.end()
    assert offsets[-1] == 8


async def test_a_leaving_aggregator_waits_for_who_is_still_there(
    tmp_path, monkeypatch
) -> None:
    books, digest = lent(tmp_path, monkeypatch)
    readers = {peer: Reader(peer) for peer in (A, B)}
    there = {A, B}
    waiting = asyncio.create_task(books.delivered(digest, lambda: there, patience=60))
    books.serve(readers[A].connection, Fetch(hash=digest, offset=0))
    for _ in range(3):
        await readers[A].part()
    await books.finish()
    assert not waiting.done()
    there.discard(B)
    await books.leave(readers[B].connection)
    await waiting
    for reader in readers.values():
        await reader.end()


async def test_a_cut_while_sending_is_no_delivery(tmp_path, monkeypatch) -> None:
    books, digest = lent(tmp_path, monkeypatch)
    reader = Reader(A)
    books.serve(reader.connection, Fetch(hash=digest, offset=0))
    await reader.part()
    await reader.far.cut()
    await books.leave(reader.connection)
    waiting = asyncio.create_task(books.delivered(digest, lambda: {A}, patience=60))
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
    await asyncio.gather(waiting, reader.serving, return_exceptions=True)


async def test_who_has_what_is_known_for_the_blobs_that_are_kept(
    tmp_path, monkeypatch
) -> None:
    books, digest = lent(tmp_path, monkeypatch)
    books._note(A, digest)
    for k in range(KEPT + 3):
        books._note(A, bytes([k]) * 32)
    assert len(books._has) == KEPT
    await books.delivered(bytes([KEPT + 2]) * 32, lambda: {A}, patience=60)


async def test_a_delivery_of_which_nothing_moves_is_given_up(
    tmp_path, monkeypatch
) -> None:
    books, digest = lent(tmp_path, monkeypatch)
    with pytest.raises(TimeoutError):
        await books.delivered(digest, lambda: {A}, patience=0.001)


async def test_every_part_that_goes_out_is_a_move(tmp_path, monkeypatch) -> None:
    books, digest = lent(tmp_path, monkeypatch)
    moves: list[bool] = []
    monkeypatch.setattr(books._moved, "set", lambda: moves.append(True))
    reader = Reader(A)
    books.serve(reader.connection, Fetch(hash=digest, offset=0))
    for _ in range(3):
        await reader.part()
    await books.finish()
    # Three parts, and that A has the whole.
    assert len(moves) == 4
    await reader.far.cut()
    await asyncio.gather(reader.serving, return_exceptions=True)
