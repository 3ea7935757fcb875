import asyncio

import pytest

from secagg import codec, errors
from secagg.crypto.transcript import LINK_START
from secagg.drivers.aggregator.archive import Archive
from secagg.drivers.aggregator.journal import Journal
from secagg.drivers.wire import memory
from secagg.drivers.wire.connection import Connection
from secagg.drivers.wire.transport import ConnectionLost
from secagg.messages import LOBBY_SID, Catchup, Envelope, History, PastRound
from secagg.names import PeerId
from secagg.roster import Roster
from secagg.vector import EnvelopeFrame, parse_frame

NOBODY = Roster.beginning("nobody")

A = PeerId("a")


def seal(connection: Connection, history: History) -> Envelope:
    return Envelope(
        type="History",
        sid=LOBBY_SID,
        sender=PeerId("agg"),
        receiver=connection.peer,
        body=codec.encode_body(history),
        signature=bytes(64),
    )


class Scene:
    """An archive of three links, and a line that takes one frame at a time."""

    def __init__(self, tmp_path) -> None:
        self.journal = Journal(tmp_path, members=5)
        for k in (1, 2, 3):
            row = PastRound(
                manifest=bytes([k]), h3=bytes(32), certificate=b"", result=b""
            )
            self.journal.add_link("demo", bytes([k]) * 32, row)
        self.asked: list[bytes] = []
        self._history = self.journal.history
        self.journal.history = self._noted  # type: ignore[method-assign]
        self.archive = Archive(self.journal, seal)
        near, self.far = memory.pair(limit=1)
        self.connection = Connection(near, peer=A, hc=bytes(32), roster=NOBODY)
        self.serving = asyncio.create_task(self.connection.serve(self._ignore))

    def _noted(self, task_id: str, head: bytes) -> tuple[PastRound, ...]:
        self.asked.append(head)
        return self._history(task_id, head)

    async def _ignore(self, frame) -> None:
        del frame

    def ask(self, head: bytes) -> None:
        self.archive.answer(self.connection, Catchup(task_id="demo", head=head))

    async def links(self) -> list[bytes]:
        frame = parse_frame(await self.far.recv())
        assert isinstance(frame, EnvelopeFrame)
        envelope = codec.decode_envelope(frame.envelope, members=5)
        history = codec.decode_body("History", envelope.body, members=5)
        assert isinstance(history, History)
        return [row.manifest for row in history.rounds]


@pytest.fixture
async def scene(tmp_path):
    made = Scene(tmp_path)
    yield made
    await made.far.close()
    await asyncio.gather(made.serving, return_exceptions=True)
    await made.archive.leave(made.connection)
    made.journal.close()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_the_links_after_a_head_are_sent(scene) -> None:
    scene.ask(bytes([1]) * 32)
    assert await scene.links() == [b"\x02", b"\x03"]


async def test_one_question_after_the_other_is_answered(scene) -> None:
    scene.ask(LINK_START)
    assert len(await scene.links()) == 3
    scene.ask(bytes([2]) * 32)
    assert await scene.links() == [b"\x03"]


async def test_however_often_is_asked_few_answers_wait(scene) -> None:
    for k in range(50):
        scene.ask(LINK_START if k < 49 else bytes([2]) * 32)
        await settle()
    # One on the line, one in the writer, one handed to it.
    assert len(scene.asked) <= 3
    while await scene.links() != [b"\x03"]:
        await settle()
    assert len(scene.asked) <= 4


async def test_a_journal_that_fails_closes_the_connection(scene) -> None:
    def failing(task_id: str, head: bytes) -> tuple[PastRound, ...]:
        raise errors.StateError("the disk failed")

    scene.journal.history = failing
    scene.ask(LINK_START)
    with pytest.raises(ConnectionLost):
        await scene.links()


async def test_nothing_is_kept_of_a_connection_that_ended(scene) -> None:
    for _ in range(3):
        scene.ask(LINK_START)
        await settle()
    await scene.archive.leave(scene.connection)
    assert not scene.archive._asked
    assert not scene.archive._answering
