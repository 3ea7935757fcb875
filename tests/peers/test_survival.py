"""A session outlives SIGKILL of its aggregator in each phase: the same one, exact."""

import asyncio
import contextlib
import fcntl
import os

import pytest

from peers import records
from secagg import vector
from tests.drivers.world import sends, sends_chunk
from tests.peers.survival import HELD, HOSPITALS, Hold, Survival, logged

SPOKEN = {
    "advertise_keys": "AdvertiseKeys",
    "share_keys": "ShareKeys",
    "share_ack": "ShareAck",
    "masked_input": "MaskedInput",
    "consistency": "Consistency",
    "unmasking": "Unmasking",
}
"""What the held silo would say in a phase."""


PIPE_BYTES = 4096
"""What a pipe holds at least; a mean has ten times as many."""


async def killed_while_one_is_waited_for(world, silos, round_no, phase) -> None:
    since = len(world.aggregator.lines)
    world.line.outgoing = hold = Hold(sends(SPOKEN[phase]))
    work = asyncio.create_task(world.contribute(silos, round_no))
    await hold.came.wait()
    if phase == "advertise_keys":
        await world.aggregator.until(logged("answered", waiting_for=[HELD]), since)
    else:
        await world.all_but_one_answered(phase, since)
    await world.restart(hold.go_on)
    check(world, await work, round_no)


async def killed_in_the_middle_of_an_upload(world, silos, round_no) -> None:
    since = len(world.aggregator.lines)
    world.line.outgoing = hold = Hold(sends_chunk(2))
    work = asyncio.create_task(world.contribute(silos, round_no))
    await hold.came.wait()
    stored = logged("chunk_stored", peer=HELD, chunks=2)
    await world.aggregator.until(stored, since)
    await world.aggregator.kill()
    world.line.sent.clear()
    hold.go_on.set()
    await world.aggregator.start()
    check(world, await work, round_no)
    chunks = [
        vector.parse_frame(frame).index  # type: ignore[union-attr]
        for frame in world.line.sent
        if frame[:1] == b"\x01"
    ]
    assert chunks == [2, 3]


async def killed_while_it_opens_the_sum(world, silos, round_no) -> None:
    """A pipe in the place of the file that the mean goes to holds it there."""
    world.line.outgoing = hold = Hold(sends("Unmasking"))
    work = asyncio.create_task(world.contribute(silos, round_no))
    await hold.came.wait()
    with narrow_pipe(world) as came:
        hold.go_on.set()
        await came.wait()
        await world.aggregator.kill()
    await world.aggregator.start()
    check(world, await work, round_no)


@contextlib.contextmanager
def narrow_pipe(world):
    """Yield what says that the mean has begun to come; nobody takes the rest of it."""
    pipe = world.state / "blobs" / "unfinished.part"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    came, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(reader, came.set)
    try:
        yield came
    finally:
        loop.remove_reader(reader)
        os.close(reader)
        pipe.unlink()


async def killed_when_one_is_told_the_result(world, silos, round_no) -> None:
    world.line.incoming = hold = Hold(sends("Result"))
    work = asyncio.create_task(world.contribute(silos, round_no))
    await hold.came.wait()
    await world.restart(hold.go_on)
    check(world, await work, round_no)


def check(world, means, round_no) -> None:
    assert all((mean == world.mean(round_no)).all() for mean in means)


@pytest.fixture(params=["sqlite", "postgres"])
def journal(request):
    """What the aggregator's configuration says of its journal."""
    if request.param == "sqlite":
        return ""
    return f'[journal]\nurl = "{request.getfixturevalue("postgres_url")}"\n'


async def test_a_session_outlives_its_aggregator_in_every_phase(
    journal, tmp_path
) -> None:
    """Rule 9-3: one run, killed once a round, each time in another phase."""
    rounds = len(SPOKEN) + 3
    world = Survival.of(tmp_path, rounds=rounds, more=journal)
    async with world.running() as silos:
        for round_no, phase in enumerate(SPOKEN, start=1):
            await killed_while_one_is_waited_for(world, silos, round_no, phase)
        await killed_in_the_middle_of_an_upload(world, silos, rounds - 2)
        await killed_while_it_opens_the_sum(world, silos, rounds - 1)
        # In the last round: nothing follows that the silos could be waited for in.
        await killed_when_one_is_told_the_result(world, silos, rounds)
        await world.aggregator.until(logged("task_done"))
    began = [e for e in world.aggregator.lines if e["event"] == "session_began"]
    assert [e["round"] for e in began] == list(range(1, rounds + 1))
    resumed = [
        e["phase"] for e in world.aggregator.lines if e["event"] == "session_resumed"
    ]
    assert resumed == [*SPOKEN, "masked_input", "opening", "done"]
    reports = records.read(world.state)
    assert [report.sets["u3"] for report in reports] == [list(HOSPITALS)] * rounds
    assert [(report.session or "")[:16] for report in reports] == [
        e["session"] for e in began
    ]
