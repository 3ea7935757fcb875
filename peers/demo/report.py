"""What the demo leaves behind: a table on the screen, JSON and CSV in a folder."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table

from peers.demo.checks import Check
from peers.demo.data import Study
from peers.demo.plan import Death
from peers.demo.terms import Terms
from peers.records import RoundReport

PHASES: Final = {
    "advertise_keys": "keys",
    "share_keys": "share",
    "share_ack": "ack",
    "masked_input": "input",
    "consistency": "vote",
    "unmasking": "unmask",
    "opening": "open",
}
"""The phases of a session, and what the table calls them."""

LOST_IN: Final = {
    "advertise_keys": "before keys were sent",
    "share_keys": "before sharing keys",
    "masked_input": "masked input half sent",
    "consistency": "after its input",
    "unmasking": "after its input",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Everything that a run came to.

    Attributes:
        study: the patients.
        terms: the task's.
        reports: of the rounds that have a Result, in order.
        accuracy: on the test patients, before the first round and after each.
        clear: the same, of federated averaging in the clear.
        distance: the largest difference of a parameter from that run's model.
        killed: who was killed where.
        checks: what was checked.
        seconds: of the whole run.
    """

    study: Study
    terms: Terms
    reports: tuple[RoundReport, ...]
    accuracy: tuple[float, ...]
    clear: tuple[float, ...]
    distance: float
    killed: tuple[Death, ...]
    checks: tuple[Check, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether every check holds."""
        return all(check.passed for check in self.checks)


def show(outcome: Outcome, console: Console) -> None:
    """Print the rounds, what they cost, the comparison and the checks."""
    console.print()
    console.print(f"[bold]{outcome.study.title}[/]")
    console.print(_part_table(outcome))
    console.print("[bold]Seconds of each phase, KiB of a hospital that stayed[/]")
    console.print(_cost_table(outcome))
    _print_comparison(outcome, console)
    console.print()
    for check in outcome.checks:
        mark = "[green]holds[/]" if check.passed else "[bold red]FAILS[/]"
        console.print(f"{mark}  {check.name}: {check.found}")


def write(outcome: Outcome, folder: Path) -> tuple[Path, Path]:
    """Write the JSON and the CSV, and return where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    json_path, csv_path = folder / "report.json", folder / "rounds.csv"
    json_path.write_text(
        json.dumps(as_json(outcome), indent=2) + "\n", encoding="utf-8"
    )
    with csv_path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(_row(outcome, 0)))
        writer.writeheader()
        for number in range(len(outcome.reports)):
            writer.writerow(_row(outcome, number))
    return json_path, csv_path


def as_json(outcome: Outcome) -> dict[str, Any]:
    """Return the outcome as plain values."""
    study = outcome.study
    return {
        "study": study.title,
        "hospitals": {
            silo: {
                "patients": len(patients),
                study.positive: int(patients.labels.sum()),
            }
            for silo, patients in sorted(study.sites.items())
        },
        "test_patients": len(study.test),
        "terms": {**asdict(outcome.terms), "weighting": outcome.terms.weighting},
        "killed": [asdict(death) for death in outcome.killed],
        "accuracy": list(outcome.accuracy),
        "accuracy_in_the_clear": list(outcome.clear),
        "largest_difference_from_the_clear_run": outcome.distance,
        "rounds": [asdict(report) for report in outcome.reports],
        "checks": [asdict(check) for check in outcome.checks],
        "passed": outcome.passed,
        "seconds": round(outcome.seconds, 2),
    }


def bytes_up(report: RoundReport) -> int:
    """Return the most bytes a hospital sent that stayed to the end of the round."""
    stayed = report.sets["u5"]
    return max((report.bytes[silo]["up"] for silo in stayed), default=0)


def _part_table(outcome: Outcome) -> Table:
    table = _table("round", "in the sum", left=("lost, and where",))
    for column in ("accuracy", "in the clear"):
        table.add_column(column, justify="right", no_wrap=True)
    for number, report in enumerate(outcome.reports):
        table.add_row(
            str(report.round),
            f"{len(report.sets['u3'])} of {len(outcome.terms.hospitals)}",
            _lost(report.lost) + "".join(f" {peer}: absent" for peer in report.absent),
            f"{outcome.accuracy[number + 1]:.3f}",
            f"{outcome.clear[number + 1]:.3f}",
        )
    return table


def _cost_table(outcome: Outcome) -> Table:
    table = _table("round", *PHASES.values(), "total", "up", "down")
    for report in outcome.reports:
        seconds = [report.seconds.get(phase, 0.0) for phase in PHASES]
        stayed = report.sets["u5"]
        down = max((report.bytes[silo]["down"] for silo in stayed), default=0)
        table.add_row(
            str(report.round),
            *(f"{value:.2f}" for value in seconds),
            f"{sum(seconds):.2f}",
            f"{bytes_up(report) / 1024:.0f}",
            f"{down / 1024:.0f}",
        )
    return table


def _table(*right: str, left: Sequence[str] = ()) -> Table:
    """Return a table that fits 80 columns."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in right:
        table.add_column(column, justify="right", no_wrap=True)
    for column in left:
        table.add_column(column, no_wrap=True)
    return table


def _lost(lost: Mapping[str, Mapping[str, str]]) -> str:
    told = [
        f"{peer}: {LOST_IN.get(loss['round'], loss['round'])}"
        for peer, loss in lost.items()
    ]
    return "[yellow]" + "\n".join(told) + "[/]" if told else ""


def _print_comparison(outcome: Outcome, console: Console) -> None:
    secure, clear = outcome.accuracy[-1], outcome.clear[-1]
    console.print(
        f"accuracy on {len(outcome.study.test)} test patients:"
        f" [bold]{secure:.3f}[/] with secure aggregation, {clear:.3f} with federated"
        f" averaging in the clear under the same losses"
    )
    if outcome.terms.epsilon is None:
        console.print(
            f"trained apart from the same start, no parameter differs by more than"
            f" {outcome.distance:.2e}"
        )
        return
    console.print(
        f"epsilon = {outcome.terms.epsilon:g} costs {clear - secure:.3f} of accuracy:"
        f" noise of {outcome.terms.noise_multiplier:.2f} sensitivities on every"
        " parameter of the sum hides a whole hospital among"
        f" {len(outcome.terms.hospitals)}; it stays the same with more hospitals, and"
        " is divided by their number"
    )


def _row(outcome: Outcome, number: int) -> dict[str, Any]:
    report: RoundReport = outcome.reports[number]
    hospitals: Sequence[str] = outcome.terms.hospitals
    return {
        "round": report.round,
        "status": report.status,
        "in_the_sum": " ".join(report.sets["u3"]),
        "lost": " ".join(
            f"{peer}:{loss['round']}" for peer, loss in report.lost.items()
        ),
        **{f"seconds_{phase}": report.seconds.get(phase, 0.0) for phase in PHASES},
        **{f"bytes_up_{silo}": _carried(report, silo, "up") for silo in hospitals},
        **{f"bytes_down_{silo}": _carried(report, silo, "down") for silo in hospitals},
        "epsilon": report.epsilon,
        "accuracy": outcome.accuracy[number + 1],
        "accuracy_in_the_clear": outcome.clear[number + 1],
    }


def _carried(report: RoundReport, silo: str, way: str) -> int:
    return report.bytes.get(silo, {}).get(way, 0)
