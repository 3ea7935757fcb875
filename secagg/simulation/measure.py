"""What a session of a given size costs, and whether its sum was exact."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from secagg import errors
from secagg.cohort import LOSS_ROUNDS
from secagg.names import PeerId, Round
from secagg.simulation.meter import peak_rss_mib
from secagg.simulation.session import Inputs, Simulated, Simulator
from secagg.task import LOSSES_SHARE, Task


@dataclass(frozen=True, kw_only=True)
class Report:
    """One simulated session in numbers.

    Attributes:
        silos, params, bits, seed: what was asked for.
        graph: ``complete`` or ``regular``.
        neighbours: k, with whom each silo shares masks and secrets.
        drop: silos silent from a round on, by round.
        width: bits per element on the wire.
        u1, u2, u3, u4, u5: sizes of the survivor sets.
        completed: whether a sum came out; if not, `abort_code` and `missing` say why.
        exact: whether the opened integer sum equals the plain one over U3.
        max_abs_error: of the mean beside the plain float mean over U3.
        error_bound: what that cannot exceed.
        client_seconds_median, client_seconds_max: over the silos of U3.
        server_seconds: of the aggregator.
        bytes_up_per_client, bytes_down_per_client: medians over the silos of U3.
        bytes_up_by_round, bytes_down_by_round: the same, by round.
        overhead: bytes up beyond the packed vector, as a share of it; None if aborted.
        peak_rss_mib: of this process, which holds every silo at once.
    """

    silos: int
    params: int
    bits: int
    seed: int
    graph: str
    neighbours: int
    drop: Mapping[str, int]
    width: int
    u1: int
    u2: int
    u3: int
    u4: int
    u5: int
    completed: bool
    abort_code: str | None
    missing: tuple[str, ...]
    exact: bool
    max_abs_error: float | None
    error_bound: float | None
    client_seconds_median: float
    client_seconds_max: float
    server_seconds: float
    bytes_up_per_client: int
    bytes_down_per_client: int
    bytes_up_by_round: Mapping[str, int]
    bytes_down_by_round: Mapping[str, int]
    overhead: float | None
    peak_rss_mib: float

    def row(self) -> dict[str, Any]:
        """Return the report as plain values, for JSON and CSV."""
        return asdict(self)


def measure(
    *,
    silos: int,
    params: int,
    drop: Mapping[str, int] | None = None,
    seed: int = 0,
    bits: int = 16,
    rotation: bool = False,
    corruption_bound: int | None = None,
    unmasking: Executor | None = None,
    graph: str = "auto",
    losses: int | None = None,
) -> Report:
    """Run one session of random updates and report what it cost.

    Args:
        silos: n, at least 3.
        params: m.
        drop: how many silos fall silent, by the round from which they do.
        graph: ``complete``, ``regular``, or ``auto``: regular above 150 silos.
        losses: silos that a regular graph may lose; None for a tenth, or all in `drop`.
        seed: everything but the times follows from it.
        bits: b in 8..24.
        rotation: whether updates are rotated, so that fewer bits give the same error.
        corruption_bound: c; by default 1 from four silos on, and as for `Task`.
        unmasking: an executor on which the masks of the lost are expanded.

    Raises:
        ParameterError: a size is out of range, or more silos drop than there are.
    """
    drop = dict(drop or {})
    if silos < 3 or params < 1:
        raise errors.ParameterError(
            f"silos = {silos}, params = {params}: need 3 silos and 1 parameter or more"
        )
    default = 1 if silos >= 4 else 0
    task = Task(
        task_id="simulation",
        length=params,
        clip=1.0,
        bits=bits,
        rotation=rotation,
        corruption_bound=default if corruption_bound is None else corruption_bound,
        graph=graph,
        losses=borne(losses, sum(drop.values()), silos),
    )
    simulator = Simulator(silos=silos, task=task, seed=seed, unmasking=unmasking)
    draw = np.random.default_rng(seed)
    updates = {peer: random_update(draw, params) for peer in simulator.silos}
    silent = chosen(drop, simulator.silos, draw)
    outcome = simulator.run(Inputs(updates=updates, weights={}), silent=silent)
    return _report(outcome, task=task, silos=silos, drop=drop, seed=seed)


def borne(losses: int | None, dropped: int, silos: int) -> int:
    """Return d of a regular graph: as asked, else a tenth, or all that will drop."""
    return max(silos // LOSSES_SHARE, dropped) if losses is None else losses


def random_update(draw: np.random.Generator, length: int) -> np.ndarray[Any, Any]:
    """Return a gaussian update of L2 norm 1/2, float32, shape (length,).

    Half the memory of float64: a thousand silos of a million parameters hold 4 GB.
    """
    update = draw.standard_normal(length, dtype=np.float32)
    update *= np.float32(0.5 / max(float(np.linalg.norm(update)), 1e-12))
    return update


def chosen(
    drop: Mapping[str, int], silos: tuple[PeerId, ...], draw: np.random.Generator
) -> dict[PeerId, Round]:
    """Choose at random who falls silent from which round on.

    Raises:
        ParameterError: no such round, or more silos than there are.
    """
    names = [round_.value for round_ in LOSS_ROUNDS]
    unknown = sorted(set(drop) - set(names))
    total = sum(drop.values())
    if unknown or total > len(silos) or min(drop.values(), default=0) < 0:
        raise errors.ParameterError(
            f"drop {dict(drop)}: rounds are {', '.join(names)}, and at most "
            f"{len(silos)} silos can fall silent"
        )
    order = iter(draw.permutation(len(silos)))
    return {
        silos[int(next(order))]: Round(name)
        for name in names
        for _ in range(drop.get(name, 0))
    }


def _report(
    outcome: Simulated, *, task: Task, silos: int, drop: dict[str, int], seed: int
) -> Report:
    meter, u3 = outcome.meter, outcome.sets["u3"] or outcome.sets["u0"]
    seconds = [meter.seconds[peer] for peer in u3]
    up, down = _median(meter.up, u3), _median(meter.down, u3)
    sizes = {name: len(outcome.sets[name]) for name in ("u1", "u2", "u3", "u4", "u5")}
    aborted = outcome.aborted
    packed = outcome.packed_bytes
    return Report(
        silos=silos,
        params=task.length,
        bits=task.bits,
        seed=seed,
        graph=outcome.graph,
        neighbours=outcome.neighbours,
        drop=drop,
        width=outcome.width,
        **sizes,
        completed=aborted is None,
        abort_code=None if aborted is None else aborted.code,
        missing=() if aborted is None else aborted.missing,
        exact=outcome.exact,
        max_abs_error=outcome.max_abs_error if outcome.released else None,
        error_bound=outcome.error_bound if outcome.released else None,
        client_seconds_median=statistics.median(seconds),
        client_seconds_max=max(seconds),
        server_seconds=meter.seconds[PeerId("aggregator")],
        bytes_up_per_client=sum(up.values()),
        bytes_down_per_client=sum(down.values()),
        bytes_up_by_round=up,
        bytes_down_by_round=down,
        overhead=sum(up.values()) / packed - 1 if aborted is None else None,
        peak_rss_mib=round(peak_rss_mib(), 1),
    )


def _median(
    counted: Mapping[PeerId, Mapping[str, int]], peers: tuple[PeerId, ...]
) -> dict[str, int]:
    rounds = [round_.value for round_ in Round]
    rows = [counted.get(peer, {}) for peer in peers]
    medians = {
        name: int(statistics.median(row.get(name, 0) for row in rows))
        for name in rounds
    }
    return {name: size for name, size in medians.items() if size}
