"""The site's own code and the optional packages that its configuration asks for."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from peers import task_terms
from peers.config_aggregator import AggregatorConfig
from peers.config_hospital import HospitalConfig
from peers.doctor.findings import Report
from peers.model_file import layout_of
from peers.model_store import CURRENT
from peers.training import load_function
from secagg import Task


def check_packages(report: Report, wanted: Iterable[tuple[str, str, str]]) -> None:
    """Check the packages that the configuration needs.

    Args:
        report: where to say it.
        wanted: package, extra that brings it, and the key that asks for it.
    """
    missing = [row for row in wanted if importlib.util.find_spec(row[0]) is None]
    for package, extra, key in missing:
        report.fail(
            "packages",
            f"{key} needs {package}, which is not installed: pip install"
            f" 'secagg[{extra}]'",
        )
    if not missing:
        report.ok("packages", "what the configuration asks for is installed")


def hospital_packages(config: HospitalConfig) -> list[tuple[str, str, str]]:
    """Return what a hospital's configuration needs, as `check_packages` takes it."""
    wanted = []
    if config.training.framework == "torch":
        wanted.append(("torch", "torch", 'training.framework = "torch"'))
    if config.engine == "numba-threads":
        wanted.append(("numba", "fast", 'engine = "numba-threads"'))
    if config.engine == "triton":
        wanted += [(name, "gpu", 'engine = "triton"') for name in ("torch", "triton")]
    return wanted


def aggregator_packages(config: AggregatorConfig) -> list[tuple[str, str, str]]:
    """Return what an aggregator's configuration needs, as `check_packages` takes it."""
    wanted = []
    if config.privacy is not None:
        wanted.append(("dp_accounting", "dp", "[privacy]"))
    if config.journal.database is not None:
        wanted.append(("psycopg", "postgres", "[journal] url"))
    if config.unmasking.dask is not None:
        wanted.append(("distributed", "dask", "[unmasking] dask"))
    return wanted


def check_trainer(report: Report, config: HospitalConfig, folder: Path) -> None:
    """Check that the trainer loads and takes what it will be given; it is not run."""
    name = config.training.trainer
    with report.checking("trainer"):
        function = load_function(name, folder)
        if _takes_two(function):
            report.ok("trainer", f"{name} loads and takes (state_dict, round_info)")
        else:
            report.fail(
                "trainer",
                f"{name}{inspect.signature(function)} cannot be called as"
                " train(state_dict, round_info): give it two positional parameters",
            )


def _takes_two(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind(object(), object())
    except TypeError:
        return False
    except ValueError:
        # A function of C need not say what it takes.
        return True
    return True


def check_model(report: Report, config: AggregatorConfig, folder: Path) -> Task | None:
    """Check the model and the terms of the task; nothing is stored."""
    with report.checking("model"):
        current = config.state / "model" / CURRENT
        begun = current.is_file()
        blob = current.read_bytes() if begun else task_terms.first_model(config, folder)
        task = task_terms.task_of(config, layout_of(blob, config.model.frozen))
        whence = "the current one" if begun else "the first one"
        report.ok("model", f"{whence} has {task.length:,} parameters in the sum")
        return task
    return None
