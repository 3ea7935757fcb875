"""Many silos in one process, over the production machines, with scripted losses.

Three ways in: `simulate` takes updates and returns their mean, `measure` takes sizes
and returns a report of survivors, exactness and cost, `play` runs a scenario of several
rounds. All are deterministic from the seed, but for the times.
"""

from __future__ import annotations

import operator
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from secagg import errors
from secagg.simulation.measure import Report, borne, measure
from secagg.simulation.scenario import Scenario, play
from secagg.simulation.session import Inputs, Simulated, Simulator, silent_from
from secagg.task import Task

__all__ = ["Report", "Scenario", "Simulated", "measure", "play", "simulate"]


def simulate(
    updates: Sequence[ArrayLike],
    *,
    drop: Mapping[str, Collection[int]] | None = None,
    weights: Sequence[int] | NDArray[np.integer[Any]] | None = None,
    seed: int = 0,
    corruption_bound: int | None = None,
    clip: float | None = None,
    bits: int = 16,
    unmasking: Executor | None = None,
    rotation: bool = False,
    graph: str = "auto",
    losses: int | None = None,
) -> Simulated:
    """Aggregate `updates` in this process, with losses, and return what came out.

    Args:
        updates: one array a silo, all of one shape; at least three silos.
        drop: silos that fall silent: round name to places in `updates`, such as
            ``{"masked_input": {3}}``; they say nothing from that round on.
        weights: whole numbers >= 1 for a weighted mean; None for a uniform one.
        seed: everything is derived from it.
        corruption_bound: c; by default 1 from four silos on, 0 for three. See `Task`.
        clip: C, the L2 norm updates are clipped to; by default the largest there is,
            so nothing is clipped.
        bits: b in 8..24.
        unmasking: an executor on which the masks of the lost are expanded.
        rotation: whether updates are rotated, so that fewer bits give the same error.
        graph: ``complete``, ``regular``, or ``auto``: regular above 150 silos.
        losses: silos that a regular graph may lose; None for a tenth, or all in `drop`.

    Returns:
        The session's outcome; its `mean` has the shape of one update.

    Raises:
        SessionAborted: too many silos fell silent; names who is missing.
        ReleaseRefused: the checks discarded the sum.
        InputError: there is no update, they differ in shape, or hold a NaN or an
            infinity; or the weights are not one whole number >= 1 for each.
        ParameterError: a parameter is out of its range.
    """
    arrays = [np.asarray(update, dtype=np.float64) for update in updates]
    shapes = {array.shape for array in arrays}
    if not arrays:
        raise errors.InputError("there are no updates: at least three silos need one")
    if len(shapes) != 1:
        raise errors.InputError(f"updates of different shapes: {sorted(shapes)}")
    flat = [array.ravel() for array in arrays]
    counts = None if weights is None else _counts(weights, len(flat))
    task = _task(flat, counts, corruption_bound=corruption_bound, clip=clip, bits=bits)
    dropped = sum(map(len, (drop or {}).values()))
    task = replace(task, graph=graph, losses=borne(losses, dropped, len(flat)))
    if rotation:
        task = replace(task, rotation=True, coordinate_range=None)
    simulator = Simulator(silos=len(flat), task=task, seed=seed, unmasking=unmasking)
    silos = simulator.silos
    inputs = Inputs(
        updates=dict(zip(silos, flat, strict=True)),
        weights=dict(zip(silos, counts or [1] * len(flat), strict=True)),
    )
    outcome = simulator.run(inputs, silent=silent_from(drop or {}, silos))
    return outcome.in_shape(arrays[0].shape)


def _task(
    flat: list[np.ndarray[tuple[int], np.dtype[np.float64]]],
    weights: Sequence[int] | None,
    *,
    corruption_bound: int | None,
    clip: float | None,
    bits: int,
) -> Task:
    """Return terms under which nothing is clipped or saturated, unless asked for."""
    largest = max(float(np.linalg.norm(array)) for array in flat)
    peak = max(float(np.abs(array).max(initial=0.0)) for array in flat)
    if not np.isfinite(largest):
        raise errors.InputError("an update holds a NaN or an infinity")
    norm = clip or 1.001 * largest or 1.0
    return Task(
        task_id="simulation",
        length=flat[0].size,
        clip=norm,
        coordinate_range=min(norm, peak or norm),
        bits=bits,
        weighting="uniform" if weights is None else "weighted",
        max_weight=1 if weights is None else max(weights),
        corruption_bound=_corruption(len(flat), corruption_bound),
    )


def _counts(weights: Sequence[int] | NDArray[np.integer[Any]], count: int) -> list[int]:
    """Return the weights as Python's integers, one for each of `count` silos."""
    try:
        counts = [operator.index(weight) for weight in weights]
    except TypeError:
        raise errors.InputError(
            f"weights = {weights!r}: whole numbers >= 1 are needed, one for each silo"
        ) from None
    if len(counts) != count:
        raise errors.InputError(f"{len(counts)} weights for {count} updates")
    if min(counts) < 1:
        raise errors.InputError(f"the weight {min(counts)} is below 1")
    return counts


def _corruption(count: int, asked: int | None) -> int:
    if asked is not None:
        return asked
    return 1 if count >= 4 else 0
