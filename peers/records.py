"""The record of a round: who was in it, who was not and why, and what it cost.

One JSON line a round in the aggregator's state directory, written when the round is
over; and the same values for whoever watches.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from peers.config_aggregator import Extra
from secagg import RoundOutcome, errors
from secagg.drivers.outcome import Attempt, losses
from secagg.names import PeerId

FILE_NAME: Final = "rounds.jsonl"

NOT_CONNECTED: Final = "was not connected when the session opened"
NOT_READY: Final = "was connected, but not ready when the session opened"
TOO_LATE: Final = "was ready too late for the session"
DECLINED: Final = "declined the round"
BLAMED: Final = "left out for proved cheating, until `secagg readmit`"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundReport:
    """What came of one round; plain values alone, as in the JSON line.

    Attributes:
        task: the task.
        round: its round.
        status: ``released``, ``discarded``, or ``aborted`` if there was no Result.
        session: the session's id, hexadecimal; None if aborted.
        attempts: sessions that ended without a sum, with who was dropped for what.
        sets: ``u0`` to ``u5``; of the last session, as far as fixed, if aborted.
        lost: members that fell out, by id: the round of the protocol, and why.
        absent: hospitals of the roster that were no members, by id: why.
        verdicts: the checks on the opened sum.
        epsilon: spent so far in the task; None without noise.
        seconds: by phase.
        bytes: by hospital, up and down.
        metrics: mean over U3 of each declared metric, by name.
        weight: the sum of the weights over U3; None if the weighting is uniform.
        error_bound: on the error of a coordinate of the mean, noise aside.
        model_before: SHA-256 of the model of the round.
        model_after: of the model after it.
        link: the new head of the task's chain.
        detail: why it was aborted; empty otherwise.
    """

    task: str
    round: int
    status: str
    session: str | None = None
    attempts: list[dict[str, Any]] = field(default_factory=list)
    sets: dict[str, list[str]] = field(default_factory=dict)
    lost: dict[str, dict[str, str]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    epsilon: float | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    bytes: dict[str, dict[str, int]] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    weight: int | None = None
    error_bound: float | None = None
    model_before: str = ""
    model_after: str = ""
    link: str | None = None
    detail: str = ""

    def to_json(self) -> str:
        """Return it as one line."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, line: str) -> RoundReport:
        """Read what `to_json` wrote."""
        return cls(**json.loads(line))


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """Who there is, for the reasons why somebody was no member.

    Attributes:
        hospitals: those of the roster.
        connected: who is connected now.
        blamed: who is left out for cheating that was proved, and the rule.
        declined: whose policy keeps it out of the round, with the rule and why.
    """

    hospitals: tuple[PeerId, ...]
    connected: tuple[PeerId, ...] = ()
    blamed: Mapping[PeerId, str] = field(default_factory=dict)
    declined: Mapping[PeerId, str] = field(default_factory=dict)


def report_of(
    outcome: RoundOutcome,
    *,
    present: Present,
    extras: Iterable[Extra],
    model_after: bytes,
) -> RoundReport:
    """Return the report of a round that has a Result.

    Args:
        outcome: what came of it.
        present: who there is.
        extras: the task's, for their units.
        model_after: the hash of the model after the round.
    """
    result = outcome.result
    error = outcome.error
    absent = _absent(present, outcome.sets["u0"], outcome.attempts)
    absent |= {peer: TOO_LATE for peer in outcome.late if peer not in present.blamed}
    return RoundReport(
        task=outcome.task_id,
        round=outcome.round_no,
        status=result.status,
        session=outcome.sid.hex(),
        attempts=_attempts(outcome.attempts),
        sets=_plain(outcome.sets),
        lost={peer: asdict(loss) for peer, loss in outcome.lost.items()},
        absent=absent,
        verdicts=[asdict(verdict) for verdict in result.verdicts],
        epsilon=outcome.epsilon,
        seconds={name: round(value, 4) for name, value in outcome.durations.items()},
        bytes={peer: asdict(traffic) for peer, traffic in outcome.traffic.items()},
        metrics=_metrics(outcome, extras),
        weight=outcome.extras.get("weight"),
        error_bound=None if error is None else error.worst,
        model_before=outcome.model_hash.hex(),
        model_after=model_after.hex(),
        link=outcome.link.hex(),
    )


