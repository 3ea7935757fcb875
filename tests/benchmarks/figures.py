"""Pictures of the kept results: growth with n, growth with m, and the other libraries.

Colours are those of Okabe and Ito, as in the demo's picture; shapes say the same again.
A picture is drawn where its group was measured.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from peers.demo.figure import BLUE, FAINT, GRID, INK, ORANGE, VERMILION
from tests.benchmarks.results import GroupResult, Results
from tests.benchmarks.rows import Row, shown
from tests.benchmarks.table import pictured

_GREEN = "#009E73"
_STYLES = {"client": (BLUE, "o"), "aggregator": (ORANGE, "s")}
_PEERS = {
    "secagg": BLUE,
    "Flower SecAgg+": ORANGE,
    "TenSEAL CKKS": _GREEN,
    "plain sum": "#b0b0b0",
}


def draw(results: Results, folder: Path) -> None:
    """Draw what there are rows for into `folder`."""
    pictures: Mapping[str, Callable[[GroupResult], Figure]] = {
        "others.png": _others,
        "growth_n.png": _with_silos,
        "growth_m.png": _with_length,
    }
    with mpl.rc_context({"font.size": 10, "axes.edgecolor": GRID, "text.color": INK}):
        for name, group in pictured(results).items():
            figure = pictures[name](results[group])
            figure.savefig(
                folder / name, dpi=130, facecolor="white", metadata={"Software": ""}
            )


def _with_silos(found: GroupResult) -> Figure:
    rows = [row for row in found.rows if row.labels.get("growth") == "n"]
    length = rows[0].labels["m"]
    figure, (seconds, size) = _panels(
        f"Growth with the number of silos, m = {length:,}", found, 2
    )
    for party, (colour, mark) in _STYLES.items():
        _line(seconds, rows, "n", party, party, colour, mark)
    for way, colour, mark in (("up", BLUE, "o"), ("down", VERMILION, "^")):
        _line(size, rows, "n", f"bytes {way}", f"{way}, one client", colour, mark)
    _logs(seconds, "silos", "s")
    _logs(size, "silos", "bytes")
    return figure


def _with_length(found: GroupResult) -> Figure:
    rows = [row for row in found.rows if row.labels.get("growth") == "m"]
    silos = rows[0].labels["n"]
    figure, (total, each) = _panels(
        f"Growth with the length of the vector, n = {silos}", found, 2
    )
    for party, (colour, mark) in _STYLES.items():
        mine = [row for row in rows if row.labels["what"] == party]
        lengths = [float(row.labels["m"]) for row in mine]
        seconds = [float(row.labels["seconds"]) for row in mine]
        total.plot(lengths, seconds, color=colour, marker=mark, label=party)
        _line(each, mine, "m", party, party, colour, mark)
    _logs(total, "coordinates", "s")
    _logs(each, "coordinates", "s")
    each.set_yscale("linear")
    each.set_ylim(bottom=0)
    _dressed(each, "s")
    total.set_title("in all", loc="left", color=INK)
    each.set_title("a coordinate", loc="left", color=INK)
    return figure


def _line(
    axes: Axes,
    rows: Iterable[Row],
    along: str,
    what: str,
    label: str,
    colour: str,
    mark: str,
) -> None:
    mine = [row for row in rows if row.labels["what"] == what]
    places = [float(row.labels[along]) for row in mine]
    middle = [row.ours.median for row in mine]
    below = [row.ours.median - row.ours.least for row in mine]
    above = [row.ours.greatest - row.ours.median for row in mine]
    axes.errorbar(
        places,
        middle,
        (below, above),
        color=colour,
        marker=mark,
        capsize=2,
        label=label,
    )


def _others(found: GroupResult) -> Figure:
    silos = sorted({int(row.labels["n"]) for row in found.rows})
    peers = {str(row.labels["peer"]) for row in found.rows}
    names = [name for name in _PEERS if name == "secagg" or name in peers]
    length = next(row.labels["m"] for row in found.rows)
    figure, panels = _panels(
        f"The same vectors, m = {length:,}, 16 bits", found, 2 * len(silos)
    )
    for row_of, n in zip(range(0, 2 * len(silos), 2), silos, strict=True):
        rows = [row for row in found.rows if row.labels["n"] == n]
        times, size = panels[row_of : row_of + 2]
        losses = sorted({int(r.labels["loss"]) for r in rows if "loss" in r.labels})
        bars = {"client": functools.partial(_of, rows, "client", None)}
        for loss in losses:
            name = f"aggregator,\n{f'{loss} %' if loss else 'none'} lost"
            bars[name] = functools.partial(_of, rows, "server", loss)
        _bars(times, bars, names, "s")
        _bars(size, {"bytes up": functools.partial(_of, rows, "bytes", None)}, names,
              "bytes")  # fmt: skip
        times.set_title(f"n = {n}", loc="left", color=INK)
    panels[0].legend(frameon=False, fontsize=8.5, ncols=2, loc="upper left")
    return figure


def _of(rows: Sequence[Row], what: str, loss: int | None, name: str) -> float | None:
    """Return the figure of one protocol; ours stands in every row."""
    for row in rows:
        mine = name == "secagg" or row.labels["peer"] == name
        if mine and row.labels["what"] == what and row.labels.get("loss") == loss:
            side = row.ours if name == "secagg" else row.reference
            return None if side is None else side.median
    return None


def _bars(
    axes: Axes,
    groups: Mapping[str, Callable[[str], float | None]],
    names: Sequence[str],
    unit: str,
) -> None:
    wide = 0.8 / len(names)
    for k, name in enumerate(names):
        places = [g + (k - (len(names) - 1) / 2) * wide for g in range(len(groups))]
        values = [figure(name) for figure in groups.values()]
        there = [(p, v) for p, v in zip(places, values, strict=True) if v]
        axes.bar(
            [p for p, _ in there], [v for _, v in there], wide * 0.92,
            color=_PEERS[name], label=name,
        )  # fmt: skip
        for place, value in there:
            axes.annotate(
                shown(value, unit), (place, value), (0, 2), ha="center", va="bottom",
                textcoords="offset points", fontsize=7, color=INK, rotation=90,
            )  # fmt: skip
    axes.set_xticks(range(len(groups)), list(groups))
    axes.set_yscale("log")
    # From a whole decade, so that the shortest bar is seen, with room for the texts.
    low, high = (math.log10(limit) for limit in axes.get_ylim())
    low = math.floor(low)
    axes.set_ylim(10**low, 10 ** (high + 0.4 * (high - low)))
    _dressed(axes, unit)


def _panels(title: str, found: GroupResult, count: int) -> tuple[Figure, list[Axes]]:
    rows = -(-count // 2)
    figure = Figure(figsize=(10, 0.9 + 3.5 * rows), layout="constrained")
    panels = figure.subplots(rows, 2, squeeze=False, width_ratios=_widths(count))
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, color=INK)
    figure.supxlabel(
        f"{found.machine.cpu}, {found.machine.cores} cores; {found.command}",
        x=0.01, ha="left", fontsize=8, color=FAINT,
    )  # fmt: skip
    return figure, [axes for row in panels for axes in row]


def _widths(count: int) -> tuple[int, int]:
    """Two panels side by side are of one width; beside bars for bytes, times wide."""
    return (1, 1) if count == 2 else (3, 1)


def _logs(axes: Axes, along: str, unit: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(along, color=INK)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.legend(frameon=False, fontsize=9)
    _dressed(axes, unit)


def _dressed(axes: Axes, unit: str) -> None:
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: shown(value, unit)))
    axes.grid(axis="y", color=GRID, lw=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", colors=INK, length=0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
