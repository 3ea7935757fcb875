"""The besieged aggregator, in a process of its own so that its memory can be read.

Runs so many rounds for every line it reads, and says how each went; the last line ends
it. Its peak memory is counted anew with every line.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from peers.descriptors import raise_limit
from secagg import serve
from secagg.drivers.aggregator.aggregator import Aggregator
from tests import memory
from tests.siege.terms import CONSORTIUM, HOST, TASK, honest, update

MIB = 1 << 20


def say(**fields: Any) -> None:
    """Write one line."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def descriptors() -> int:
    """Return how many files and sockets are open."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def rounds(aggregator: Aggregator, count: int) -> None:
    """Run rounds of the honest hospitals, and compare each with the plain mean."""
    memory.forget_peak()
    plain = np.mean([update(peer) for peer in honest()], axis=0)
    for _ in range(count):
        began = time.monotonic()
        outcome = await aggregator.run_round()
        seconds = time.monotonic() - began
        whole = outcome.sets["u3"] == tuple(honest())
        assert outcome.mean is not None
        assert outcome.error is not None
        off = float(np.abs(outcome.mean - plain).max())
        say(seconds=seconds, whole=whole, exact=off <= outcome.error.worst)
    connected = len(aggregator.connected)
    say(peak_mib=memory.peak() / MIB, connected=connected, descriptors=descriptors())


async def main(count: int) -> None:
    """Serve until standard input ends."""
    raise_limit()
    async with serve(
        HOST,
        0,
        identity=CONSORTIUM.aggregator,
        roster=CONSORTIUM.roster,
        task=TASK,
        expected=honest(),
    ) as aggregator:
        say(port=aggregator.port)
        while await asyncio.to_thread(sys.stdin.readline):
            await rounds(aggregator, count)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
