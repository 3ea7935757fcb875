"""The patients of the demo, divided among hospitals.

Two sets: the Wisconsin breast cancer data that ships with scikit-learn, divided here
unevenly and by diagnosis among six invented hospitals; and the UCI heart disease data
of four real ones. Each hospital's part goes into a file of its own.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from peers.toml_file import ConfigError

Features = NDArray[np.float32]
Labels = NDArray[np.float32]

WDBC: Final = "wdbc"
HEART: Final = "heart-disease"
KINDS: Final = (WDBC, HEART)

TEST_SHARE: Final = 0.2
"""Patients of the breast cancer data that no hospital has: they test the model."""

SITES: Final[Mapping[str, tuple[float, float]]] = {
    "coast": (0.28, 0.20),
    "harbour": (0.22, 0.60),
    "lake": (0.17, 0.25),
    "mountain": (0.14, 0.65),
    "river": (0.11, 0.15),
    "valley": (0.08, 0.50),
}
"""Invented hospitals: their share of the patients, and the share of malignant cases
they would like to have; the last takes what is left."""

HEART_FILES: Final[Mapping[str, str]] = {
    "budapest": "processed.hungarian.data",
    "cleveland": "processed.cleveland.data",
    "long-beach": "processed.va.data",
    "switzerland": "processed.switzerland.data",
}
HEART_TRAINING_SHARE: Final = 0.66

# Columns of the UCI files, after slope, ca and thal are dropped: numbers as they are,
# cp (1..4) and restecg (0..2) as indicators without their first level.
_AGE_TO_OLDPEAK: Final = 10
_CP, _RESTECG, _NUM = 2, 6, 13
_NUMERIC: Final = (0, 1, 3, 4, 5, 7, 8, 9)


@dataclass(frozen=True, slots=True)
class Patients:
    """Some patients: features (n, d) float32, labels (n,) float32 of 0 and 1."""

    features: Features
    labels: Labels

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.labels)

    def save(self, path: Path) -> None:
        """Write them to an .npz file."""
        np.savez(path, features=self.features, labels=self.labels)

    @classmethod
    def load(cls, path: Path) -> Patients:
        """Read what `save` wrote."""
        with np.load(path) as held:
            return cls(held["features"], held["labels"])


@dataclass(frozen=True, slots=True)
class Study:
    """Hospitals and their patients.

    Attributes:
        title: what it is, for people.
        positive: what label 1 means.
        sites: each hospital's training patients, by id.
        test: patients that no hospital trains on.
    """

    title: str
    positive: str
    sites: Mapping[str, Patients]
    test: Patients

    @property
    def width(self) -> int:
        """Features of a patient."""
        return int(self.test.features.shape[1])


def breast_cancer(seed: int = 0) -> Study:
    """Return the Wisconsin data, 569 patients: a fifth to test, the rest divided.

    Features are scaled by mean and deviation of the test patients, which stand for a
    reference that all hospitals share; so no hospital has to tell its own.
    """
    from sklearn.datasets import load_breast_cancer

    held = load_breast_cancer()
    labels = (1 - held.target).astype(np.float32)
    generator = np.random.default_rng(seed)
    test, training = _stratified(labels, TEST_SHARE, generator)
    reference = held.data[test]
    scaled = (held.data - reference.mean(axis=0)) / reference.std(axis=0)
    features = scaled.astype(np.float32)
    parts = _divide(training, labels, generator)
    return Study(
        title="Wisconsin breast cancer, 569 patients, six invented hospitals",
        positive="malignant",
        sites={
            site: Patients(features[rows], labels[rows]) for site, rows in parts.items()
        },
        test=Patients(features[test], labels[test]),
    )


def heart_disease(folder: Path, seed: int = 0) -> Study:
    """Return the UCI heart disease data of four hospitals, 740 patients.

    FLamby's rule: columns slope, ca and thal are dropped, then every row with a missing
    value; disease is num > 0; features are scaled by each hospital's training part.

    Args:
        folder: holds the four ``processed.*.data`` files.
        seed: of the division into training and test, 66 to 34.

    Raises:
        ConfigError: a file is not there, or is not what it should be.
    """
    generator = np.random.default_rng(seed)
    sites: dict[str, Patients] = {}
    tests: list[Patients] = []
    for site, name in HEART_FILES.items():
        features, labels = _read_heart(folder / name)
        training, test = _stratified(labels, HEART_TRAINING_SHARE, generator)
        scaled = _scaled(features, training)
        sites[site] = Patients(scaled[training], labels[training])
        tests.append(Patients(scaled[test], labels[test]))
    return Study(
        title="UCI heart disease, 740 patients, four real hospitals",
        positive="disease",
        sites=sites,
        test=Patients(
            np.concatenate([part.features for part in tests]),
            np.concatenate([part.labels for part in tests]),
        ),
    )


def study(kind: str, folder: Path | None) -> Study:
    """Return the study called `kind`, one of `KINDS`.

    Raises:
        ConfigError: an unknown kind, or files that are missing.
    """
    if kind == WDBC:
        return breast_cancer()
    if kind != HEART:
        raise ConfigError(f"--data {kind!r} is none of {', '.join(KINDS)}")
    if folder is None:
        raise ConfigError(
            "--data heart-disease needs --dir PATH, the folder of the four"
            " processed.*.data files of the UCI heart disease data"
        )
    return heart_disease(folder)


def _stratified(
    labels: Labels, share: float, generator: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the indices of a share of each class, and the rest."""
    first: list[NDArray[np.intp]] = []
    for value in (0, 1):
        rows = generator.permutation(np.flatnonzero(labels == value))
        first.append(rows[: round(share * len(rows))])
    chosen = np.sort(np.concatenate(first))
    rest = np.setdiff1d(np.arange(len(labels)), chosen)
    return chosen, rest


