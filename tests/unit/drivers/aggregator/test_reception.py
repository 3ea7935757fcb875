import asyncio
import contextlib
import itertools
from dataclasses import replace

import pytest

from secagg import codec, errors, vector
from secagg.drivers import progress
from secagg.drivers.aggregator import quotas
from secagg.drivers.aggregator.connections import RECALLED
from secagg.drivers.aggregator.reception import Reception
from secagg.drivers.roster_book import RosterBook
from secagg.drivers.wire import admission, lobby
from secagg.drivers.wire.door import Door
from secagg.drivers.wire.lobby import Standing
from secagg.drivers.wire.transport import ConnectionLost
from secagg.entropy import SeededEntropy
from secagg.identity import Identity
from secagg.messages import Declined, Fetch, History, Missed, Ready, RoundOpen
from secagg.names import SessionId
from secagg.signing import seal
from tests.drivers.fake_clock import until
from tests.drivers.world import PATIENCE_SECONDS, World


class Guest:
    """A proved connection to an aggregator, without a silo behind it."""

    def __init__(self, world: World, peer) -> None:
        self.door = Door(
            identity=world.consortium.silos[peer],
            book=RosterBook(world.consortium.roster),
            entropy=SeededEntropy(peer.encode()),
            clock=world.clock,
        )
        self._world = world
        self._peer = peer

    async def enter(self, standing=Standing()):  # noqa: B008
        self.transport = await self._world._connect(self._peer)
        aggregator = self._world.consortium.aggregator.id
        entered = await lobby.enter(self.transport, self.door, aggregator, standing)
        assert entered is not None
        self.connection, self.welcome = entered
        return self

    async def say(self, message) -> None:
        envelope = lobby.lobby_seal(message, door=self.door, connection=self.connection)
        await self.transport.send(
            vector.envelope_frame(codec.encode_envelope(envelope))
        )

    async def hear(self):
        frame = vector.parse_frame(await self.transport.recv())
        assert isinstance(frame, vector.EnvelopeFrame)
        envelope = codec.decode_envelope(frame.envelope, members=5)
        return lobby.lobby_open(envelope, door=self.door, connection=self.connection)

    async def closed(self) -> str:
        with pytest.raises(ConnectionLost) as caught:
            await self._read_on()
        return caught.value.reason

    async def _read_on(self) -> None:
        while True:
            await self.transport.recv()


def world_and_guest():
    world = World(4, "memory")
    return world, Guest(world, world.peers[0])


@contextlib.asynccontextmanager
async def gathering(world, guest):
    """A round that gathers, with the guest let in; give both sides of it."""
    async with world.serve() as aggregator:
        running = asyncio.create_task(aggregator.run_round())
        await asyncio.sleep(0)
        await guest.enter()
        opened = await guest.hear()
        assert isinstance(opened, RoundOpen)
        try:
            yield aggregator, opened
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


READY = Ready(task_id="demo", round_no=1, model_hash=bytes(32), ready_nonce=bytes(32))


async def test_a_ready_without_a_round_is_missed() -> None:
    world, guest = world_and_guest()
    async with world.serve():
        await guest.enter()
        await guest.say(READY)
        heard = await guest.hear()
    assert isinstance(heard, Missed)
    assert heard.reason == "that round is over"


async def test_a_ready_for_another_round_is_missed() -> None:
    world, guest = world_and_guest()
    async with gathering(world, guest) as (_, opened):
        await guest.say(replace(READY, round_no=9, model_hash=opened.model_hash))
        heard = await guest.hear()
    assert isinstance(heard, Missed)
    assert "round 1 of task demo is open" in heard.reason


async def test_what_comes_on_a_line_that_is_recalled_is_not_heard() -> None:
    """It was said to a session that goes on from the journal, where it is not."""
    world, guest = world_and_guest()
    async with gathering(world, guest) as (aggregator, opened):
        # It has come, and is handled in the loop's next turn.
        await guest.say(replace(READY, model_hash=opened.model_hash))
        aggregator._connections.recall()
        reason = await guest.closed()
    assert reason == RECALLED
    assert not any(isinstance(event, progress.PeerReady) for event in world.events)


