import asyncio

import pytest

from secagg import errors
from secagg.drivers.silo.guard import Guard


def watched():
    guard = Guard()
    end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def work() -> None:
        await end

    guard.watch(asyncio.create_task(work()))
    return guard, end


async def test_work_gives_its_result_while_the_task_runs() -> None:
    guard, _ = watched()
    assert await guard.until(asyncio.sleep(0, "done")) == "done"
    await guard.end()


async def test_work_ends_with_what_ended_the_task() -> None:
    guard, end = watched()
    waiting = asyncio.create_task(guard.until(asyncio.Event().wait()))
    await asyncio.sleep(0)
    end.set_exception(errors.ConnectionRefused("another roster"))
    with pytest.raises(errors.ConnectionRefused, match="another roster"):
        await waiting


async def test_a_waiter_for_a_change_is_woken_by_one() -> None:
    guard, _ = watched()
    waiting = asyncio.create_task(guard.change())
    await asyncio.sleep(0)
    guard.changed()
    await waiting
    await guard.end()


async def test_a_waiter_for_a_change_learns_that_the_task_ended() -> None:
    guard, end = watched()
    waiting = asyncio.create_task(guard.change())
    await asyncio.sleep(0)
    end.set_exception(errors.ConnectionRefused("another roster"))
    with pytest.raises(errors.ConnectionRefused):
        await waiting


async def test_after_the_end_every_wait_is_refused() -> None:
    guard, _ = watched()
    await guard.end()
    with pytest.raises(errors.LocalProtocolError, match="closed"):
        await guard.change()
    with pytest.raises(errors.LocalProtocolError, match="closed"):
        await guard.until(asyncio.sleep(0))


async def test_cancelled_work_is_cancelled_with_its_waiter() -> None:
    guard, _ = watched()
    never = asyncio.create_task(asyncio.Event().wait())
    waiting = asyncio.create_task(guard.until(never))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await asyncio.gather(never, return_exceptions=True)
    assert never.cancelled()
    await guard.end()
