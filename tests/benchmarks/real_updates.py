"""Updates of a real model: what silos learn from their own images in one epoch.

A perceptron of about as many parameters as asked for is trained by every silo from one
start on its share of MNIST, and the update is what changed. MNIST is read where the
variable SECAGG_DATA says, or in ``../shared/data`` beside this checkout; where it is
not, the digits that come with scikit-learn take its place, and the rows say so.
"""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.results import ROOT

_CLASSES = 10
_RATE = 0.1
_BATCH = 100

Floats = NDArray[np.float32]


def images() -> tuple[str, Floats, NDArray[np.int64]]:
    """Return where they are from, the images as rows in 0..1, and their classes."""
    named = os.environ.get("SECAGG_DATA")
    folder = (Path(named) if named else ROOT.parent / "shared" / "data") / "mnist"
    if not folder.is_dir():
        from sklearn.datasets import load_digits

        digits = load_digits()
        rows = np.asarray(digits.data / 16, dtype=np.float32)
        classes = np.asarray(digits.target, dtype=np.int64)
        return "scikit-learn's digits, as MNIST is not here", rows, classes
    pixels = _idx(folder / "train-images-idx3-ubyte.gz", 16).reshape(-1, 28 * 28)
    labels = _idx(folder / "train-labels-idx1-ubyte.gz", 8)
    scaled = np.divide(pixels, 255, dtype=np.float32)
    return "MNIST", scaled, labels.astype(np.int64)


def updates(silos: int, length: int) -> tuple[str, Floats]:
    """Return what the silos learned from, and their updates, shape (silos, m).

    Args:
        silos: n.
        length: the parameters that are wanted; m is the nearest below.
    """
    name, rows, classes = images()
    inputs = rows.shape[1]
    hidden = max(1, (length - _CLASSES) // (inputs + 1 + _CLASSES))
    draw = np.random.default_rng(11)
    order = draw.permutation(len(rows))
    start = [
        draw.standard_normal((inputs, hidden), dtype=np.float32) / inputs**0.5,
        np.zeros(hidden, np.float32),
        draw.standard_normal((hidden, _CLASSES), dtype=np.float32) / hidden**0.5,
        np.zeros(_CLASSES, np.float32),
    ]
    learned = [
        _epoch(start, rows[mine], classes[mine])
        for mine in np.array_split(order, silos)
    ]
    return name, np.stack(learned)


def _epoch(start: list[Floats], rows: Floats, classes: NDArray[np.int64]) -> Floats:
    """Return the change after one pass of gradient descent in small batches."""
    first, bias, second, offset = (part.copy() for part in start)
    for low in range(0, len(rows), _BATCH):
        seen, right = rows[low : low + _BATCH], classes[low : low + _BATCH]
        active = np.maximum(seen @ first + bias, 0)
        logits = active @ second + offset
        guess = np.exp(logits - logits.max(axis=1, keepdims=True))
        guess /= guess.sum(axis=1, keepdims=True)
        guess[np.arange(len(seen)), right] -= 1
        guess *= _RATE / len(seen)
        back = (guess @ second.T) * (active > 0)
        second -= active.T @ guess
        offset -= guess.sum(axis=0)
        first -= seen.T @ back
        bias -= back.sum(axis=0)
    after = (first, bias, second, offset)
    changes = [(b - a).ravel() for a, b in zip(start, after, strict=True)]
    return np.concatenate(changes)


def _idx(file: Path, head: int) -> NDArray[np.uint8]:
    with gzip.open(file) as packed:
        return np.frombuffer(packed.read()[head:], dtype=np.uint8)
