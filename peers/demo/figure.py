"""The figure of a run: accuracy, who took part, and where the seconds went.

Colours are those of Okabe and Ito, which people with colour-blind eyes can tell apart;
shapes say the same again.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, Patch

from peers.demo.report import PHASES, Outcome
from peers.records import RoundReport

INK: Final = "#222222"
FAINT: Final = "#8a8a8a"
GRID: Final = "#e6e6e6"
BLUE: Final = "#0072B2"
SKY: Final = "#9ccbe8"
ORANGE: Final = "#E69F00"
VERMILION: Final = "#D55E00"
ABSENT: Final = "#f0f0f0"

_PHASE_COLOURS: Final = {
    "advertise_keys": "#cfd8dc",
    "share_keys": "#90a4ae",
    "share_ack": "#607d8b",
    "masked_input": "#0072B2",
    "consistency": "#56B4E9",
    "unmasking": "#009E73",
    "opening": "#F0E442",
}
_PHASE_NAMES: Final = {
    "advertise_keys": "keys",
    "share_keys": "key shares",
    "share_ack": "acknowledgements",
    "masked_input": "masked input",
    "consistency": "votes",
    "unmasking": "unmasking",
    "opening": "opening the sum",
}
_MARKS: Final = {
    "advertise_keys": "o",
    "share_keys": "o",
    "masked_input": "s",
    "consistency": "D",
    "unmasking": "D",
}
_MARK_TEXTS: Final = {
    "o": "killed before sharing keys",
    "s": "killed with its input half sent",
    "D": "killed after its input",
}


def write(outcome: Outcome, folder: Path) -> Path:
    """Draw the run into ``figure.png`` and return where it is."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "figure.png"
    with mpl.rc_context({"font.size": 10, "axes.edgecolor": GRID, "text.color": INK}):
        figure = _drawn(outcome)
        figure.savefig(path, dpi=160, facecolor="white")
    return path


def _drawn(outcome: Outcome) -> Figure:
    figure = Figure(figsize=(11.5, 8.4))
    grid = figure.add_gridspec(
        3,
        1,
        height_ratios=(3, 0.42 * len(outcome.terms.hospitals) + 0.4, 2.1),
        hspace=0.48,
        left=0.155,
        right=0.80,
        top=0.84,
        bottom=0.065,
    )
    accuracy = figure.add_subplot(grid[0])
    part = figure.add_subplot(grid[1])
    seconds = figure.add_subplot(grid[2])
    _draw_accuracy(accuracy, outcome)
    _draw_part(part, outcome)
    _draw_seconds(seconds, outcome)
    seconds.set_xlabel("round", color=INK)
    figure.text(0.03, 0.955, _title(outcome), fontsize=15, weight="bold", va="center")
    figure.text(0.03, 0.917, _subtitle(outcome), fontsize=10, color=FAINT, va="center")
    return figure


def _title(outcome: Outcome) -> str:
    rounds = len({death.round_no for death in outcome.killed})
    killed = f"{_number(len(outcome.killed))} hospitals were killed in {rounds} of"
    ended = "every sum was exact" if outcome.passed else "a check failed"
    if outcome.passed and outcome.terms.epsilon is not None:
        ended = f"epsilon = {outcome.terms.epsilon:g} was kept"
    return f"{killed} {len(outcome.reports)} rounds, and {ended}"


def _number(count: int) -> str:
    words = ("No", "One", "Two", "Three", "Four", "Five", "Six")
    return words[count] if count < len(words) else str(count)


def _subtitle(outcome: Outcome) -> str:
    return (
        f"{outcome.study.title}; {outcome.terms.length:,} parameters, summed under"
        " masks over mutual TLS"
    )


def _draw_accuracy(axes: Axes, outcome: Outcome) -> None:
    rounds = range(len(outcome.accuracy))
    axes.plot(rounds, outcome.clear, color=ORANGE, lw=6, alpha=0.55, zorder=2)
    axes.plot(rounds, outcome.accuracy, color=BLUE, lw=1.8, marker="o", ms=5, zorder=3)
    axes.set_ylim(min(*outcome.accuracy, *outcome.clear) - 0.03, 1.0)
    _number_rounds(axes, outcome)
    axes.set_xticks(list(rounds), ["start", *map(str, rounds[1:])])
    _plain(axes, "accuracy")
    axes.set_title(
        f"Test accuracy, {len(outcome.study.test)} patients that no hospital has",
        loc="left",
        fontsize=11,
    )
    noise = outcome.terms.epsilon
    secure = "secure aggregation" + (f",\nepsilon = {noise:g}" if noise else "")
    _legend(
        axes,
        [
            Line2D(
                [], [], color=BLUE, marker="o", lw=1.8, label=_value(secure, outcome)
            ),
            Line2D([], [], color=ORANGE, alpha=0.55, lw=6, label=_clear_label(outcome)),
        ],
    )


