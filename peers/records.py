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

from peers.config import Extra
from secagg import RoundOutcome, errors
from secagg.names import PeerId

FILE_NAME: Final = "rounds.jsonl"

NOT_CONNECTED: Final = "was not connected when the session opened"
NOT_READY: Final = "was connected, but not ready when the session opened"
TOO_LATE: Final = "was ready too late for the session"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundReport:
    """What came of one round; plain values alone, as in the JSON line.

    Attributes:
        task: the task.
        round: its round.
        status: ``released``, ``discarded``, or ``aborted`` if there was no Result.
        session: the session's id, hexadecimal; None if aborted.
        attempts: sessions before it that ended without a sum.
        sets: ``u0`` to ``u5``.
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


def report_of(
    outcome: RoundOutcome,
    *,
    hospitals: Iterable[PeerId],
    connected: Iterable[PeerId],
    extras: Iterable[Extra],
    model_after: bytes,
) -> RoundReport:
    """Return the report of a round that has a Result.

    Args:
        outcome: what came of it.
        hospitals: those of the roster.
        connected: who is connected now.
        extras: the task's, for their units.
        model_after: the hash of the model after the round.
    """
    result = outcome.result
    error = outcome.error
    return RoundReport(
        task=outcome.task_id,
        round=outcome.round_no,
        status=result.status,
        session=outcome.sid.hex(),
        attempts=_attempts(outcome),
        sets={name: list(peers) for name, peers in outcome.sets.items()},
        lost={peer: asdict(loss) for peer, loss in outcome.lost.items()},
        absent=_absent(outcome, hospitals, connected),
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
    error: errors.SessionAborted, *, task: str, round_no: int, model: bytes
) -> RoundReport:
    """Return the report of a round without a Result."""
    why = {"round": "session", "reason": f"missing when rule {error.code} ended it"}
    return RoundReport(
        task=task,
        round=round_no,
        status="aborted",
        lost={peer: dict(why) for peer in error.missing},
        model_before=model.hex(),
        model_after=model.hex(),
        detail=str(error),
    )


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
    except (ValueError, TypeError) as error:
        raise errors.StateError(
            f"{path}, line {number}: this is no report of a round"
            f" ({type(error).__name__}); restore the file from a backup, or take the"
            " line out of it: reports are for people, nothing else depends on them"
        ) from error


def _attempts(outcome: RoundOutcome) -> list[dict[str, Any]]:
    return [
        {
            "session": one.sid.hex(),
            "attempt": one.attempt,
            "rule": one.code,
            "detail": one.detail,
            "missing": list(one.missing),
            "culprits": list(one.culprits),
        }
        for one in outcome.attempts
    ]


def _absent(
    outcome: RoundOutcome, hospitals: Iterable[PeerId], connected: Iterable[PeerId]
) -> dict[str, str]:
    here, members = set(connected), set(outcome.sets["u0"])
    absent: dict[str, str] = {}
    for peer in hospitals:
        if peer in members:
            continue
        if peer in outcome.late:
            absent[peer] = TOO_LATE
        else:
            absent[peer] = NOT_READY if peer in here else NOT_CONNECTED
    return absent


def _metrics(outcome: RoundOutcome, extras: Iterable[Extra]) -> dict[str, float]:
    sums: Mapping[str, int] = outcome.extras
    count = len(outcome.result.u3)
    return {
        extra.name: sums[extra.wire_name] / extra.scale / count
        for extra in extras
        if extra.wire_name in sums
    }
