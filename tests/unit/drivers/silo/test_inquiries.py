import asyncio
import hashlib
import io

import pytest

from secagg import codec, errors
from secagg.consortium import Consortium
from secagg.drivers.roster_book import RosterBook
from secagg.drivers.silo import inquiries as module
from secagg.drivers.silo.inquiries import Inquiries
from secagg.drivers.wire import memory
from secagg.drivers.wire.connection import Connection
from secagg.drivers.wire.door import Door
from secagg.drivers.wire.lobby import lobby_open
from secagg.entropy import SeededEntropy
from secagg.messages import Catchup, Fetch, History, Message, PastRound
from secagg.rounds import own_part
from secagg.vector import BlobFrame, EnvelopeFrame, parse_frame
from tests.drivers.fake_clock import FakeClock

CONSORTIUM = Consortium.of(4, b"inquiries")
SILO = min(CONSORTIUM.silos)
AGGREGATOR = CONSORTIUM.aggregator.id
BLOB = b"model"
DIGEST = hashlib.sha256(BLOB).digest()


def door(identity) -> Door:
    return Door(
        identity=identity,
        book=RosterBook(CONSORTIUM.roster),
        entropy=SeededEntropy(b""),
        clock=FakeClock(),
    )


class Line:
    """A connection, and what was said on it."""

    def __init__(self) -> None:
        near, self.far = memory.pair()
        self.connection = Connection(
            near, peer=AGGREGATOR, hc=bytes(32), roster=CONSORTIUM.roster
        )
        self.serving = asyncio.create_task(self.connection.serve(self._ignore))

    async def _ignore(self, frame) -> None:
        del frame

    async def heard(self) -> Message:
        frame = parse_frame(await self.far.recv())
        assert isinstance(frame, EnvelopeFrame)
        envelope = codec.decode_envelope(frame.envelope, members=5)
        theirs = Connection(self.far, peer=SILO, hc=bytes(32), roster=CONSORTIUM.roster)
        return lobby_open(envelope, door=door(CONSORTIUM.aggregator), connection=theirs)

    async def end(self) -> None:
        await self.far.close()
        await asyncio.gather(self.serving, return_exceptions=True)


@pytest.fixture
async def line():
    one = Line()
    yield one
    await one.end()


def inquiries() -> Inquiries:
    return Inquiries(door(CONSORTIUM.silos[SILO]), AGGREGATOR, lambda event: None)


async def test_a_blob_is_asked_for_and_taken(line) -> None:
    one = inquiries()
    one.connected(line.connection)
    into = io.BytesIO()
    fetching = asyncio.create_task(one.fetch(DIGEST, len(BLOB), into))
    assert await line.heard() == Fetch(hash=DIGEST, offset=0)
    one.take_part(BlobFrame(DIGEST, 0, BLOB))
    await fetching
    assert into.getvalue() == BLOB


async def test_what_is_unanswered_is_asked_again_on_a_new_connection(line) -> None:
    one = inquiries()
    fetching = asyncio.create_task(one.fetch(DIGEST, len(BLOB), io.BytesIO()))
    walking = asyncio.create_task(one.walk("demo", bytes(32), bytes([1]) * 32))
    await asyncio.sleep(0)
    one.connected(line.connection)
    heard = [await line.heard(), await line.heard()]
    assert heard == [
        Fetch(hash=DIGEST, offset=0),
        Catchup(task_id="demo", head=bytes(32)),
    ]
    for task in (fetching, walking):
        task.cancel()
    await asyncio.gather(fetching, walking, return_exceptions=True)


async def test_a_chain_that_does_not_lead_there_is_refused_by_rule_4_8_4(line) -> None:
    one = inquiries()
    one.connected(line.connection)
    walking = asyncio.create_task(one.walk("demo", bytes(32), bytes([1]) * 32))
    await line.heard()
    one.take_history(History(rounds=()))
    with pytest.raises(errors.RemoteProtocolError, match="forked") as caught:
        await walking
    assert (caught.value.rule, caught.value.culprits) == ("4.8-4", (AGGREGATOR,))


async def test_a_walk_ends_at_the_open_round_though_the_chain_has_gone_on(
    line, monkeypatch
) -> None:
    """The connection was away for a moment, and the round was over meanwhile."""
    heads = [bytes([k]) * 32 for k in range(1, 4)]
    monkeypatch.setattr(module, "next_link", lambda past, **_: past.h3)
    monkeypatch.setattr(module, "summed_of", lambda past, **_: ())
    monkeypatch.setattr(own_part, "in_link", lambda past, **_: None)
    one = inquiries()
    one.connected(line.connection)
    walking = asyncio.create_task(one.walk("demo", bytes(32), heads[1]))
    await line.heard()
    rounds = [
        PastRound(manifest=b"", h3=head, certificate=b"", result=b"") for head in heads
    ]
    one.take_history(History(rounds=tuple(rounds)))
    for _ in range(3):
        await asyncio.sleep(0)
    assert walking.done()
    assert [link.head for link in walking.result()] == heads[:2]


async def test_there_is_nothing_to_walk_from_the_head_itself() -> None:
    assert await inquiries().walk("demo", bytes(32), bytes(32)) == []


async def test_a_second_fetch_at_a_time_is_refused() -> None:
    one = inquiries()
    first = asyncio.create_task(one.fetch(DIGEST, len(BLOB), io.BytesIO()))
    await asyncio.sleep(0)
    with pytest.raises(errors.LocalProtocolError, match="a fetch is running"):
        await one.fetch(DIGEST, len(BLOB), io.BytesIO())
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


async def test_a_blob_that_the_aggregator_has_not_is_not_asked_for_for_ever() -> None:
    one = inquiries()
    fetching = asyncio.create_task(one.fetch(DIGEST, len(BLOB), io.BytesIO()))
    await asyncio.sleep(0)
    one.refused("the line was cut")
    assert not fetching.done()
    one.refused("no blob 00ff here")
    with pytest.raises(errors.LocalProtocolError, match="no blob 00ff"):
        await fetching


async def test_answers_that_nobody_waits_for_are_left() -> None:
    one = inquiries()
    one.take_part(BlobFrame(DIGEST, 0, BLOB))
    one.take_history(History(rounds=()))
    one.refused("no blob")
    one.connected(None)
