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
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

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
        except (ValueError, RecursionError) as error:
            # Among them text that is not UTF-8, and numbers of thousands of digits.
            raise errors.ParameterError(f"{path}: {error}") from None
        rounds = raw.pop("round", [])
        if not isinstance(rounds, list) or not all(isinstance(r, dict) for r in rounds):
            raise errors.ParameterError(f"{path}: write rounds as [[round]] tables")
        scripts = tuple(
            RoundScript(**_checked(script, _ROUND_KEYS, f"{path}, round {number}"))
            for number, script in enumerate(rounds, start=1)
        )
        given = _checked(raw, _KEYS, str(path))
        missing = [name for name in ("silos", "params") if name not in given]
        if missing:
            raise errors.ParameterError(f"{path}: the key {missing[0]!r} is missing")
        return cls(**given, rounds=scripts)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _are_drops(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_are_names, value.values()))


def _are_tricks(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(v, str) for v in value.values())


_Kind = tuple[Callable[[Any], bool], str]
_NUMBER: Final[_Kind] = (_is_number, "a whole number, without quotes")
_NAMES: Final[_Kind] = (_are_names, 'a list of ids, such as ["silo-003"]')
_KEYS: Final[Mapping[str, _Kind]] = dict.fromkeys(
    ("silos", "params", "seed", "bits", "corruption_bound"), _NUMBER
)
_ROUND_KEYS: Final[Mapping[str, _Kind]] = {
    "drop": (_are_drops, 'lists of ids, such as { masked_input = ["silo-002"] }'),
    "away": _NAMES,
    "slow": _NAMES,
    "malice": (_are_tricks, 'tricks by id, such as { silo-005 = "garbage" }'),
}


def _checked(
    values: Mapping[str, Any], kinds: Mapping[str, _Kind], where: str
) -> dict[str, Any]:
    """Return `values`, if each has a known key and is what the key wants.

    Raises:
        ParameterError: the first that is not.
    """
    for name, value in values.items():
        if name not in kinds:
            known = ", ".join(sorted(kinds))
            raise errors.ParameterError(
                f"{where}: unknown key {name!r}; known: {known}"
            )
        fits, wanted = kinds[name]
        if not fits(value):
            raise errors.ParameterError(
                f"{where}: {name} must be {wanted}, not {value!r}"
            )
    return dict(values)


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
    check_malice(malice, silos, simulator.aggregator)
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