async def test_one_that_enters_while_all_are_recalled_has_to_come_again(
    monkeypatch,
) -> None:
    """What it was told of its upload is of the session as it was before."""
    world, guest = world_and_guest()
    async with world.serve() as aggregator:
        really = Reception._let_in

        def let_in(self, gated, peer, sid):
            aggregator._connections.recall()
            return really(self, gated, peer, sid)

        with monkeypatch.context() as patch:
            patch.setattr(Reception, "_let_in", let_in)
            await guest.enter()
            async with asyncio.timeout(PATIENCE_SECONDS):
                assert await guest.closed() == RECALLED
        assert aggregator.connected == ()
        await guest.enter()
        await until(lambda: aggregator.connected == (world.peers[0],))


async def test_one_that_kept_its_coin_is_told_that_it_is_out_of_the_round() -> None:
    world, guest = world_and_guest()
    async with gathering(world, guest) as (aggregator, opened):
        round_ = aggregator._stage.round
        assert round_ is not None
        round_.gathering.bar([world.peers[0]])
        await guest.say(replace(READY, model_hash=opened.model_hash))
        heard = await guest.hear()
    assert isinstance(heard, Missed)
    assert "its coin stayed closed" in heard.reason


async def test_a_session_that_nobody_knows_is_over() -> None:
    world, guest = world_and_guest()
    standing = Standing(session=SessionId(bytes([7]) * 32), transcript=bytes(32))
    async with world.serve():
        await guest.enter(standing)
        heard = await guest.hear()
    assert isinstance(heard, Missed)
    assert guest.welcome.next_chunk is None


async def test_a_blob_that_is_not_there_closes_the_connection() -> None:
    world, guest = world_and_guest()
    async with world.serve():
        await guest.enter()
        await guest.say(Fetch(hash=bytes(32), offset=0))
        assert (await guest.closed()).startswith("no blob 0000")


@pytest.mark.parametrize(
    ("frame", "rule"),
    [
        (vector.blob_frame(bytes(32), 0, b"part"), "rule 7.1-1"),
        (b"\x07nonsense", "rule 7.1-1"),
        (vector.envelope_frame(b"\xff"), "rule 3.3"),
    ],
)
async def test_bytes_that_break_a_rule_close_the_connection_with_it(
    frame, rule
) -> None:
    world, guest = world_and_guest()
    async with world.serve():
        await guest.enter()
        await guest.transport.send(frame)
        assert (await guest.closed()).startswith(rule)
        await until(
            lambda: any(isinstance(e, progress.Disconnected) for e in world.events)
        )
    refused = [e for e in world.events if isinstance(e, progress.PeerRefused)]
    assert [event.peer for event in refused] == [world.peers[0]]


async def test_what_only_an_aggregator_says_is_refused_by_rule_8_6() -> None:
    world, guest = world_and_guest()
    async with world.serve():
        await guest.enter()
        await guest.say(History(rounds=()))
        assert (await guest.closed()).startswith("rule 8-6")


async def test_chunks_and_messages_of_no_session_are_ignored() -> None:
    world, guest = world_and_guest()
    async with world.serve():
        await guest.enter()
        sid = SessionId(bytes([7]) * 32)
        await guest.transport.send(vector.chunk_frame(sid, 0, b"chunk"))
        stray = seal(
            READY,
            identity=guest.door.identity,
            receiver=world.consortium.aggregator.id,
            sid=sid,
            h=bytes(32),
        )
        frame = vector.envelope_frame(codec.encode_envelope(stray))
        await guest.transport.send(frame)
        await until(
            lambda: any(isinstance(e, progress.MessageIgnored) for e in world.events)
        )
        await guest.say(READY)
        assert isinstance(await guest.hear(), Missed)


async def flood(guest, said=(READY,)) -> None:
    for message in itertools.islice(itertools.cycle(said), 2000):
        await guest.say(message)


async def test_a_flood_of_messages_is_cut_off_by_rule_7_1_1() -> None:
    world, guest = world_and_guest()
    async with world.serve():
        await guest.enter()
        reading = asyncio.create_task(guest.closed())
        with pytest.raises(ConnectionLost):
            await flood(guest)
        assert (await reading).startswith("rule 7.1-1")


async def flooded(guest: Guest) -> str:
    """Say a hundred messages on a new connection; return why it was closed."""
    try:
        await guest.enter()
    except ConnectionLost as lost:
        return lost.reason
    reading = asyncio.create_task(guest.closed())
    with contextlib.suppress(ConnectionLost):
        for _ in range(100):
            await guest.say(READY)
    await guest.transport.close()
    return await reading