def _value(name: str, outcome: Outcome) -> str:
    return f"{name}\n{outcome.accuracy[-1]:.3f} at the end"


def _clear_label(outcome: Outcome) -> str:
    return f"FedAvg in the clear,\nsame losses\n{outcome.clear[-1]:.3f} at the end"


def _draw_part(axes: Axes, outcome: Outcome) -> None:
    hospitals = outcome.terms.hospitals
    for row, silo in enumerate(hospitals):
        for report in outcome.reports:
            _draw_cell(axes, report, silo, row)
    axes.set_ylim(len(hospitals) - 0.45, -0.55)
    names = [f"{silo}, {len(outcome.study.sites[silo])}" for silo in hospitals]
    axes.set_yticks(range(len(hospitals)), names)
    axes.tick_params(length=0)
    _number_rounds(axes, outcome)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_title("Who took part (hospital, patients)", loc="left", fontsize=11)
    _legend(axes, [*_cell_legend(), *_mark_legend(outcome)])


def _draw_cell(axes: Axes, report: RoundReport, silo: str, row: int) -> None:
    loss = report.lost.get(silo)
    summed = silo in report.sets["u3"]
    colour = BLUE if summed else SKY if silo in report.sets["u0"] else ABSENT
    cell = FancyBboxPatch(
        (report.round - 0.36, row - 0.32),
        0.72,
        0.64,
        boxstyle="round,pad=0,rounding_size=0.08",
        facecolor=colour,
        edgecolor="none",
    )
    axes.add_patch(cell)
    if loss is not None:
        axes.plot(
            report.round,
            row,
            marker=_MARKS.get(loss["round"], "X"),
            ms=10,
            color=VERMILION,
            markeredgecolor="white",
            markeredgewidth=1.4,
        )


def _cell_legend() -> list[Patch]:
    return [
        Patch(color=BLUE, label="its input is in the sum"),
        Patch(color=SKY, label="lost before its input"),
    ]


def _mark_legend(outcome: Outcome) -> list[Line2D]:
    seen = {
        _MARKS.get(loss["round"], "X")
        for report in outcome.reports
        for loss in report.lost.values()
    }
    return [
        Line2D(
            [],
            [],
            ls="",
            marker=mark,
            ms=9,
            color=VERMILION,
            markeredgecolor="white",
            label=textwrap.fill(text, 24),
        )
        for mark, text in _MARK_TEXTS.items()
        if mark in seen
    ]


def _draw_seconds(axes: Axes, outcome: Outcome) -> None:
    rounds = [report.round for report in outcome.reports]
    base = [0.0] * len(rounds)
    for phase in PHASES:
        part = [report.seconds.get(phase, 0.0) for report in outcome.reports]
        axes.bar(rounds, part, 0.72, bottom=base, color=_PHASE_COLOURS[phase], zorder=2)
        base = [below + here for below, here in zip(base, part, strict=True)]
    for number, total in zip(rounds, base, strict=True):
        axes.annotate(
            f"{total:.1f}",
            (number, total),
            (0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=9,
            color=FAINT,
        )
    axes.set_ylim(0, max(base) * 1.18)
    _number_rounds(axes, outcome)
    _plain(axes, "seconds")
    axes.set_title(
        "Seconds of each session: a lost hospital costs the rest of its phase's time",
        loc="left",
        fontsize=11,
    )
    handles = [
        Patch(color=_PHASE_COLOURS[phase], label=_PHASE_NAMES[phase])
        for phase in PHASES
    ]
    _legend(axes, reversed(handles))


def _number_rounds(axes: Axes, outcome: Outcome) -> None:
    """Give the panels one axis of rounds."""
    axes.set_xlim(-0.6, len(outcome.reports) + 0.6)
    axes.set_xticks([report.round for report in outcome.reports])


def _plain(axes: Axes, label: str) -> None:
    axes.set_ylabel(label, color=INK)
    axes.grid(axis="y", color=GRID, zorder=0)
    axes.tick_params(length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _legend(axes: Axes, handles: Iterable[Patch | Line2D]) -> None:
    axes.legend(
        handles=list(handles),
        loc="center left",
        bbox_to_anchor=(1.01, 0.5),
        frameon=False,
        fontsize=9,
        labelspacing=0.75,
        handlelength=1.6,
    )
