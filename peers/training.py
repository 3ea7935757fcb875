"""A hospital's own training code: what it is given, what it returns, how it is found.

It is a function ``train(state_dict, round_info) -> TrainResult``, named in the
configuration as ``module:function``. It gets the global model and returns its own; what
is sent, and how it is protected, is not its business.
"""

from __future__ import annotations

import difflib
import importlib
import math
import operator
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, SupportsFloat, SupportsIndex, TypeAlias

from peers.config_sections import Metric
from peers.toml_file import ConfigError
from secagg import errors

State: TypeAlias = dict[str, Any]


class TrainerError(errors.SecaggError):
    """The user's training code failed.

    Attributes:
        place: file, line and function of the user's code, for a log.
    """

    def __init__(self, detail: str, *, place: str = "") -> None:
        """Record what happened, and where."""
        self.place = place
        super().__init__(detail)

    @classmethod
    def of(cls, error: BaseException) -> Self:
        """Return what an exception of the user's code comes to."""
        return cls(f"{type(error).__name__}: {error}", place=place_of(error))


def place_of(error: BaseException) -> str:
    """Return where `error` was raised: file, line and function; no values."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return "unknown"
    last = frames[-1]
    return f"{Path(last.filename).name}, line {last.lineno}, in {last.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundInfo:
    """What a trainer is told of the round.

    Attributes:
        silo: the id of this hospital.
        task_id: the task.
        round_no: its round, from 1.
        model_hash: SHA-256 of the global model's file, as hexadecimal digits.
        options: the table ``[training.options]`` of the configuration.
    """

    silo: str
    task_id: str
    round_no: int
    model_hash: str
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a trainer returns.

    Attributes:
        state_dict: the model after training, of the names and shapes it was given.
        weight: how much it counts, such as the number of patients; 1 to the task's
            largest weight, and 1 if the task's weighting is uniform.
        metrics: numbers by name. Those that the configuration declares are summed with
            the update, exactly and unseen by anyone; all are shown at the terminal of
            this hospital, and none is logged.
    """

    state_dict: Mapping[str, Any]
    weight: SupportsIndex = 1
    metrics: Mapping[str, SupportsFloat] = field(default_factory=dict)


Trainer: TypeAlias = Callable[[State, RoundInfo], TrainResult]


def load_function(entry_point: str, folder: Path) -> Callable[..., Any]:
    """Return the function that ``module:function`` names.

    Args:
        entry_point: as in the configuration.
        folder: where modules are looked for first, that of the configuration.

    Raises:
        ConfigError: no such module or function, or its code does not load.
    """
    module_name, _, name = entry_point.partition(":")
    place = str(folder.absolute())
    if place not in sys.path:
        sys.path.insert(0, place)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and module_name.startswith(error.name):
            raise ConfigError(_no_module(module_name, folder)) from None
        raise ConfigError(_broken(module_name, error)) from error
    except (Exception, SystemExit) as error:  # The user's code may raise anything.
        raise ConfigError(_broken(module_name, error)) from error
    found = getattr(module, name, None)
    if not callable(found):
        raise ConfigError(_no_function(module_name, name, vars(module)))
    function: Callable[..., Any] = found
    return function


def checked(result: Any, entry_point: str) -> TrainResult:
    """Return what a trainer returned, if it is what it must be.

    Raises:
        InputError: it is not; names what is wrong.
    """
    if not isinstance(result, TrainResult):
        raise errors.InputError(
            f"{entry_point} returned a {type(result).__name__}, not a TrainResult:"
            " return TrainResult(state_dict, weight, metrics)"
        )
    if not isinstance(result.state_dict, Mapping):
        raise errors.InputError(
            f"{entry_point}: state_dict is a {type(result.state_dict).__name__}, not a"
            " mapping from names to tensors"
        )
    if isinstance(result.weight, bool) or not _is_integer(result.weight):
        raise errors.InputError(
            f"{entry_point}: weight = {result.weight!r} is not an integer"
        )
    if not isinstance(result.metrics, Mapping):
        raise errors.InputError(
            f"{entry_point}: metrics is a {type(result.metrics).__name__}, not a"
            " mapping from names to numbers"
        )
    for name, value in result.metrics.items():
        _check_number(entry_point, name, value)
    return result


def _check_number(entry_point: str, name: str, value: Any) -> None:
    try:
        float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise errors.InputError(
            f"{entry_point}: metric {name!r} is no number, but {value!r}"
        ) from error


def extras_of(
    metrics: Mapping[str, SupportsFloat], declared: Iterable[Metric]
) -> dict[str, int]:
    """Return the declared metrics as the integers that are summed, by wire name.

    Raises:
        InputError: a declared metric is missing, or not a finite number.
    """
    return {metric.wire_name: _fixed(metrics, metric) for metric in declared}


def _fixed(metrics: Mapping[str, SupportsFloat], metric: Metric) -> int:
    if metric.name not in metrics:
        raise errors.InputError(
            f"the trainer returned no metric {metric.name!r}, which the configuration"
            f" declares; it returned: {', '.join(sorted(metrics)) or 'none'}"
        )
    value: Any = metrics[metric.name]
    if _is_integer(value):
        return operator.index(value) * metric.scale
    real = float(value)
    if not math.isfinite(real):
        raise errors.InputError(f"metric {metric.name!r} is {real}")
    return round(real * metric.scale)


def _is_integer(value: Any) -> bool:
    """Tell an int, also numpy's, from a float."""
    return hasattr(value, "__index__")


def _no_module(module_name: str, folder: Path) -> str:
    known = [path.stem for path in folder.glob("*.py")]
    near = difflib.get_close_matches(module_name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return (
        f"there is no module {module_name!r} in {folder.absolute()} nor among the"
        f" installed packages{hint}"
    )


def _no_function(module_name: str, name: str, found: Mapping[str, Any]) -> str:
    known = sorted(
        key for key, value in found.items() if callable(value) and key[0] != "_"
    )
    return (
        f"module {module_name!r} has no function {name!r}; it has:"
        f" {', '.join(known) or 'none'}"
    )


def _broken(module_name: str, error: BaseException) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"module {module_name!r} does not load: {type(error).__name__}: {error}"
        f" ({Path(last.filename).name}, line {last.lineno})"
    )
