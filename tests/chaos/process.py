"""A process of chaos: what it runs, and how it ends with whoever started it."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from secagg import kernels
from secagg.names import PeerId
from tests.chaos import aggregator, hospital
from tests.chaos.records import Records
from tests.chaos.terms import AGGREGATOR, Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One life of one party.

    Attributes:
        terms: of its world.
        party: who.
        number: of the life, from 0.
        port: where it dials, or listens.
    """

    terms: Terms
    party: PeerId
    number: int
    port: int


def main(life: Life) -> None:
    """Live until done, stopped or killed."""
    # A life is short: to load a compiler takes longer than the loops that it would
    # speed up. Both forms of them give the same to the last bit.
    vars(kernels)["INSTALLED"] = False
    _end_with_parent()
    _quiet(life)
    records = Records(life.terms.log(life.party, life.number))
    if life.party == AGGREGATOR:
        asyncio.run(_until_stopped(aggregator.live(life.terms, records)))
    else:
        living = hospital.live(life.terms, life.party, life.port, records)
        asyncio.run(_until_stopped(living))


async def _until_stopped(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _quiet(life: Life) -> None:
    """Send what would be printed to a file: the trace of what must not happen."""
    path = life.terms.folder / "logs" / f"{life.party}-{life.number}.out"
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
