"""One round's training: the site's own code on a copy of the model, and its update."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import SupportsFloat

from peers import model_file, training
from peers.config_hospital import Training
from peers.training import RoundInfo, Trainer, TrainerError
from secagg import tensors
from secagg.engine import device_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What training gave, ready to be sent.

    Attributes:
        update: the difference of the models, float64, shape (m,); a tensor on the GPU
            if that masks it.
        weight: how much it counts.
        extras: the declared metrics as integers, by wire name.
        metrics: all that the trainer said, for the person at the terminal.
    """

    update: tensors.Tensor = field(repr=False)
    weight: int
    extras: dict[str, int]
    metrics: dict[str, float]


def fitted(
    blob: bytes, info: RoundInfo, train: Trainer, terms: Training, *, engine: str
) -> Trained:
    """Run the site's code on a copy of the model; return what is to be sent.

    Args:
        blob: the model, safetensors.
        info: what the trainer is told of the round.
        train: the site's function.
        terms: how the configuration has it called.
        engine: masks the update; on the GPU it is computed there.

    Raises:
        TrainerError: the site's code raised something.
        InputError: it returned what cannot be sent.
    """
    state = model_file.load(blob, terms.framework)
    try:
        returned = train(state, info)
    except BaseException as error:  # Also sys.exit(): this thread is not ours.
        raise TrainerError.of(error) from error
    result = training.checked(returned, terms.trainer)
    before = model_file.load(blob, terms.framework)
    layout = tensors.Layout.of(before, terms.frozen)
    return Trained(
        update=_difference(result.state_dict, before, layout, engine),
        weight=int(result.weight),
        extras=training.extras_of(result.metrics, terms.metrics),
        metrics=_floats(result.metrics),
    )


def _difference(
    new: tensors.State, old: tensors.State, layout: tensors.Layout, engine: str
) -> tensors.Tensor:
    """Return the update, on the GPU if the engine wants it there."""
    device = device_of(engine)
    if device is None:
        return tensors.difference(new, old, layout)
    return tensors.device_difference(new, old, layout, device)


def _floats(metrics: Mapping[str, SupportsFloat]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items()}
