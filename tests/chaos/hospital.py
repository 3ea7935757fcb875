"""One hospital of chaos, as a process: the library's own, recorded, and with traps."""

from __future__ import annotations

import contextlib
import functools
import hashlib
from typing import Any

from secagg import RoundOpen, Silo, connect, errors, events
from secagg.client import Client
from secagg.drivers import progress
from secagg.drivers.silo import silo as silo_module
from secagg.drivers.silo.keeper import Keeper
from secagg.drivers.silo.participation import Participation
from secagg.entropy import SystemEntropy
from secagg.names import PeerId
from tests.chaos.records import Records
from tests.chaos.terms import AGGREGATOR, KEEPALIVE_SECONDS, Terms
from tests.chaos.traps import Traps, name_of

SECRETS = ("b_u", "s_sk")
ENDS = (errors.RoundMissed, errors.SessionAborted)
"""How a round may end for a hospital, other than with a mean."""

_SEEN = (progress.Disconnected, progress.Uploaded)


class Drawn(SystemEntropy):
    """The system's entropy; what must never be sent is written down."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def draw(self, label: str, size: int) -> bytes:
        drawn = super().draw(label, size)
        if label in SECRETS:
            self._records.write("drawn", label, drawn)
        return drawn


def watch(terms: Terms, peer: PeerId, records: Records) -> Traps:
    """Have this process's machine, its marks and its effects recorded, and trapped."""
    traps = Traps(terms, peer)

    class RecordedClient(Client):
        def handle(self, event: events.ClientEvent) -> list[events.ClientEffect]:
            effects = super().handle(event)
            records.write("handled", event, list(effects))
            return effects

    persist, carry_out = Keeper.persist, Participation._carry_out

    @functools.wraps(persist)
    def persisted(self: Keeper, effect: Any) -> None:
        persist(self, effect)
        records.write("durable", type(effect).__name__)

    @functools.wraps(carry_out)
    def carried_out(self: Participation, effect: Any) -> bool:
        here = (self.round.round_no, name_of(effect))
        traps.before(*here)
        goes_on = carry_out(self, effect)
        traps.after(*here)
        return goes_on

    # Put in place here, in a process of its own: the library knows nothing of it.
    vars(silo_module)["Client"] = RecordedClient
    Keeper.persist = persisted  # type: ignore[method-assign]
    Participation._carry_out = carried_out  # type: ignore[method-assign]
    return traps


async def live(terms: Terms, peer: PeerId, port: int, records: Records) -> None:
    """Take part in round after round until cancelled."""
    traps = watch(terms, peer, records)
    at: list[int] = [0]

    def observe(event: progress.Progress) -> None:
        if isinstance(event, _SEEN):
            records.write("seen", event)
        if isinstance(event, progress.Uploaded):
            traps.before(at[0], "Uploaded")
            traps.after(at[0], "Uploaded")

    async with connect(
        f"wss://127.0.0.1:{port}",
        identity=terms.consortium.silos[peer],
        roster=terms.consortium.roster,
        state=terms.state(peer),
        keepalive=KEEPALIVE_SECONDS,
        aggregator=AGGREGATOR,
        engine="numpy-threads",
        observer=observe,
        entropy=Drawn(records),
    ) as silo:
        while True:
            opened = await silo.next_round()
            at[0] = opened.round_no
            with contextlib.suppress(*ENDS):
                await _round(terms, peer, silo, opened, records)


async def _round(
    terms: Terms, peer: PeerId, silo: Silo, opened: RoundOpen, records: Records
) -> None:
    mean = await silo.contribute(terms.update(peer, opened.round_no))
    last = silo.last_round
    assert last is not None
    digest = hashlib.sha256(mean.tobytes()).digest()
    records.write("mean", last.sid, last.included, last.sets["u3"], digest)
