"""A mark that cannot be made: nothing that it stands for goes out, ever."""

import asyncio

from secagg import errors
from secagg.drivers.silo.store import MemoryStore, Receipt
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


class Ordered(MemoryStore):
    """A store that notes what the last of a session is made of, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.order: list[str] = []

    def record_head(self, task_id: str, link: bytes) -> None:
        self.order.append("head")
        super().record_head(task_id, link)

    def record_receipt(self, receipt: Receipt) -> None:
        self.order.append("receipt")
        super().record_receipt(receipt)


async def test_a_receipt_is_durable_before_the_head_that_leaves_it_behind() -> None:
    """Whoever dies between the two walks the link again, and has the receipt."""
    world = World(4, "memory")
    peer, *others = world.peers
    store = Ordered()
    async with (
        world.serve() as aggregator,
        world.silos(*others) as silos,
        world.silo(peer, state=store) as silo,
    ):
        outcome, _ = await world.round(aggregator, {**silos, peer: silo})
    assert store.order == ["receipt", "head"]
    assert store.head("demo") == outcome.link
