"""Scenarios: several rounds with scripted losses, returns, slowness and malice.

A scenario is a TOML file, or the same as a value::

    silos = 6
    params = 1000
    seed = 7

    [[round]]
    drop = { masked_input = ["silo-002"] }

    [[round]]
    away = ["silo-003"]
    slow = ["silo-004"]
    malice = { silo-005 = "garbage" }

A silo that dropped or was away is back in the next round, as a new process would be.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from secagg import errors
from secagg.names import PeerId, Round
from secagg.simulation.malice import check_malice
from secagg.simulation.measure import random_update
from secagg.simulation.session import Inputs, Simulated, Simulator, silent_from
from secagg.task import Task


@dataclass(frozen=True, kw_only=True)
class RoundScript:
    """What happens in one round.

    Attributes:
        drop: ids that fall silent, by the round of the protocol from which they do.
        away: ids that are not ready, and so not members.
        slow: ids whose statement comes too late for U3.
        malice: what a dishonest party does, by id (see `simulation.malice`).
    """

    drop: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    away: tuple[str, ...] = ()
    slow: tuple[str, ...] = ()
    malice: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A cohort and the rounds it plays."""

    silos: int
    params: int
    seed: int = 0
    bits: int = 16
    corruption_bound: int = 1
    rounds: tuple[RoundScript, ...] = ()

    @classmethod
    def load(cls, path: Path) -> Scenario:
        """Read a scenario from a TOML file.

        Raises:
            ParameterError: no such file, not TOML, or a key that means nothing.
        """
        try:
            raw = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise errors.ParameterError(f"{path}: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise errors.ParameterError(f"{path}: {error}") from None
        rounds = raw.pop("round", [])
        if not isinstance(rounds, list):
            raise errors.ParameterError(f"{path}: write rounds as [[round]] tables")
        scripts = tuple(_built(RoundScript, script, path) for script in rounds)
        scenario: Scenario = _built(cls, {**raw, "rounds": scripts}, path)
        return scenario


def _built(kind: type, values: Mapping[str, Any], path: Path) -> Any:
    known = {item.name for item in fields(kind)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise errors.ParameterError(
            f"{path}: unknown key {unknown[0]!r}; known: {', '.join(sorted(known))}"
        )
    try:
        return kind(**values)
    except TypeError as error:
        raise errors.ParameterError(f"{path}: {error}") from None


def play(scenario: Scenario) -> Iterator[Simulated]:
    """Run the rounds of a scenario, one after the other, and yield each outcome.

    Raises:
        ParameterError: the script names a silo, a round or a trick that is not there.
    """
    task = Task(
        task_id="scenario",
        length=scenario.params,
        clip=1.0,
        bits=scenario.bits,
        corruption_bound=scenario.corruption_bound,
    )
    simulator = Simulator(silos=scenario.silos, task=task, seed=scenario.seed)
    draw = np.random.default_rng(scenario.seed)
    for script in scenario.rounds:
        updates = {
            peer: random_update(draw, scenario.params) for peer in simulator.silos
        }
        yield _play_round(simulator, script, updates)


def _play_round(
    simulator: Simulator, script: RoundScript, updates: dict[PeerId, Any]
) -> Simulated:
    silos = simulator.silos
    _check_known(script, silos)
    places = {
        name: [silos.index(PeerId(peer)) for peer in peers]
        for name, peers in script.drop.items()
    }
    malice = {PeerId(peer): trick for peer, trick in script.malice.items()}
    check_malice(malice, simulator.aggregator)
    present = {peer: u for peer, u in updates.items() if peer not in script.away}
    silent: dict[PeerId, Round] = silent_from(places, silos)
    return simulator.run(
        Inputs(updates=present, weights={}),
        silent=silent,
        malice=malice,
        slow=tuple(PeerId(peer) for peer in script.slow),
    )


def _check_known(script: RoundScript, silos: tuple[PeerId, ...]) -> None:
    dropped = [peer for peers in script.drop.values() for peer in peers]
    named = {*dropped, *script.away, *script.slow}
    unknown = sorted(named - set(silos))
    if unknown:
        raise errors.ParameterError(
            f"no silo {unknown[0]!r}: they are called {silos[0]} to {silos[-1]}"
        )
