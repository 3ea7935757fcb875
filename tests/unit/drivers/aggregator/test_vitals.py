"""secagg.drivers.aggregator.vitals: lives with its journal, ready with room and a port.

What is said names nobody.
"""

import json
import shutil
from collections import namedtuple

import pytest

import secagg
from secagg.consortium import Consortium
from secagg.drivers.aggregator.connections import Connections
from secagg.drivers.aggregator.journal import Journal
from secagg.drivers.aggregator.vitals import Vitals, needed_bytes
from secagg.drivers.roster_book import RosterBook
from secagg.drivers.wire.connection import Connection
from secagg.drivers.wire.memory import pair

CONSORTIUM = Consortium.of(4, b"vitals")
TASK = secagg.Task(task_id="demo", length=1_000_000, clip=1.0)
NEEDED = needed_bytes(4, 1_000_000)
Usage = namedtuple("Usage", "total used free")


class Site:
    """An aggregator's parts, on a disk with so many bytes left."""

    def __init__(self, folder, monkeypatch, free=NEEDED) -> None:
        self.journal = Journal(folder, members=5)
        self.connections = Connections()
        self.listens = True
        self.vitals = Vitals(
            task=TASK,
            book=RosterBook(CONSORTIUM.roster),
            directory=folder,
            journal=self.journal,
            connections=self.connections,
            listens=lambda: self.listens,
        )
        monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free, 0, free))


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A site where all is well."""
    made = Site(tmp_path, monkeypatch)
    yield made
    made.journal.close()


async def test_it_lives_while_its_journal_answers(site) -> None:
    verdict = await site.vitals.checks["/healthz"]()
    assert verdict.good
    site.journal.close()
    verdict = await site.vitals.checks["/healthz"]()
    assert (verdict.good, verdict.facts) == (False, {"journal": "failed"})


async def test_it_is_ready_with_a_port_and_room(site) -> None:
    verdict = await site.vitals.checks["/readyz"]()
    assert verdict.good
    assert verdict.facts == {
        "roster_version": 1,
        "hospitals": 4,
        "connected": 0,
        "listening": True,
        "disk": "ok",
    }


async def test_without_a_port_it_is_not_ready(site) -> None:
    site.listens = False
    assert not (await site.vitals.ready()).good


async def test_below_the_floor_of_the_disk_it_is_not_ready(
    tmp_path, monkeypatch
) -> None:
    site = Site(tmp_path, monkeypatch, free=NEEDED - 1)
    verdict = await site.vitals.ready()
    site.journal.close()
    assert (verdict.good, verdict.facts["disk"]) == (False, "low")


async def test_who_is_connected_is_counted_and_not_named(site) -> None:
    for peer in CONSORTIUM.silos:
        near, _ = pair()
        site.connections.admit(
            Connection(near, peer=peer, hc=bytes(32), roster=CONSORTIUM.roster)
        )
    text = json.dumps(dict((await site.vitals.ready()).facts))
    assert '"connected": 4' in text
    assert not any(peer in text for peer in CONSORTIUM.silos)


@pytest.mark.parametrize(
    ("hospitals", "length", "spooled"), [(4, 10, 160), (100, 10**6, 4 * 10**8)]
)
def test_a_round_needs_every_masked_vector_two_models_and_a_little(
    hospitals, length, spooled
) -> None:
    assert needed_bytes(hospitals, length) - spooled - 16 * length == 64 << 20