async def test_a_flood_over_many_connections_is_cut_off_too() -> None:
    world, guest = world_and_guest()
    async with world.serve():
        reasons = [await flooded(guest) for _ in range(20)]
    assert any(reason.startswith("rule 7.1-1") for reason in reasons)
    assert not reasons[0]
    # Who goes on is not let in any more, and is asked to wait.
    assert reasons[-1].startswith("rule 8-7")


async def test_a_frame_no_silo_has_to_send_is_refused() -> None:
    world, guest = world_and_guest()
    async with world.serve() as aggregator:
        await guest.enter()
        await guest.transport.send(bytes(aggregator.max_frame + 1))
        assert (await guest.closed()).startswith("rule 7.1-1")


async def test_a_large_frame_before_the_proof_is_refused() -> None:
    world, guest = world_and_guest()
    async with world.serve():
        transport = await world._connect(guest._peer)
        await transport.recv()
        await transport.send(vector.envelope_frame(bytes(2048)))
        with pytest.raises(ConnectionLost, match=r"rule 7\.1-1"):
            await transport.recv()
    refused = [e for e in world.events if isinstance(e, progress.PeerRefused)]
    assert [event.rule for event in refused] == ["7.1-1"]


async def test_who_claims_a_name_without_its_key_is_refused_under_none() -> None:
    """The name is in the detail: what is said of a hospital is of who proved it."""
    world, guest = world_and_guest()
    claimed = world.peers[0]
    guest.door = replace(guest.door, identity=Identity(claimed, bytes([9]) * 32))
    async with world.serve():
        with pytest.raises(errors.NotEnrolled):
            await guest.enter()
        await until(
            lambda: any(isinstance(e, progress.PeerRefused) for e in world.events)
        )
    [refused] = [e for e in world.events if isinstance(e, progress.PeerRefused)]
    assert (refused.peer, refused.rule) == (None, "8-1")
    assert claimed in refused.detail


async def test_8_7_who_is_behind_again_and_again_is_let_go_at_a_rate_of_its_own(
    monkeypatch,
) -> None:
    """An old key may be in other hands: the hospital itself still comes in."""
    world, guest = world_and_guest()

    async def informed(*_):
        return admission.Informed(peer=world.peers[0], version=1)

    async with world.serve():
        monkeypatch.setattr(admission, "admit", informed)
        reasons = []
        for _ in range(quotas.CONNECTIONS + 5):
            guest.transport = await world._connect(world.peers[0])
            reasons.append(await guest.closed())
        assert reasons[-1].startswith("rule 8-7")
        given = [e for e in world.events if isinstance(e, progress.RosterGiven)]
        assert len(given) == quotas.CONNECTIONS
        monkeypatch.undo()
        assert await guest.enter()


DECLINED = Declined(task_id="demo", round_no=1, rule="4.1-5", detail="model 07")


@pytest.mark.parametrize("changed", [{"round_no": 2}, {"task_id": "other"}])
async def test_8_10_a_declined_of_another_round_is_ignored(changed) -> None:
    world, guest = world_and_guest()
    async with gathering(world, guest):
        await guest.say(replace(DECLINED, **changed))
        await until(
            lambda: any(isinstance(e, progress.MessageIgnored) for e in world.events)
        )
    assert not any(isinstance(e, progress.PeerDeclined) for e in world.events)


async def test_8_10_a_declined_without_a_round_is_ignored() -> None:
    world, guest = world_and_guest()
    async with world.serve():
        await guest.enter()
        await guest.say(DECLINED)
        await until(
            lambda: any(isinstance(e, progress.MessageIgnored) for e in world.events)
        )


async def test_8_10_a_declined_signed_for_another_connection_is_refused() -> None:
    world, guest = world_and_guest()
    async with world.serve():
        await guest.enter()
        before = guest.connection
        await guest.enter()
        sealed = lobby.lobby_seal(DECLINED, door=guest.door, connection=before)
        frame = vector.envelope_frame(codec.encode_envelope(sealed))
        await guest.transport.send(frame)
        assert (await guest.closed()).startswith("rule 8-6")


async def test_8_10_a_flood_of_declined_is_cut_off_by_rule_7_1_1_and_told_once() -> (
    None
):
    world, guest = world_and_guest()
    async with gathering(world, guest):
        reading = asyncio.create_task(guest.closed())
        said = [replace(DECLINED, detail=letter * 512) for letter in "abcdefgh"]
        with pytest.raises(ConnectionLost):
            await flood(guest, said)
        assert (await reading).startswith("rule 7.1-1")
    told = [e for e in world.events if isinstance(e, progress.PeerDeclined)]
    assert len(told) == 1
