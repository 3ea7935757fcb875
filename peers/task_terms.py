"""From the aggregator's configuration to the library's terms and the first model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from peers import model_file, spending
from peers.config_aggregator import AggregatorConfig, TaskTerms
from peers.membership import Membership
from peers.toml_file import ConfigError
from peers.training import load_function
from secagg import Budget, Extra, NoiseTerms, Task
from secagg.names import PeerId
from secagg.sensitivity import Adjacency, sensitivity_squared
from secagg.tensors import Layout

NOISE_SHARE: Final = 0.1
"""The noise's sigma on an extra, as a share of the widest sum that min_members give."""


def task_of(config: AggregatorConfig, layout: Layout) -> Task:
    """Return the task as the library has it.

    Args:
        config: the checked configuration.
        layout: of the global model.

    Raises:
        ConfigError: the noise would drown an extra; gives the numbers.
        InputError: a range is for a tensor that the model has not; names those it has.
        ParameterError: a term is out of its range.
    """
    terms, privacy = config.task, config.privacy
    noise = None
    if privacy is not None:
        noise = NoiseTerms(
            mechanism=spending.MECHANISM,
            noise_multiplier=privacy.noise_multiplier,
            adjacency=privacy.adjacency,
            delta=privacy.delta,
        )
    ranges = None
    if terms.ranges:
        default = terms.coordinate_range or terms.clip
        ranges = layout.ranges(terms.ranges, default)
    task = Task(
        task_id=terms.id,
        length=layout.size,
        clip=terms.clip,
        coordinate_range=None if ranges else terms.coordinate_range,
        ranges=ranges,
        rotation=terms.rotation,
        bits=terms.bits,
        weighting=terms.weighting,
        max_weight=terms.max_weight,
        extras=_extras(terms),
        corruption_bound=terms.corruption_bound,
        chunk_log2=terms.chunk_log2,
        dp=noise,
        durations=terms.durations.milliseconds,
        graph=terms.graph,
        losses=terms.losses,
    )
    _check_extras(task, noise, terms.min_members)
    return task


def _check_extras(task: Task, noise: NoiseTerms | None, least: int) -> None:
    """Refuse extras whose sums the noise would drown: all coordinates get the same."""
    if noise is None or not task.extras:
        return
    sigma = _sigma(task, noise)
    for extra in task.extras:
        widest = least * (extra.high - extra.low)
        if sigma > NOISE_SHARE * widest:
            raise ConfigError(
                f"[[task.extras]] {extra.name}: the noise of [privacy] has sigma ="
                f" {sigma:.3g} on every number, and the sum of {least} hospitals spans"
                f" {widest}: more than a tenth of it would be noise: take the extra"
                " out of the task"
            )


def _sigma(task: Task, noise: NoiseTerms) -> float:
    """Return the standard deviation of the noise, in units of the sum (spec 10-2)."""
    spans = [extra.high - extra.low for extra in task.extras]
    delta_int, adjacency = task.scale.delta_int, Adjacency(noise.adjacency)
    squared = sensitivity_squared(delta_int, spans, adjacency)
    return noise.noise_multiplier * math.sqrt(squared)


def _extras(terms: TaskTerms) -> tuple[Extra, ...]:
    return tuple(
        Extra(
            name=extra.wire_name,
            low=round(extra.low * extra.scale),
            high=round(extra.high * extra.scale),
        )
        for extra in terms.extras
    )


def expected_of(config: AggregatorConfig, member: Membership) -> list[PeerId] | None:
    """Return whose Ready opens a session at once; None for every hospital.

    Raises:
        ConfigError: a name is no hospital of the roster.
    """
    names = config.task.expected
    if names is None:
        return None
    hospitals = member.roster.hospitals
    strangers = sorted(set(names) - set(hospitals))
    if strangers:
        raise ConfigError(
            f"[task] expected names {', '.join(strangers)}, no hospital of version"
            f" {member.roster.version} of the roster, which has {', '.join(hospitals)}"
        )
    return [PeerId(name) for name in names]


def budget_of(config: AggregatorConfig) -> Budget | None:
    """Return what the task may spend; None without noise."""
    privacy = config.privacy
    if privacy is None:
        return None
    return Budget(epsilon=privacy.epsilon, delta=privacy.delta)


def origin_of(config: AggregatorConfig) -> str:
    """Return where the first model comes from: the hash of its file, or the factory."""
    terms = config.model
    if terms.path is None:
        return f"the factory {terms.factory}"
    digest = model_file.model_hash(terms.path.read_bytes()).hex()
    return f"a file of SHA-256 {digest}"


def first_model(config: AggregatorConfig, folder: Path) -> bytes:
    """Return the bytes of the first model, from its file or its factory.

    Args:
        config: the checked configuration.
        folder: where the factory's module is looked for.

    Raises:
        ConfigError: the factory cannot be used.
        InputError: the model cannot be aggregated; names the tensor.
    """
    terms = config.model
    if terms.path is not None:
        blob = terms.path.read_bytes()
    else:
        blob = _made(terms.factory or "", folder)
    # Now, before it is stored: a model that cannot be summed never becomes the first.
    model_file.layout_of(blob, terms.frozen)
    return blob


def _made(factory: str, folder: Path) -> bytes:
    made: Any = load_function(factory, folder)()
    if not isinstance(made, Mapping):
        raise ConfigError(
            f"[model] factory {factory} returned a {type(made).__name__}, not a"
            " state_dict"
        )
    return model_file.save(made)
