import asyncio

from secagg.drivers.clock import SystemClock


def test_the_wall_clock_is_in_milliseconds_since_1970() -> None:
    assert SystemClock().now_ms() > 1_700_000_000_000


def test_the_clock_for_durations_only_moves_forward() -> None:
    clock = SystemClock()
    assert clock.seconds() <= clock.seconds()


async def test_deadlines_and_pauses_can_be_cancelled() -> None:
    clock = SystemClock()
    for waiting in (clock.deadline(3600), clock.pause(3600)):
        task = asyncio.create_task(waiting)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
