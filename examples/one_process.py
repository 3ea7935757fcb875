"""Six hospitals add up their updates in one process, on the production machines."""

import numpy as np

from secagg.simulation import simulate

updates = [np.random.default_rng(i).normal(size=(3, 4)) for i in range(6)]
outcome = simulate(updates, seed=7)

plain = np.mean(updates, axis=0)
print("exact in integers:", outcome.exact)
print(f"largest error of the mean: {np.abs(outcome.mean - plain).max():.1e}")
print(f"which can never exceed:    {outcome.error_bound:.1e}")
