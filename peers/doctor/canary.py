"""A canary session: the real machines over real TLS, with a known sum for an update.

It runs among made-up members on this machine, with this site's identity and engine, so
that it needs nobody else; nothing of the real task is touched: the consortium and the
task are made up, and what is joined and spent is kept in memory alone. A session with
the real members would need them all to be there, and would be a round.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from peers.doctor.findings import Report
from secagg import (
    Aggregator,
    Extra,
    MemoryStore,
    Policy,
    RoundOutcome,
    Silo,
    Task,
    connect,
    serve,
)
from secagg.engine import AUTO
from secagg.entropy import Entropy
from secagg.identity import Identity
from secagg.names import PeerId
from secagg.roster import AGGREGATOR, HOSPITAL, Roster, RosterMember

MEMBERS: Final = 4
"""The smallest session that bears a corrupt member: n > 3c."""

LENGTH: Final = 4096
SECONDS: Final = 60.0
"""It takes about one; a machine that needs a minute has another trouble."""

_TASK: Final = "secagg-doctor"
_WORDS: Final = 8
_MOST: Final = (1 << 20) - 1


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """Made-up members around one real identity."""

    aggregator: Identity
    silos: Mapping[PeerId, Identity]
    roster: Roster

    @classmethod
    def around(cls, ours: Identity, role: str, entropy: Entropy) -> Cohort:
        """Make a cohort in which `ours` has the role of the site."""
        names = (f"canary-{k}" for k in range(MEMBERS + 2))
        made = [
            Identity.generate(PeerId(name), entropy)
            for name in names
            if name != ours.id
        ]
        aggregator = ours if role == AGGREGATOR else made.pop()
        hospitals = made[: MEMBERS - (role == HOSPITAL)]
        if role == HOSPITAL:
            hospitals.append(ours)
        return cls(
            aggregator=aggregator,
            silos={one.id: one for one in hospitals},
            roster=_roster(aggregator, hospitals),
        )


@dataclass(frozen=True, slots=True)
class Canary:
    """What one member puts in.

    Attributes:
        update: float64, shape (LENGTH,), of norm below 1.
        words: the extras, exact integers by name.
    """

    update: NDArray[np.float64]
    words: Mapping[str, int]

    @classmethod
    def drawn(cls, entropy: Entropy) -> Canary:
        """Draw one."""
        raw = np.frombuffer(entropy.draw("canary", 2 * LENGTH), dtype="<i2")
        update = raw / (2.0**15 * np.sqrt(LENGTH))
        drawn = np.frombuffer(entropy.draw("canary_words", 4 * _WORDS), dtype="<u4")
        words = {f"canary_{k}": int(word) & _MOST for k, word in enumerate(drawn)}
        return cls(update, words)


async def check_canary(
    report: Report,
    ours: Identity,
    role: str,
    *,
    entropy: Entropy,
    engine: str = AUTO,
) -> None:
    """Run a session of made-up members and ours, and compare its sum exactly."""
    cohort = Cohort.around(ours, role, entropy)
    given = {peer: Canary.drawn(entropy) for peer in cohort.silos}
    try:
        async with asyncio.timeout(SECONDS):
            with report.checking("canary"):
                outcome = await _session(cohort, given, engine)
                _compare(report, outcome, given)
    except TimeoutError:
        report.fail(
            "canary",
            f"a session of {MEMBERS} on this machine took more than {SECONDS:.0f} s:"
            " see what else runs here (`top`), and give it more cores",
        )


async def _session(
    cohort: Cohort, given: Mapping[PeerId, Canary], engine: str
) -> RoundOutcome:
    serving = serve(
        "127.0.0.1",
        0,
        identity=cohort.aggregator,
        roster=cohort.roster,
        task=_task(),
        engine=engine,
        min_members=MEMBERS,
    )
    async with serving as aggregator, contextlib.AsyncExitStack() as stack:
        silos = {
            peer: await stack.enter_async_context(_connected(aggregator, cohort, peer))
            for peer in cohort.silos
        }
        work = [
            asyncio.create_task(_contribute(silo, given[peer]))
            for peer, silo in silos.items()
        ]
        try:
            outcome = await aggregator.run_round()
            await asyncio.gather(*work)
        finally:
            for one in work:
                one.cancel()
            await asyncio.gather(*work, return_exceptions=True)
        return outcome


def _connected(
    aggregator: Aggregator, cohort: Cohort, peer: PeerId
) -> contextlib.AbstractAsyncContextManager[Silo]:
    return connect(
        f"wss://127.0.0.1:{aggregator.port}",
        identity=cohort.silos[peer],
        roster=cohort.roster,
        policy=Policy(tasks=frozenset({_TASK}), min_members=MEMBERS),
        state=MemoryStore(),
    )


async def _contribute(silo: Silo, canary: Canary) -> None:
    await silo.contribute(canary.update, extras=canary.words)


def _task() -> Task:
    words = [Extra(name=f"canary_{k}", low=0, high=_MOST) for k in range(_WORDS)]
    return Task(task_id=_TASK, length=LENGTH, clip=1.0, extras=tuple(words))


def _compare(
    report: Report, outcome: RoundOutcome, given: Mapping[PeerId, Canary]
) -> None:
    """Compare what was opened with the plain sum over U3."""
    u3 = outcome.sets["u3"]
    wrong = _wrong_words(outcome.extras, [given[peer] for peer in u3])
    mean = np.mean([given[peer].update for peer in u3], axis=0)
    off = np.abs(np.asarray(outcome.mean) - mean).max()
    if wrong or outcome.error is None or off > outcome.error.worst:
        report.fail(
            "canary",
            f"the sum over {len(u3)} members is not the plain sum: install secagg and"
            " its libraries anew, and have the memory of this machine tested",
        )
        return
    report.ok(
        "canary",
        f"a session of {len(u3)} members, all but this identity made up, opened the"
        " exact sum over TLS on this machine. One with the real members was not tried:"
        " it needs them all to be there, and is the first round",
    )


def _wrong_words(opened: Mapping[str, int], given: Collection[Canary]) -> list[str]:
    """Return the words whose opened sum is not the plain one."""
    return [
        name
        for name, value in opened.items()
        if value != sum(one.words[name] for one in given)
    ]


def _roster(aggregator: Identity, hospitals: Collection[Identity]) -> Roster:
    roles = [(aggregator, AGGREGATOR), *((one, HOSPITAL) for one in hospitals)]
    members = [
        RosterMember(id=one.id, role=role, key=one.key.public, name="canary")
        for one, role in roles
    ]
    members.sort(key=lambda member: member.id)
    return Roster(consortium="canary", version=1, members=tuple(members))
