"""Lose one hospital at each round of the protocol; the sum over the rest is exact."""

import numpy as np

from secagg.cohort import LOSS_ROUNDS
from secagg.errors import SessionAborted
from secagg.names import Round
from secagg.simulation import simulate

updates = [np.full(4, float(i)) for i in range(6)]

# Six hospitals all mask with each other: no coins draw a graph.
for round_ in [r for r in LOSS_ROUNDS if r is not Round.COIN]:
    outcome = simulate(updates, drop={round_.value: {5}}, seed=7)
    survivors = len(outcome.sets["u3"])
    print(f"lost from {round_.value:15} {survivors} in the sum, mean {outcome.mean}")

try:
    simulate(updates, drop={"share_keys": {3, 4, 5}})
except SessionAborted as error:
    print(f"lost three of six: {error}")
