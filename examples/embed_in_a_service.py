"""One aggregator and four hospitals over mutual TLS, embedded in this process.

Each part would run in a service of its own; here they share one event loop.
"""

import asyncio
import tempfile
from pathlib import Path

import numpy as np

import secagg
from secagg.entropy import SystemEntropy
from secagg.names import PeerId
from secagg.roster import RosterMember

NAMES = [PeerId(f"hospital-{letter}") for letter in "abcd"]
AGGREGATOR = PeerId("aggregator")


def enrol() -> tuple[dict[PeerId, secagg.Identity], secagg.Roster]:
    """Make identities; in earnest each site makes its own and sends its public card."""
    identities = {
        name: secagg.Identity.generate(name, SystemEntropy())
        for name in [AGGREGATOR, *NAMES]
    }
    members = [
        RosterMember(
            id=name,
            role="aggregator" if name == AGGREGATOR else "hospital",
            key=identity.key.public,
            name=name,
        )
        for name, identity in identities.items()
    ]
    return identities, secagg.Roster.beginning("example").followed_by(members)


async def hospital(
    url: str, identity: secagg.Identity, roster: secagg.Roster, state: Path
) -> None:
    """Contribute an update and print the mean of all."""
    place = NAMES.index(identity.id)
    update, samples = np.full(1000, float(place)), 100 * (1 + place)
    async with secagg.connect(
        url, identity=identity, roster=roster, state=state
    ) as silo:
        mean = await silo.contribute(update, weight=samples)
    print(f"{identity.id}: the mean is {mean[0]:.4f}")


async def main(states: Path) -> None:
    """Serve one round to four hospitals, each with a state directory of its own."""
    identities, roster = enrol()
    task = secagg.Task(
        task_id="example",
        length=1000,
        clip=100.0,
        coordinate_range=4.0,
        weighting="weighted",
        max_weight=1000,
    )
    async with secagg.serve(
        "127.0.0.1", 0, identity=identities[AGGREGATOR], roster=roster, task=task
    ) as aggregator:
        url = f"wss://127.0.0.1:{aggregator.port}"
        async with asyncio.TaskGroup() as group:
            for name in NAMES:
                group.create_task(
                    hospital(url, identities[name], roster, states / name)
                )
            outcome = await aggregator.run_round()
    print("in the sum:", ", ".join(outcome.sets["u3"]))
    print("plain weighted mean:", np.average([0, 1, 2, 3], weights=[1, 2, 3, 4]))


with tempfile.TemporaryDirectory() as folder:
    asyncio.run(main(Path(folder)))
