"""Federated averaging in the clear: what the demo's result is compared with.

Twice. Once over the very updates that the hospitals recorded, which gives a bound that
every parameter must meet; and once on its own, trained from the start with the same
losses, which gives the accuracy that secure aggregation should not change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from peers import model_file
from peers.demo import trainer
from peers.demo.data import Study
from peers.demo.recording import Recording
from peers.demo.terms import TASK_ID, Terms
from peers.training import RoundInfo, State
from secagg import tensors
from secagg.norm import l2_norm
from secagg.tensors import Layout

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ClearRun:
    """Federated averaging on its own.

    Attributes:
        accuracy: on the test patients, before the first round and after each.
        model: the final parameters, shape (m,).
    """

    accuracy: tuple[float, ...]
    model: Vector


def mean_update(recordings: Sequence[Recording], terms: Terms) -> Vector:
    """Return the exact mean of the clipped updates, shape (m,), in float64."""
    weights = np.array([recording.weight for recording in recordings], dtype=np.float64)
    clipped = [clip(recording.update, terms.clip) for recording in recordings]
    mean: Vector = np.average(clipped, axis=0, weights=weights)
    return mean


def clip(update: Vector, norm: float) -> Vector:
    """Return `update`, scaled down to L2 norm `norm` if it is longer."""
    length = l2_norm(update)
    return update if length <= norm else update * (norm / length)


def run(
    study: Study,
    terms: Terms,
    options: Mapping[str, float],
    included: Sequence[Sequence[str]],
    first: bytes,
) -> ClearRun:
    """Train from the first model on, each round with the hospitals of that round.

    Args:
        study: the patients.
        terms: clip norm and weights.
        options: of the trainer.
        included: U3 of each round.
        first: the first model's file.
    """
    state = model_file.load(first, model_file.TORCH)
    layout = Layout.of(state)
    accuracy = [trainer.accuracy(state, study.test)]
    for round_no, silos in enumerate(included, start=1):
        recordings = [
            _trained(study, state, layout, silo, round_no, options) for silo in silos
        ]
        vector = tensors.flatten(state, layout)
        vector += mean_update(recordings, terms)
        state = tensors.unflatten(vector, layout, like=state)
        accuracy.append(trainer.accuracy(state, study.test))
    return ClearRun(tuple(accuracy), np.asarray(tensors.flatten(state, layout)))


def _trained(
    study: Study,
    state: State,
    layout: Layout,
    silo: str,
    round_no: int,
    options: Mapping[str, float],
) -> Recording:
    info = RoundInfo(
        silo=silo, task_id=TASK_ID, round_no=round_no, model_hash="", options=options
    )
    result = trainer.fitted(state, info, study.sites[silo])
    update = tensors.difference(result.state_dict, state, layout)
    return Recording(
        update=update, x_u=np.zeros(0, np.int64), weight=int(result.weight), metrics={}
    )
