"""The demo from beginning to end."""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.status import Status

from peers import model_file
from peers.demo import checks, clear, data, figure, plan, report, trainer
from peers.demo.processes import free_port
from peers.demo.report import Outcome
from peers.demo.stage import DemoError, Stage
from peers.demo.workplace import Workplace, prepare, terms_of
from peers.display import round_line
from peers.records import RoundReport
from secagg.tensors import Layout, flatten

LEARNING_RATES = {data.WDBC: 0.05, data.HEART: 0.01}
LIMIT_SECONDS = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the caller asked for.

    Attributes:
        kind: which data.
        data_folder: where the heart disease files are.
        rounds: how many.
        epsilon: the privacy budget; None for no noise.
        out: where the report goes.
        keep: where to keep everything the processes wrote; None to remove it.
    """

    kind: str
    data_folder: Path | None
    rounds: int
    epsilon: float | None
    out: Path
    keep: Path | None = None


def run(wish: Wish, console: Console) -> Outcome:
    """Run the demo, show it and write its report.

    Raises:
        ConfigError: the data or the number of rounds cannot be used.
        DemoError: the run broke off.
    """
    began = time.monotonic()
    study = data.study(wish.kind, wish.data_folder)
    terms = terms_of(study, rounds=wish.rounds, epsilon=wish.epsilon)
    script = plan.deaths(terms.hospitals, terms.rounds, terms.tolerated)
    folder = wish.keep or Path(tempfile.mkdtemp(prefix="secagg-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    place = Workplace(
        folder=folder,
        study=study,
        terms=terms,
        port=free_port(),
        learning_rate=LEARNING_RATES[wish.kind],
    )
    try:
        prepare(place)
        _announce(place, script, console)
        with console.status("starting one process for each") as status:
            reports, killed = _perform(place, script, console, status)
            status.update("averaging in the clear, and checking")
            outcome = _judged(place, reports, killed, began)
    finally:
        if wish.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    report.show(outcome, console)
    written = [*report.write(outcome, wish.out), figure.write(outcome, wish.out)]
    console.print()
    console.print(f"written: {', '.join(str(path) for path in written)}")
    return outcome


def _announce(
    place: Workplace, script: tuple[plan.Death, ...], console: Console
) -> None:
    terms = place.terms
    console.print(f"[bold]{place.study.title}[/]")
    for silo, patients in sorted(place.study.sites.items()):
        share = float(patients.labels.mean())
        console.print(
            f"  {silo:<12} {len(patients):>4} patients, {share:>4.0%}"
            f" {place.study.positive}"
        )
    console.print(
        f"{terms.rounds} rounds over mutual TLS, {terms.length:,} parameters, an"
        f" aggregator and {len(terms.hospitals)} hospitals, a process each; any"
        f" {terms.tolerated} may get lost"
    )
    for death in script:
        console.print(
            f"  round {death.round_no}: {death.hospital} is killed {death.point.value}"
        )


def _perform(
    place: Workplace,
    script: tuple[plan.Death, ...],
    console: Console,
    status: Status,
) -> tuple[tuple[RoundReport, ...], tuple[plan.Death, ...]]:
    reports: list[RoundReport] = []

    def reported(one: RoundReport) -> None:
        reports.append(one)
        console.print(round_line(one))
        status.update(f"round {one.round + 1} of {place.terms.rounds}")

    def told(text: str) -> None:
        console.print(f"[dim]{text}[/]")

    stage = Stage(place, script)
    stage.run(reported, told, limit_seconds=LIMIT_SECONDS)
    released = tuple(one for one in reports if one.status == "released")
    if len(released) != len(reports):
        lost = [one.round for one in reports if one.status != "released"]
        raise DemoError(f"rounds {lost} released no sum")
    return released, tuple(stage.killed)


def _judged(
    place: Workplace,
    reports: tuple[RoundReport, ...],
    killed: tuple[plan.Death, ...],
    began: float,
) -> Outcome:
    torch.set_num_threads(1)
    facts = [checks.facts_of(place, one) for one in reports]
    first = place.model(reports[0].model_before)
    apart = clear.run(
        place.study,
        place.terms,
        place.options,
        [one.sets["u3"] for one in reports],
        first,
    )
    accuracy = [_accuracy(place, reports[0].model_before)]
    accuracy += [_accuracy(place, one.model_after) for one in reports]
    last = model_file.load(place.model(reports[-1].model_after), model_file.TORCH)
    distance = abs(flatten(last, Layout.of(last)) - apart.model).max()
    return Outcome(
        study=place.study,
        terms=place.terms,
        reports=reports,
        accuracy=tuple(accuracy),
        clear=apart.accuracy,
        distance=float(distance),
        killed=killed,
        checks=checks.all_checks(place, facts, killed),
        seconds=time.monotonic() - began,
    )


def _accuracy(place: Workplace, digest: str) -> float:
    state = model_file.load(place.model(digest), model_file.TORCH)
    return trainer.accuracy(state, place.study.test)
