"""What a hospital of the demo writes down to prove the sums: its own x_u, in clear.

A real hospital never does this; nothing of the library does. The recorder hands out the
entropy, so it knows the session's rounding key, and makes x_u once more from that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from peers.demo.terms import Terms
from peers.training import RoundInfo, State, Trainer, TrainResult
from secagg import RoundRecord, tensors
from secagg.crypto import transcript
from secagg.drivers.progress import Progress, SessionBegan
from secagg.entropy import SystemEntropy
from secagg.field import centre, prime
from secagg.names import SessionId
from secagg.quantize import QuantizedUpdate

_ROUNDING: Final = "round"
_P: Final = prime(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One hospital's input to one session.

    Attributes:
        update: as trained, float64, shape (m,).
        x_u: as sent under the mask, int64, shape (m,).
        weight: how much it counts.
        metrics: what the trainer said.
    """

    update: NDArray[np.float64]
    x_u: NDArray[np.int64]
    weight: int
    metrics: Mapping[str, float]


class RecordingEntropy(SystemEntropy):
    """The system's entropy, with the last rounding seed kept."""

    def __init__(self) -> None:
        """Begin with no seed."""
        self.seed = b""

    def draw(self, label: str, size: int) -> bytes:
        """Return fresh bytes."""
        drawn = super().draw(label, size)
        if label == _ROUNDING:
            self.seed = drawn
        return drawn


class Recorder:
    """Writes one hospital's inputs, and the means it is given."""

    def __init__(self, folder: Path, silo: str, terms: Terms, train: Trainer) -> None:
        """Write below `folder`; wrap the trainer.

        Args:
            folder: shared by the demo's hospitals.
            silo: whose recordings these are.
            terms: the task's.
            train: the hospital's trainer.
        """
        self.entropy = RecordingEntropy()
        self._folder = folder
        self._silo = silo
        self._terms = terms
        self._trainer = train
        self._update: NDArray[np.float64] = np.zeros(0)
        self._result: TrainResult | None = None

    def train(self, state_dict: State, info: RoundInfo) -> TrainResult:
        """Train, and remember the update."""
        before = {name: tensor.clone() for name, tensor in state_dict.items()}
        result = self._trainer(state_dict, info)
        layout = tensors.Layout.of(before)
        self._update = tensors.difference(result.state_dict, before, layout)
        self._result = result
        return result

    def observe(self, event: Progress) -> None:
        """Write x_u down when a session of this hospital begins."""
        if isinstance(event, SessionBegan) and self._result is not None:
            weight = int(self._result.weight)
            x_u = self._quantized(event.sid, weight)
            metrics: dict[str, Any] = dict(self._result.metrics)
            path = input_path(self._folder, event.sid.hex(), self._silo)
            _write(path, update=self._update, x_u=x_u, weight=weight, **metrics)

    def received(self, record: RoundRecord, mean: NDArray[np.float64]) -> None:
        """Write down what this hospital was given."""
        path = mean_path(self._folder, record.sid.hex(), self._silo)
        sums: dict[str, Any] = dict(record.result.extras)
        _write(path, mean=mean, **sums)

    def _quantized(self, sid: SessionId, weight: int) -> NDArray[np.int64]:
        quantized = QuantizedUpdate(
            self._update,
            self._terms.scale,
            weight=weight / self._terms.max_weight,
            rounding_key=transcript.rounding_key(sid, self.entropy.seed),
        )
        return centre(quantized.chunk(0, self._terms.length, _P), _P)


def input_path(folder: Path, session: str, silo: str) -> Path:
    """Return where a hospital's input to a session is written."""
    return folder / f"{session[:16]}.{silo}.input.npz"


def mean_path(folder: Path, session: str, silo: str) -> Path:
    """Return where the mean that a hospital was given is written."""
    return folder / f"{session[:16]}.{silo}.mean.npz"


def read_input(folder: Path, session: str, silo: str) -> Recording:
    """Return a hospital's input to a session."""
    with np.load(input_path(folder, session, silo)) as held:
        values = dict(held)
    return Recording(
        update=values.pop("update"),
        x_u=values.pop("x_u"),
        weight=int(values.pop("weight")),
        metrics={name: float(value) for name, value in values.items()},
    )


def read_means(
    folder: Path, session: str, silos: tuple[str, ...]
) -> dict[str, tuple[NDArray[np.float64], dict[str, int]]]:
    """Return, by hospital, the mean it was given and the sums of the extras."""
    found = {}
    for silo in silos:
        path = mean_path(folder, session, silo)
        if not path.exists():
            continue
        with np.load(path) as held:
            values = dict(held)
        mean = values.pop("mean")
        found[silo] = (mean, {name: int(value) for name, value in values.items()})
    return found


def _write(path: Path, **values: Any) -> None:
    """Write a file whole or not at all: its writer may be killed."""
    beside = path.with_suffix(".part.npz")
    np.savez(beside, **values)
    beside.replace(path)
