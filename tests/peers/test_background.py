"""peers.background: threads that hold nobody up, and signals that end the work."""

import asyncio
import os
import signal
import subprocess
import sys
import threading

import pytest

from peers.background import in_thread, until_signalled
from peers.training import TrainerError


async def test_a_function_runs_beside_the_loop() -> None:
    assert await in_thread(threading.get_ident) != threading.get_ident()


async def test_nothing_can_be_returned() -> None:
    nothing: list[int] = []
    assert await in_thread(nothing.clear) is None  # type: ignore[func-returns-value]


async def test_what_it_raises_is_raised_here() -> None:
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 / 0)


@pytest.mark.parametrize("raised", [SystemExit, KeyboardInterrupt, StopIteration])
async def test_what_no_task_can_be_given_is_a_trainers_error(raised) -> None:
    def leave():
        raise raised("no GPU")

    with pytest.raises(TrainerError, match=f"{raised.__name__}: no GPU") as caught:
        await asyncio.wait_for(in_thread(leave), 5)
    assert "in leave" in caught.value.place


async def test_a_caller_that_gave_up_is_not_told() -> None:
    release = threading.Event()
    waiting = asyncio.create_task(in_thread(release.wait))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    release.set()
    assert await in_thread(lambda: 5) == 5


async def test_work_that_ends_gives_its_value() -> None:
    async def work():
        return 7

    assert await until_signalled(work()) == 7


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_the_work_and_lets_it_say_goodbye(number) -> None:
    goodbyes = []

    async def work():
        try:
            os.kill(os.getpid(), number)
            await asyncio.Event().wait()
        finally:
            goodbyes.append(number)

    assert await until_signalled(work()) is None
    assert goodbyes == [number]


async def test_a_cancellation_from_elsewhere_is_not_a_signal() -> None:
    waiting = asyncio.create_task(until_signalled(asyncio.Event().wait()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


def test_a_program_does_not_wait_for_its_trainer() -> None:
    program = (
        "import asyncio, os, signal, threading\n"
        "from peers.background import in_thread, until_signalled\n"
        "def train():\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    threading.Event().wait()\n"
        "async def work():\n"
        "    await in_thread(train)\n"
        "asyncio.run(until_signalled(work()))\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
