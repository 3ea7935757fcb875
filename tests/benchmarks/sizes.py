"""Bytes on the wire, and what they buy: counted in whole sessions, not timed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from secagg.task import Task
from tests.benchmarks import real_updates
from tests.benchmarks.rows import Figure, Row, at_most
from tests.benchmarks.sessions import Plan, record, same_for_all


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much to measure.

    Attributes:
        silos, length: n and m of the session whose overhead is stated.
        rotated_silos, rotated_length: n and m of the sessions with a rotation.
        rotated_bits: b of these; 11 is the most for which 30 silos need no more than 16
            bits an element.
    """

    silos: int = 100
    length: int = 1_000_000
    rotated_silos: int = 30
    rotated_length: int = 1_000_000
    rotated_bits: int = 11


TOY = Sizes(silos=4, length=5_000, rotated_silos=4, rotated_length=5_000)


def run(sizes: Sizes) -> Iterator[Row]:
    """Return the rows."""
    yield _overhead(sizes)
    name, updates = real_updates.updates(sizes.rotated_silos, sizes.rotated_length)
    yield from _rotated(sizes, f"updates of a perceptron on {name}", updates)
    gaussian = np.random.default_rng(5).standard_normal(
        (sizes.rotated_silos, sizes.rotated_length), dtype=np.float32
    )
    yield from _rotated(sizes, "gaussian updates", gaussian)


def _overhead(sizes: Sizes) -> Row:
    """Return all that a hospital sends beside w bits an element."""
    task = Task(task_id="bench", length=sizes.length, clip=1.0)
    plan = Plan(silos=sizes.silos, task=task, update=same_for_all(sizes.length))
    found = record(plan)[0]
    width = found.server.params.width
    return Row(
        group="sizes",
        name=f"Bytes up beside w bits an element, n = {sizes.silos},"
        f" m = {sizes.length:,}",
        ours=Figure.exact(found.bytes_up),
        reference=Figure.exact(sizes.length * width / 8),
        unit="bytes",
        compare="share",
        goal=at_most(1.03),
        detail=f"w = {width}",
        headline=True,
        labels={"n": sizes.silos, "m": sizes.length},
    )


def _rotated(sizes: Sizes, name: str, updates: NDArray[np.float32]) -> Iterator[Row]:
    """Return bytes a parameter and the error of the mean, nothing clipped."""
    silos, length = updates.shape
    clip = 1.001 * float(np.linalg.norm(updates, axis=1).max())
    bits = sizes.rotated_bits
    task = Task(task_id="bench", length=length, clip=clip, bits=bits, rotation=True)
    found = record(Plan(silos=silos, task=task, update=lambda k: updates[k]))[0]
    mean = updates.mean(axis=0, dtype=np.float64)
    error = np.linalg.norm(found.mean - mean) / np.linalg.norm(mean)
    what = f"n = {silos}, m = {length:,}, {name}"
    said = f"b = {bits}, w = {found.server.params.width}"
    labels = {"n": silos, "m": length, "updates": name}
    yield Row(
        group="sizes",
        name=f"Bytes up a parameter with rotation, {what}",
        ours=Figure.exact(found.bytes_up / length),
        reference=Figure.exact(4.0),
        unit="B",
        compare="figure",
        goal=at_most(2.1),
        detail=f"{said}; float32 beside it",
        headline=True,
        labels=labels,
    )
    yield Row(
        group="sizes",
        name=f"Relative L2 error of the mean with rotation, {what}",
        ours=Figure.exact(float(error)),
        unit="",
        compare="figure",
        goal=at_most(0.01),
        detail=said,
        headline=True,
        labels=labels,
    )