def _divide(
    training: NDArray[np.intp], labels: Labels, generator: np.random.Generator
) -> dict[str, NDArray[np.intp]]:
    """Divide the training patients as `SITES` says."""
    pools = {
        value: list(generator.permutation(training[labels[training] == value]))
        for value in (0, 1)
    }
    parts: dict[str, NDArray[np.intp]] = {}
    for site, (share, malignant) in SITES.items():
        size = round(share * len(training))
        wanted = round(malignant * size)
        rows = [*_take(pools[1], wanted), *_take(pools[0], size - wanted)]
        parts[site] = np.array(rows, dtype=np.intp)
    last = tuple(SITES)[-1]
    parts[last] = np.array([*parts[last], *pools[0], *pools[1]], dtype=np.intp)
    return {site: np.sort(rows) for site, rows in parts.items()}


def _take(pool: list[np.intp], count: int) -> list[np.intp]:
    taken, pool[:] = pool[:count], pool[count:]
    return taken


def _read_heart(path: Path) -> tuple[Features, Labels]:
    try:
        with path.open(encoding="ascii") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read ({error}): --dir is the folder of the files"
            f" {', '.join(HEART_FILES.values())}"
        ) from None
    kept = [row for row in rows if "?" not in (*row[:_AGE_TO_OLDPEAK], row[-1])]
    try:
        table = np.array(
            [[*map(float, row[:_AGE_TO_OLDPEAK]), float(row[_NUM])] for row in kept]
        )
    except (ValueError, IndexError):
        raise ConfigError(
            f"{path} is not one of the UCI files: no 14 numbers"
        ) from None
    if not len(table):
        raise ConfigError(f"{path} holds no complete patient")
    cp = [table[:, _CP] == level for level in (2, 3, 4)]
    restecg = [table[:, _RESTECG] == level for level in (1, 2)]
    features = np.column_stack([*table[:, _NUMERIC].T, *cp, *restecg])
    labels = table[:, -1] > 0
    return features.astype(np.float32), labels.astype(np.float32)


def _scaled(features: Features, training: NDArray[np.intp]) -> Features:
    mean = features[training].mean(axis=0)
    deviation = features[training].std(axis=0)
    # A column that is constant here, such as chol in Switzerland, says nothing.
    scaled: Features = (features - mean) / np.where(deviation > 0, deviation, 1)
    return scaled
