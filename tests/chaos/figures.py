"""The figures of a run, kept as JSON and shown as a table in SECURITY.md."""

from __future__ import annotations

import collections
import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from secagg.drivers import progress
from tests.chaos import plan
from tests.chaos.judge import Judge
from tests.chaos.stage import Stage
from tests.chaos.terms import AGGREGATOR

ROOT: Final = Path(__file__).parents[2]
KEPT: Final = Path(__file__).parent / "kept.json"
SHOWN: Final = ROOT / "SECURITY.md"
BEGIN: Final = "<!-- chaos: begin, written by make chaos -->"
END: Final = "<!-- chaos: end -->"
ENOUGH: Final = 200
"""Sessions of a run whose figures are kept."""

SQLITE: Final = "sqlite"
JOURNALS: Final = {SQLITE: "SQLite", "postgresql": "PostgreSQL"}
"""Where the aggregator's journal is, and what that is called."""

PHASES: Final = (
    *("AdvertiseKeys", "ShareKeys", "ShareAck", "MaskedInput"),
    *("Consistency", "Unmasking", "Result"),
)


@dataclass(kw_only=True)
class Figures:
    """What one run came to.

    Attributes:
        seed, asked, journal: what to type for the same plan.
        sessions: how many began.
        exact: those with the exact sum over their U3.
        aborted: those without a sum, by the rule that ended them.
        whole: exact sums over all members of the session.
        kills: SIGKILLs by side and phase.
        resumed: how often a session was taken up from the journal.
        strikes: what happened on the lines, by kind.
        reconnects: connections beyond the first of each life of a hospital.
        chunks: how many were stored.
        resent: chunks that a hospital sent again.
        seconds: how long it took.
        machine: where.
        day: when.
    """

    seed: int
    asked: int
    journal: str
    sessions: int = 0
    exact: int = 0
    aborted: dict[str, int] = field(default_factory=dict)
    whole: int = 0
    kills: dict[str, dict[str, int]] = field(default_factory=dict)
    resumed: int = 0
    strikes: dict[str, int] = field(default_factory=dict)
    reconnects: int = 0
    chunks: int = 0
    resent: int = 0
    seconds: int = 0
    machine: str = ""
    day: str = ""


def figures_of(worlds: Iterable[tuple[Judge, Stage]], **about: Any) -> Figures:
    """Count over all worlds of a run."""
    found = Figures(**about)
    kills = {side: collections.Counter[str]() for side in ("hospitals", AGGREGATOR)}
    aborted: collections.Counter[str] = collections.Counter()
    strikes: collections.Counter[str] = collections.Counter()
    for judge, stage in worlds:
        _count_sessions(found, judge)
        _count_uploads(found, judge)
        lives = sum(hospital.lives for hospital in judge.hospitals)
        found.reconnects += max(0, stage.carried - lives)
        aborts = judge.aggregator.aborted.values()
        aborted.update(end.code for ends in aborts for end in ends)
        strikes.update(strike.blow.value for strike in stage.struck)
        for path in judge.terms.fired().glob("*"):
            side = AGGREGATOR if path.name.endswith(AGGREGATOR) else "hospitals"
            kills[side][_phase_of(path)] += 1
    found.aborted = dict(sorted(aborted.items()))
    found.strikes = dict(sorted(strikes.items()))
    found.kills = {side: dict(sorted(n.items())) for side, n in kills.items()}
    return found


def _phase_of(path: Path) -> str:
    phases = {**plan.HOSPITAL_EFFECTS, **plan.AGGREGATOR_EFFECTS}
    return phases[path.read_text()]


def _count_sessions(found: Figures, judge: Judge) -> None:
    aggregator = judge.aggregator
    found.sessions += len(aggregator.began)
    found.exact += len(aggregator.outcomes)
    found.resumed += len(aggregator.resumed)
    everybody = len(judge.terms.peers)
    u3s = [accounts[0]["u3"] for accounts in aggregator.outcomes.values()]
    found.whole += sum(len(u3) == everybody for u3 in u3s)
    found.chunks += len(set(aggregator.stored))


def _count_uploads(found: Figures, judge: Judge) -> None:
    for hospital in judge.hospitals:
        up = [e for e in hospital.seen if isinstance(e, progress.Uploaded)]
        found.resent += len(up) - len({(e.sid, e.sent_bytes) for e in up})


def command(seed: int, sessions: int, journal: str) -> str:
    """Return what to type for the same plan."""
    more = "" if journal == SQLITE else f" JOURNAL={journal}"
    return f"make chaos SEED={seed} SESSIONS={sessions}{more}"


def markdown(founds: Sequence[Figures]) -> str:
    """Return the table: a column for each run, and two rows for its kills."""
    columns = [_column(found) for found in founds]
    names = [JOURNALS[found.journal] for found in founds]
    lines = [_row("journal", *names), f"|---|{'---|' * len(names)}"]
    for name in columns[0]:
        lines.append(_row(name, *(column[name] for column in columns)))
    lines += ["", _row("SIGKILL in", *PHASES, "all"), f"|---|{'--:|' * 8}"]
    for name, found in zip(names, founds, strict=True):
        for side, by_phase in found.kills.items():
            counts = [by_phase.get(phase, 0) for phase in PHASES]
            lines.append(_row(f"{side}, {name}", *counts, sum(by_phase.values())))
    return "\n".join([*lines, "", *map(_source, founds)]) + "\n"


def _column(found: Figures) -> dict[str, str]:
    aborted = ", ".join(f"{n} by rule {code}" for code, n in found.aborted.items())
    count = sum(found.aborted.values())
    return {
        "sessions": f"{found.sessions}",
        "ended in the exact sum over U3": f"{found.exact}",
        "of those, U3 was every hospital": f"{found.whole}",
        "ended in a clean abort": f"{count}{': ' if aborted else ''}{aborted}",
        "ended otherwise": f"{found.sessions - found.exact - count}",
        "sessions resumed from the journal": f"{found.resumed}",
        "blows on the lines": ", ".join(f"{n} {k}" for k, n in found.strikes.items()),
        "connections made again": f"{found.reconnects}",
        "chunks stored, and sent again": f"{found.chunks}, {found.resent}",
    }


def _source(found: Figures) -> str:
    return (
        f"`{command(found.seed, found.asked, found.journal)}`,"
        f" {found.seconds / 60:.0f} min on {found.machine} ({found.day})."
    )


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def save(path: Path, found: Figures) -> None:
    """Keep the figures, in the place of those with the same journal."""
    kept = load(path) if path.exists() else []
    runs = {one.journal: one for one in (*kept, found)}
    ordered = [dataclasses.asdict(runs[name]) for name in JOURNALS if name in runs]
    path.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")


def load(path: Path) -> list[Figures]:
    """Return the figures that are kept, one of each journal."""
    return [Figures(**one) for one in json.loads(path.read_text(encoding="utf-8"))]


def show(page: Path, founds: Sequence[Figures]) -> None:
    """Put the table between the markers of a page."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    table = f"{BEGIN}\n{markdown(founds)}{END}"
    page.write_text(f"{before}{table}{after}", encoding="utf-8")


def shown(page: Path) -> str:
    """Return what stands between the markers of a page."""
    _, _, rest = page.read_text(encoding="utf-8").partition(BEGIN + "\n")
    return rest.partition(END)[0]
