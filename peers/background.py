"""Threads and signals of the two programs.

A trainer's thread is a daemon: a program that is told to stop does not wait for hours
until training is over. Signals end the work by cancelling it: goodbyes are said.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from peers.training import TrainerError

T = TypeVar("T")

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


async def in_thread(function: Callable[[], T]) -> T:
    """Return what `function` returns, run in a thread that may outlive the caller.

    Raises:
        TrainerError: it raised what would end this program, such as SystemExit, or
            what no task can be given.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)  # type: ignore[arg-type]  # None is T's own then

    def work() -> None:
        value, error = None, None
        try:
            value = function()
        except BaseException as raised:  # noqa: BLE001 handed to whoever awaits
            error = _carried(raised)
        # The loop may be closed by now: nobody waits any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(target=work, daemon=True, name="trainer").start()
    return await future


def _carried(raised: BaseException) -> Exception:
    """Return what a task can be given without ending, or holding up, its loop."""
    if isinstance(raised, Exception) and not isinstance(raised, StopIteration):
        return raised
    error = TrainerError.of(raised)
    error.__cause__ = raised
    return error


async def until_signalled(work: Coroutine[Any, Any, T]) -> T | None:
    """Return what `work` returns; None if SIGINT or SIGTERM came before."""
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        task.cancel()

    for number in SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        return await task
    except asyncio.CancelledError:
        if stopped:
            return None
        raise
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
