"""The aggregator of chaos, as a process: the library's own, recorded, with traps."""

from __future__ import annotations

import functools
import hashlib
from typing import Any

import numpy as np

from secagg import Aggregator, RoundOutcome, errors, events, serve
from secagg.drivers import progress
from secagg.drivers.aggregator.session import Session
from tests.chaos import records as records_of
from tests.chaos.records import Records
from tests.chaos.terms import (
    AGGREGATOR,
    KEEPALIVE_SECONDS,
    READY_SECONDS,
    RECONNECT_SECONDS,
    Terms,
)
from tests.chaos.traps import Traps, name_of

_SEEN = (
    progress.SessionBegan,
    progress.SessionResumed,
    progress.SessionAborted,
    progress.ChunkStored,
    progress.PeerDropped,
)


def watch(terms: Terms, records: Records) -> Traps:
    """Have this process's sessions recorded effect by effect, and trapped."""
    traps = Traps(terms, AGGREGATOR)
    carry_out = Session._carry_out

    @functools.wraps(carry_out)
    def carried_out(self: Session, effect: Any) -> None:
        here = (self.server.manifest.round_no, name_of(effect))
        traps.before(*here)
        carry_out(self, effect)
        if isinstance(effect, events.Journal):
            records.write("accepted", self.sid, effect.event)
        traps.after(*here)

    Session._carry_out = carried_out  # type: ignore[method-assign]
    return traps


async def live(terms: Terms, records: Records) -> None:
    """Run rounds until there were as many sessions as asked for."""
    traps = watch(terms, records)
    sids = _begun(terms)
    at: list[int] = [0]

    def observe(event: progress.Progress) -> None:
        if isinstance(event, _SEEN):
            records.write("seen", event)
        if isinstance(event, progress.SessionBegan):
            sids.add(event.sid)
            at[0] = event.round_no
        if isinstance(event, progress.ChunkStored):
            traps.before(at[0], "ChunkStored")
            traps.after(at[0], "ChunkStored")

    async with serve(
        "127.0.0.1",
        terms.port,
        identity=terms.consortium.aggregator,
        roster=terms.consortium.roster,
        task=terms.task,
        state=terms.state(AGGREGATOR),
        journal=terms.journal,
        min_members=4,
        ready_seconds=READY_SECONDS,
        reconnect_seconds=RECONNECT_SECONDS,
        keepalive=KEEPALIVE_SECONDS,
        engine="numpy-threads",
        observer=observe,
    ) as aggregator:
        if aggregator.last_outcome is not None:
            _note(records, aggregator.last_outcome)
        if aggregator.open_round is not None:
            at[0] = aggregator.open_round.round_no
        while len(sids) < terms.sessions or aggregator.open_round is not None:
            await _round(aggregator, records)


async def _round(aggregator: Aggregator, records: Records) -> None:
    try:
        outcome = await aggregator.run_round()
    except errors.SessionAborted as error:
        records.write("failed", error.code)
        return
    _note(records, outcome)


def _begun(terms: Terms) -> set[bytes]:
    """Return the sessions that began in the lives before."""
    return {
        what[0].sid
        for path in records_of.lives(terms.folder / "logs", AGGREGATOR)
        for kind, *what in records_of.read(path)
        if kind == "seen" and isinstance(what[0], progress.SessionBegan)
    }


def _note(records: Records, outcome: RoundOutcome) -> None:
    mean, total = outcome.mean, outcome.sum
    assert mean is not None
    assert total is not None
    records.write(
        "outcome",
        {
            "sid": bytes(outcome.sid),
            "round_no": outcome.round_no,
            "u3": outcome.sets["u3"],
            "sum": np.asarray(total)[: len(mean)].tolist(),
            "mean": hashlib.sha256(mean.tobytes()).digest(),
            "link": outcome.link,
        },
    )
