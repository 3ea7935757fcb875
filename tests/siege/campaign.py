"""`make siege`: rounds of six hospitals beside 1,000 stalls and 100 floods.

Three processes: the aggregator, the besiegers, and the honest hospitals here. First the
rounds run alone, then under siege. Every sum has to be of all six and exact, each round
within the time its phases announce, and the aggregator's memory under the ceiling.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from typing import Any, Final

from secagg import MemoryStore, Policy, connect, errors
from secagg.names import PeerId
from tests.siege.terms import CONSORTIUM, HOST, TASK, honest, update

CEILING_MIB: Final = 1024.0
"""What the aggregator may use at its peak, besieged: 212 MiB alone, and 0.8 MiB for
each of 276 connections, and of as many that are just ending."""

LATEST_SECONDS: Final = sum(TASK.durations) / 1000
"""What the phases of a round may take together."""

SETTLE_SECONDS: Final = 5.0


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def started(module: str, *arguments: object) -> Process:
    """Start a party in a process of its own."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *map(str, arguments), stdin=PIPE, stdout=PIPE
    )


async def heard(party: Process) -> dict[str, Any]:
    """Return the next line of a party."""
    assert party.stdout is not None
    line = await party.stdout.readline()
    found: dict[str, Any] = json.loads(line)
    return found


async def hospital(port: int, peer: PeerId, memory: MemoryStore) -> None:
    """Take part in every round."""
    async with connect(
        f"wss://{HOST}:{port}",
        identity=CONSORTIUM.silos[peer],
        roster=CONSORTIUM.roster,
        policy=Policy(),
        state=memory,
    ) as silo:
        while True:
            with contextlib.suppress(errors.RoundMissed, errors.SessionAborted):
                await silo.contribute(update(peer))


def began(port: int, memories: dict[PeerId, MemoryStore]) -> list[asyncio.Task[None]]:
    """Start the honest hospitals: in the siege they have to get through the door."""
    return [
        asyncio.create_task(hospital(port, peer, memory))
        for peer, memory in memories.items()
    ]


async def ended(silos: list[asyncio.Task[None]]) -> None:
    """Stop them."""
    for silo in silos:
        silo.cancel()
    await asyncio.gather(*silos, return_exceptions=True)


@contextlib.asynccontextmanager
async def besieged(port: int, stalls: int) -> AsyncIterator[Process]:
    """Besiege for as long as the block runs."""
    party = await started("tests.siege.besiegers", port, stalls)
    assert party.stdout is not None
    assert party.stdin is not None
    await party.stdout.readline()
    await asyncio.sleep(SETTLE_SECONDS)
    try:
        yield party
    finally:
        party.stdin.close()


async def batch(
    aggregator: Process, silos: list[asyncio.Task[None]], count: int
) -> tuple[list[dict[str, Any]], Any]:
    """Have the aggregator run so many rounds; fail if a hospital ends meanwhile."""
    assert aggregator.stdin is not None
    aggregator.stdin.write(b"go\n")

    async def rounds() -> tuple[list[dict[str, Any]], Any]:
        return [await heard(aggregator) for _ in range(count)], await heard(aggregator)

    running = asyncio.create_task(rounds())
    await asyncio.wait([running, *silos], return_when=asyncio.FIRST_COMPLETED)
    for silo in silos:
        if silo.done():
            running.cancel()
            await silo
    return await running


def told(what: str, rounds: list[dict[str, Any]], after: dict[str, Any]) -> None:
    """Print how a batch went."""
    times = [one["seconds"] for one in rounds]
    exact = sum(one["whole"] and one["exact"] for one in rounds)
    say(
        f"{what}: {exact} of {len(rounds)} sums exact over all six,"
        f" median {statistics.median(times):.2f} s, longest {max(times):.2f} s a round;"
        f" peak {after['peak_mib']:.0f} MiB, {after['descriptors']} descriptors"
    )


async def campaign(count: int, stalls: int) -> bool:
    """Run it; return whether all held."""
    aggregator = await started("tests.siege.served", count)
    port = (await heard(aggregator))["port"]
    # Kept from one half to the other: who forgets its rounds is refused (rule 9-6).
    memories = {peer: MemoryStore() for peer in honest()}
    silos = began(port, memories)
    try:
        calm = await batch(aggregator, silos, count)
        told("alone", *calm)
        await ended(silos)
        async with besieged(port, stalls) as besiegers:
            silos = began(port, memories)
            siege = await batch(aggregator, silos, count)
        told("besieged", *siege)
        cuts = await heard(besiegers)
        for name, times in sorted(cuts.items()):
            say(f"  {name}: cut {times} times")
    finally:
        await ended(silos)
        assert aggregator.stdin is not None
        aggregator.stdin.close()
        await aggregator.wait()
    rounds, after = siege
    held = all(one["whole"] and one["exact"] for one in rounds)
    on_time = max(one["seconds"] for one in rounds) <= LATEST_SECONDS
    small = after["peak_mib"] <= CEILING_MIB
    say(f"every sum exact: {held}; on time: {on_time}; under {CEILING_MIB}: {small}")
    return held and on_time and small


def main() -> None:
    """Read the sizes and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--stalls", type=int, default=1000)
    given = parser.parse_args()
    sys.exit(0 if asyncio.run(campaign(given.rounds, given.stalls)) else 1)


if __name__ == "__main__":
    main()
