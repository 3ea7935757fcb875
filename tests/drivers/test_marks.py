"""A mark that cannot be made: nothing that it stands for goes out, ever."""

import asyncio

from secagg import errors
from secagg.drivers.silo.store import MemoryStore
from tests.drivers.fake_clock import until
from tests.drivers.world import PATIENCE_SECONDS, World, sends


class FullDisk(MemoryStore):
    """A store whose disk is full when the update is to be marked as spent."""

    def record_spent(self, task_id: str, round_no: int) -> None:
        raise errors.StateError("the disk is full")


async def test_a_root_without_its_spent_mark_does_not_go_out_on_any_connection(
    network,
) -> None:
    """Rules 4.1-8 and 9-2."""
    world = World(5, network)
    peer, *others = world.peers
    sent: list[bytes] = []

    def look(frame: bytes) -> bool:
        if sends("MaskedInput")(frame):
            sent.append(frame)
        return False

    async with (
        world.serve() as aggregator,
        world.silos(*others) as silos,
        world.silo(peer, state=FullDisk()) as broken,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        world.line(peer).fall_at = look
        running = asyncio.create_task(aggregator.run_round())
        work = [asyncio.create_task(world.contribute(silos[u], u)) for u in others]
        end = await world.contribute(broken, peer)
        assert isinstance(end, errors.StateError)
        assert "the disk is full" in str(end)
        dials = world.line(peer).dials
        await world.line(peer).cut()
        await until(lambda: world.line(peer).dials > dials)
        world.away.add(peer)
        world.pass_time()
        outcome = await running
        await asyncio.gather(*work)
    assert sent == []
    assert outcome.lost[peer].round == "masked_input"
