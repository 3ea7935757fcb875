"""``secagg simulate``: many silos in one process, on the production machines."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from peers import terminal
from secagg import errors
from secagg.simulation import Report, Scenario, Simulated, measure, play

Drops = Annotated[
    list[str] | None,
    typer.Option(
        "--drop",
        metavar="ROUND=K",
        help="K silos fall silent from that round on; may be given several times.",
    ),
]


@terminal.told
def simulate(
    silos: Annotated[int, typer.Option(help="How many silos.")] = 10,
    params: Annotated[int, typer.Option(help="Coordinates of an update.")] = 10_000,
    drop: Drops = None,
    seed: Annotated[int, typer.Option(help="All but the times follows from it.")] = 0,
    bits: Annotated[int, typer.Option(help="Bits of a quantized coordinate.")] = 16,
    rotation: Annotated[
        bool, typer.Option("--rotation", help="Rotate updates: 11 bits then serve.")
    ] = False,
    corruption_bound: Annotated[
        int | None, typer.Option("-c", "--corruption-bound", help="c; 1 by default.")
    ] = None,
    graph: Annotated[
        str, typer.Option(help="complete, regular, or auto: regular above 150 silos.")
    ] = "auto",
    losses: Annotated[
        int | None,
        typer.Option(help="Silos that a regular graph may lose; a tenth by default."),
    ] = None,
    scenario: Annotated[
        Path | None, typer.Option(help="A TOML file that scripts several rounds.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Append a CSV row.")
    ] = None,
) -> None:
    """Run sessions of many silos here, with scripted losses, and report the cost."""
    if scenario is not None:
        _play(Scenario.load(scenario), as_json=as_json)
        return
    report = measure(
        silos=silos,
        params=params,
        drop=parsed_drops(drop or []),
        seed=seed,
        bits=bits,
        rotation=rotation,
        corruption_bound=corruption_bound,
        graph=graph,
        losses=losses,
    )
    if as_csv is not None:
        append_row(as_csv, report)
    if as_json:
        terminal.say_json(report.row())
    elif as_csv is None:
        terminal.out().print(table(report))
    if not report.completed:
        raise typer.Exit(1)


def parsed_drops(given: list[str]) -> dict[str, int]:
    """Return the silos to drop by round.

    Raises:
        ParameterError: not ROUND=K.
    """
    drops: dict[str, int] = {}
    for text in given:
        name, separator, count = text.partition("=")
        if not separator or not count.isdecimal():
            raise errors.ParameterError(
                f"--drop {text!r}: write ROUND=K, such as masked_input=10"
            )
        drops[name] = drops.get(name, 0) + int(count)
    return drops


def append_row(path: Path, report: Report) -> None:
    """Append the report to a CSV file, with a header if the file is new.

    Raises:
        ParameterError: the file cannot be written.
    """
    row = {key: _flat(value) for key, value in report.row().items()}
    try:
        fresh = not path.exists() or path.stat().st_size == 0
        with path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(row))
            if fresh:
                writer.writeheader()
            writer.writerow(row)
    except OSError as error:
        raise errors.ParameterError(f"--csv {path}: {error.strerror}") from None


def _flat(value: Any) -> Any:
    if isinstance(value, dict):
        return " ".join(f"{key}={item}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return " ".join(value)
    return value


def table(report: Report) -> Table:
    """Return the report for people."""
    shown = Table(title="One simulated session", show_header=False)
    shown.add_column(style="bold")
    shown.add_column()
    lost = ", ".join(f"{k} from {name} on" for name, k in report.drop.items())
    sizes = (report.u1, report.u2, report.u3, report.u4, report.u5)
    rows = {
        "silos, parameters": f"{report.silos:,}, {report.params:,}",
        "graph": f"{report.graph}, {report.neighbours:,} neighbours each",
        "silent": lost or "nobody",
        "survivors": ", ".join(f"|U{i}| {n}" for i, n in enumerate(sizes, start=1)),
        "outcome": _outcome(report),
        "error of the mean": _error(report),
        "client": f"{report.client_seconds_median:.3f} s (median)",
        "aggregator": f"{report.server_seconds:.3f} s",
        "bytes up": _bytes_up(report),
        "bytes down": f"{report.bytes_down_per_client:,} a client",
        "peak memory": f"{report.peak_rss_mib:,.0f} MiB for all silos together",
    }
    for name, value in rows.items():
        shown.add_row(name, value)
    return shown


def _bytes_up(report: Report) -> str:
    text = f"{report.bytes_up_per_client:,} a client, {report.width} bits an element"
    if report.overhead is None:
        return text
    return f"{text}, {report.overhead:.1%} beside the vector"


def _outcome(report: Report) -> str:
    if report.completed:
        return "[green]exact sum[/]" if report.exact else "[red]not exact[/]"
    missing = ", ".join(report.missing[:8]) + (", ..." if report.missing[8:] else "")
    return f"[red]aborted by rule {report.abort_code}[/]; missing: {missing}"


def _error(report: Report) -> str:
    if report.max_abs_error is None:
        return "-"
    return f"{report.max_abs_error:.2e}, never above {report.error_bound:.2e}"


def _play(scenario: Scenario, *, as_json: bool) -> None:
    rows = [_round_row(number, out) for number, out in enumerate(play(scenario), 1)]
    if as_json:
        terminal.say_json(rows)
        return
    shown = Table(title="Scenario")
    for name in ("round", "outcome", "U3", "lost", "dropped"):
        shown.add_column(name)
    for row in rows:
        shown.add_row(
            str(row["round"]),
            row["outcome"],
            f"{len(row['u3'])} of {len(row['u0'])}",
            ", ".join(row["lost"]) or "-",
            ", ".join(f"{u} ({rule})" for u, rule in row["dropped"].items()) or "-",
        )
    terminal.out().print(shown)


def _round_row(number: int, out: Simulated) -> dict[str, Any]:
    if out.aborted is not None:
        outcome = f"aborted by rule {out.aborted.code}"
    elif not out.released:
        outcome = "discarded by the checks"
    else:
        outcome = "exact sum" if out.exact else "not exact"
    sets = {name: list(peers) for name, peers in out.sets.items()}
    lost = sorted(set(sets["u0"]) - set(sets["u3"]))
    return {
        "round": number,
        "outcome": outcome,
        "exact": out.exact,
        "lost": lost,
        "dropped": dict(out.dropped),
        "max_abs_error": out.max_abs_error if out.released else None,
        **sets,
    }
