"""What a rotation is for: 11 bits in a field of 16, and a mean within a hundredth.

Thirty silos, whole sessions, gaussian updates and those of a network that was trained.
"""

import functools

import numpy as np
import pytest

from secagg.simulation.session import Inputs, Simulator
from secagg.task import Task

SILOS = 30


def gaussian():
    draw = np.random.default_rng(5)
    return draw.standard_normal((SILOS, 1 << 15)).astype(np.float32)


@functools.cache
def trained():
    """The updates of a network of 66,762 parameters, by SGD, a silo's digits each."""
    datasets = pytest.importorskip("sklearn.datasets", reason="needs scikit-learn")
    digits = datasets.load_digits()
    images, labels = digits.data / 16, np.eye(10)[digits.target]
    draw = np.random.default_rng(1)
    shapes = [(64, 512), (512, 64), (64, 10)]
    first = [draw.normal(0, np.sqrt(2 / rows), (rows, out)) for rows, out in shapes]
    updates = []
    for silo in range(SILOS):
        weights = [w.copy() for w in first] + [np.zeros(out) for _, out in shapes]
        for step in range(20):
            some = slice(silo * 59 + step % 5 * 10, silo * 59 + step % 5 * 10 + 10)
            descend(weights, images[some], labels[some])
        before = [*first, *(np.zeros(out) for _, out in shapes)]
        moved = [w - b for w, b in zip(weights, before, strict=True)]
        updates.append(np.concatenate([w.ravel() for w in moved]).astype(np.float32))
    return np.array(updates)


def descend(weights, x, y, rate=0.1):
    """One step of SGD on the cross entropy of three layers with rectifiers."""
    layers, biases = weights[:3], weights[3:]
    seen = [x]
    for w, b in zip(layers[:-1], biases[:-1], strict=True):
        seen.append(np.maximum(seen[-1] @ w + b, 0))
    scores = seen[-1] @ layers[-1] + biases[-1]
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    slope = (odds / odds.sum(axis=1, keepdims=True) - y) / len(x)
    for place in (2, 1, 0):
        back = slope @ layers[place].T * (seen[place] > 0)
        layers[place] -= rate * seen[place].T @ slope
        biases[place] -= rate * slope.sum(axis=0)
        slope = back


def session(updates, **terms):
    """A whole session; the outcome, and the relative L2 error of its mean."""
    clip = 1.001 * float(np.linalg.norm(updates, axis=1).max())
    task = Task(task_id="t", length=updates.shape[1], clip=clip, **terms)
    simulator = Simulator(silos=SILOS, task=task, seed=2)
    inputs = dict(zip(simulator.silos, updates, strict=True))
    outcome = simulator.run(Inputs(updates=inputs, weights={}))
    exact = updates.astype(np.float64).mean(axis=0)
    error = np.linalg.norm(outcome.mean - exact) / np.linalg.norm(exact)
    return outcome, float(error)


def test_the_updates_of_training_are_not_gaussian():
    update = trained()[0]
    assert len(update) == 66_762
    kurtosis = float((update**4).mean() / (update**2).mean() ** 2)
    assert kurtosis > 20
    assert abs(update).max() > 20 * np.sqrt((update**2).mean())


@pytest.mark.parametrize("updates", [gaussian, trained])
def test_two_bytes_a_parameter_give_the_mean_within_a_hundredth(updates):
    made = updates()
    outcome, error = session(made, rotation=True, bits=11)
    assert outcome.exact
    assert outcome.width == 16
    assert outcome.packed_bytes <= 2.1 * made.shape[1]
    assert error < 0.01


def test_without_a_rotation_so_few_bytes_give_less():
    made = trained()
    _, plain = session(made, bits=11)
    _, rotated = session(made, rotation=True, bits=11)
    assert plain > 5 * rotated
