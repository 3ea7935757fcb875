"""The training code of the demo's hospitals: a small network, seeded by the round.

It is what a hospital would write itself: a function named in the configuration. All of
it is deterministic, so that federated averaging in the clear can be run beside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from peers.demo.data import Patients
from peers.training import RoundInfo, State, TrainResult

HIDDEN: Final = 320
"""Units of the two hidden layers: 112,961 parameters on 30 features."""

BATCH: Final = 16

MAX_LOSS: Final = 100.0
"""The range of the metric that rides along."""


def network(width: int) -> nn.Sequential:
    """Return the model: one logit for a patient of `width` features."""
    return nn.Sequential(
        nn.Linear(width, HIDDEN),
        nn.ReLU(),
        nn.Linear(HIDDEN, HIDDEN),
        nn.ReLU(),
        nn.Linear(HIDDEN, 1),
    )


def initial(width: int, seed: int = 0) -> State:
    """Return the first state of the model."""
    torch.manual_seed(seed)
    return dict(network(width).state_dict())


def train(state_dict: State, info: RoundInfo) -> TrainResult:
    """Train on this hospital's patients, whose file the options name."""
    torch.set_num_threads(1)
    return fitted(state_dict, info, Patients.load(Path(info.options["patients"])))


def fitted(state_dict: State, info: RoundInfo, patients: Patients) -> TrainResult:
    """Train from `state_dict` on `patients`; the same arguments give the same bits."""
    features = torch.from_numpy(patients.features)
    labels = torch.from_numpy(patients.labels)
    model = network(features.shape[1])
    model.load_state_dict(state_dict)
    loss_of = nn.BCEWithLogitsLoss()
    generator = torch.Generator().manual_seed(_seed(info))
    order = torch.randperm(len(labels), generator=generator)
    losses: list[float] = []
    for rows in torch.split(order, BATCH):
        loss = loss_of(model(features[rows]).squeeze(1), labels[rows])
        _step(model, loss, info.options["learning_rate"])
        losses.append(loss.item())
    mean_loss = min(sum(losses) / len(losses), MAX_LOSS)
    weight = min(len(labels), info.options["max_weight"])
    return TrainResult(model.state_dict(), weight, {"loss": mean_loss})


def _step(model: nn.Module, loss: torch.Tensor, rate: float) -> None:
    """Take a step of plain gradient descent."""
    # Written out: torch.optim loads its compiler first, seconds for six processes.
    parameters = list(model.parameters())
    gradients = torch.autograd.grad(loss, parameters)
    with torch.no_grad():
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.sub_(rate * gradient)


def accuracy(state_dict: Mapping[str, Any], patients: Patients) -> float:
    """Return the share of patients whose label the model says."""
    model = network(patients.features.shape[1])
    model.load_state_dict(dict(state_dict))
    with torch.no_grad():
        said = model(torch.from_numpy(patients.features)).squeeze(1) > 0
    right = said == (torch.from_numpy(patients.labels) > 0)
    return float(right.double().mean())


def _seed(info: RoundInfo) -> int:
    text = f"{info.task_id}/{info.silo}/{info.round_no}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")