def aborted_report(
    error: errors.SessionAborted,
    *,
    task: str,
    round_no: int,
    model: bytes,
    present: Present,
) -> RoundReport:
    """Return the report of a round without a Result; its last attempt gives the sets.

    Args:
        error: how it ended, with its attempts.
        task: the task.
        round_no: its round.
        model: the hash of the model, before and after.
        present: who there is.
    """
    attempts: tuple[Attempt, ...] = error.attempts
    sets = attempts[-1].sets if attempts else {}
    return RoundReport(
        task=task,
        round=round_no,
        status="aborted",
        attempts=_attempts(attempts),
        sets=_plain(sets),
        lost=_lost_at_the_end(error),
        absent=_absent(present, sets.get("u0", ()), attempts[:-1]) if sets else {},
        model_before=model.hex(),
        model_after=model.hex(),
        detail=str(error),
    )


def _lost_at_the_end(error: errors.SessionAborted) -> dict[str, dict[str, str]]:
    """Return who fell out of the session that ended a round, where, and why."""
    ended = f"missing when rule {error.code} ended it"
    lost = {peer: {"round": "session", "reason": ended} for peer in error.missing}
    attempts: tuple[Attempt, ...] = error.attempts
    if not attempts:
        return lost
    last = attempts[-1]
    for peer, why in last.dropped.items():
        lost[peer] = {"round": "session", "reason": why}
    if last.sets:
        fell = losses(last.sets, last.dropped)
        lost |= {peer: asdict(loss) for peer, loss in fell.items()}
    for peer in last.culprits:
        blame = f"blamed by rule {last.code}: {last.detail}"
        lost[peer] = {"round": "session", "reason": blame}
    return lost


def append(directory: Path, report: RoundReport) -> None:
    """Write a report behind the others, durably.

    What a crash left of a line is cut off first: it is no report, and would make this
    one unreadable.

    Raises:
        StateError: it cannot be written.
    """
    path = directory / FILE_NAME
    try:
        with path.open("a+b") as file:
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
            file.write(report.to_json().encode("ascii") + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise errors.StateError(f"cannot write {path}: {error.strerror}") from error


def read(directory: Path) -> list[RoundReport]:
    """Return the reports written so far; a last line that a crash cut is left out.

    Raises:
        StateError: another line is damaged, or the file cannot be read.
    """
    path = directory / FILE_NAME
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise errors.StateError(f"cannot read {path}: {error.strerror}") from error
    return [_parsed(path, number, line) for number, line in enumerate(lines, 1) if line]


def _parsed(path: Path, number: int, line: bytes) -> RoundReport:
    try:
        return RoundReport.from_json(line.decode("ascii"))
    except (ValueError, TypeError, RecursionError) as error:
        raise errors.StateError(
            f"{path}, line {number}: this is no report of a round"
            f" ({type(error).__name__}); restore the file from a backup, or take the"
            " line out of it: reports are for people, nothing else depends on them"
        ) from error


def _attempts(attempts: Iterable[Attempt]) -> list[dict[str, Any]]:
    return [
        {
            "session": one.sid.hex(),
            "attempt": one.attempt,
            "rule": one.code,
            "detail": one.detail,
            "missing": list(one.missing),
            "culprits": list(one.culprits),
            "dropped": dict(one.dropped),
            "sets": _plain(one.sets),
        }
        for one in attempts
    ]


def _plain(sets: Mapping[str, tuple[PeerId, ...]]) -> dict[str, list[str]]:
    return {name: list(peers) for name, peers in sets.items()}


def _absent(
    present: Present, members: Iterable[PeerId], earlier: Iterable[Attempt]
) -> dict[str, str]:
    """Return why each hospital that is not among `members` was none of them."""
    absent: dict[str, str] = {}
    inside, fell = set(members), _fell_earlier(earlier)
    for peer in present.hospitals:
        if peer in inside:
            continue
        if peer in present.blamed:
            absent[peer] = f"{BLAMED}: {present.blamed[peer]}"
        elif peer in present.declined:
            absent[peer] = f"{DECLINED} {present.declined[peer]}"
        elif peer in fell:
            absent[peer] = fell[peer]
        else:
            absent[peer] = NOT_READY if peer in present.connected else NOT_CONNECTED
    return absent


def _fell_earlier(attempts: Iterable[Attempt]) -> dict[PeerId, str]:
    """Return who fell out of an earlier attempt of the round, and why."""
    fell: dict[PeerId, str] = {}
    for one in attempts:
        silent = f"silent in attempt {one.attempt}, which rule {one.code} ended"
        fell |= dict.fromkeys(one.missing, silent)
        fell |= {
            u: f"in attempt {one.attempt}: {why}" for u, why in one.dropped.items()
        }
    return fell


def _metrics(outcome: RoundOutcome, extras: Iterable[Extra]) -> dict[str, float]:
    sums: Mapping[str, int] = outcome.extras
    count = len(outcome.result.u3)
    return {
        extra.name: sums[extra.wire_name] / extra.scale / count
        for extra in extras
        if extra.wire_name in sums
    }
