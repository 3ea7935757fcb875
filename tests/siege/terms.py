"""What the parties of a siege agree on: one consortium, of which few are honest."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg import Task
from secagg.consortium import Consortium
from secagg.names import PeerId

HONEST: Final = 6
HOSTILE: Final = 100
LENGTH: Final = 100_000
HOST: Final = "127.0.0.1"

CONSORTIUM: Final = Consortium.of(HONEST + HOSTILE, b"siege")
PEERS: Final = sorted(CONSORTIUM.silos)
TASK: Final = Task(task_id="siege", length=LENGTH, clip=1.0)


def honest() -> list[PeerId]:
    """Those that the rounds are of."""
    return PEERS[:HONEST]


def hostile() -> list[PeerId]:
    """Members of the roster that flood."""
    return PEERS[HONEST:]


def update(peer: PeerId) -> NDArray[np.float64]:
    """What an honest hospital puts in, every round."""
    return np.random.default_rng(PEERS.index(peer)).normal(0, 1e-3, LENGTH)
