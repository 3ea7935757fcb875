"""A process of chaos: what it runs, and how it ends with whoever started it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from peers.background import until_signalled
from peers.demo.processes import end_with_parent, send_output_to
from secagg import kernels
from secagg.names import PeerId
from tests.chaos import aggregator, hospital
from tests.chaos.records import Records
from tests.chaos.terms import AGGREGATOR, Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One life of one party.

    Attributes:
        terms: of its world.
        party: who.
        number: of the life, from 0.
        port: where it dials, or listens.
    """

    terms: Terms
    party: PeerId
    number: int
    port: int


def main(life: Life) -> None:
    """Live until done, stopped or killed."""
    # A life is short: to load a compiler takes longer than the loops that it would
    # speed up. Both forms of them give the same to the last bit.
    vars(kernels)["INSTALLED"] = False
    end_with_parent()
    records = Records(life.terms.log(life.party, life.number))
    send_output_to(life.terms.said(life.party, life.number))
    if life.party == AGGREGATOR:
        asyncio.run(until_signalled(aggregator.live(life.terms, records)))
    else:
        living = hospital.live(life.terms, life.party, life.port, records)
        asyncio.run(until_signalled(living))
