"""peers.doctor.line: as far as it goes well, and the first fault."""

import socket
from dataclasses import replace

import pytest

import secagg
from peers.config import load_hospital
from peers.doctor import line
from peers.doctor.findings import Level, Report
from peers.membership import Membership
from secagg import errors
from secagg.consortium import Consortium
from secagg.drivers import progress
from secagg.drivers.clock import SystemClock
from secagg.entropy import SeededEntropy
from tests.peers.doctor.sites import (
    ALL_WELL,
    another_key,
    another_role,
    found,
    levels,
    refound,
    served,
)


class Skewed(SystemClock):
    """This machine's clock, so many milliseconds off."""

    def __init__(self, off: int) -> None:
        self._off = off

    def now_ms(self) -> int:
        return super().now_ms() + self._off


def way(bern, url, clock=None):
    bern.write_text(bern.read_text().replace("wss://127.0.0.1:1", url))
    config = load_hospital(bern)
    member = Membership.of(config)
    return line.Way(
        config=config,
        member=member,
        aggregator=line.aggregator_of(member),
        clock=clock or SystemClock(),
        entropy=SeededEntropy(b"doctor"),
    )


async def looked_at(way, *, alone=True):
    report = Report()
    await line.check_line(report, way, alone=alone)
    return report


def entered(seen):
    return [event for event in seen if isinstance(event, progress.Connected)]


async def test_a_line_that_is_well_goes_to_the_door(consortium, bern) -> None:
    seen: list[progress.Progress] = []
    async with served(consortium, seen) as port:
        report = await looked_at(way(bern, f"wss://127.0.0.1:{port}"))
    assert levels(report) == dict.fromkeys(ALL_WELL, "ok")
    assert [event.peer for event in entered(seen)] == ["bern"]


async def test_beside_a_running_hospital_the_door_is_not_tried(
    consortium, bern
) -> None:
    seen: list[progress.Progress] = []
    async with served(consortium, seen) as port:
        report = await looked_at(way(bern, f"wss://127.0.0.1:{port}"), alone=False)
    assert levels(report) == dict.fromkeys(ALL_WELL[:-1], "ok")
    assert entered(seen) == []


async def test_a_hospital_that_runs_elsewhere_is_warned_of_and_comes_back(
    consortium, bern, monkeypatch
) -> None:
    monkeypatch.setattr(line, "BACK_SECONDS", 60)
    seen: list[progress.Progress] = []
    async with served(consortium, seen) as port:
        url = f"wss://127.0.0.1:{port}"
        here = way(bern, url)
        elsewhere = secagg.connect(
            url,
            identity=here.member.identity,
            roster=consortium.roster,
            policy=secagg.Policy(),
            state=secagg.MemoryStore(),
        )
        async with elsewhere as silo:
            report = await looked_at(here)
            assert silo.connected
    level, said = found(report, "running")
    assert level is Level.WARNING
    assert "another process is connected as bern" in said
    assert [event.peer for event in entered(seen)] == ["bern"] * 3


async def test_a_name_that_is_unknown_stops_there(bern, monkeypatch) -> None:
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    report = await looked_at(way(bern, "wss://agg.example:8443"))
    assert levels(report) == {"name": "failed"}
    assert "DNS" in found(report, "name")[1]


async def test_a_port_where_nothing_answers_stops_there(bern) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        report = await looked_at(way(bern, f"wss://127.0.0.1:{port}"))
    assert levels(report) == {"name": "ok", "tcp": "failed"}
    assert "that the aggregator runs" in found(report, "tcp")[1]


async def test_another_aggregator_in_its_place_stops_at_tls(consortium, bern) -> None:
    other = Consortium.of(4, b"others")
    changes = {"identity": other.aggregator, "roster": other.roster}
    async with served(consortium, [], **changes) as port:
        report = await looked_at(way(bern, f"wss://127.0.0.1:{port}"))
    assert levels(report) == {"name": "ok", "tcp": "ok", "tls": "failed"}
    assert "Compare fingerprints" in found(report, "tls")[1]


async def test_an_aggregator_that_does_not_know_us_is_found_at_tls(
    consortium, bern
) -> None:
    roster = replace(consortium.roster, members=another_key(consortium.roster.members))
    async with served(consortium, [], roster=roster) as port:
        report = await looked_at(way(bern, f"wss://127.0.0.1:{port}"))
    assert levels(report)["tls"] == "failed"
    assert "its roster has another key" in found(report, "tls")[1]


async def test_another_roster_is_said_with_both_and_the_door_not_tried(
    consortium, bern
) -> None:
    roster = replace(consortium.roster, previous=bytes(32))
    seen: list[progress.Progress] = []
    async with served(consortium, seen, roster=roster) as port:
        report = await looked_at(way(bern, f"wss://127.0.0.1:{port}"))
    level, said = found(report, "rosters")
    assert level is Level.FAILED
    assert roster.hash.hex()[:12] in said
    assert consortium.roster.hash.hex()[:12] in said
    assert "door" not in levels(report)
    assert seen == []


@pytest.mark.parametrize(
    ("off", "level"),
    [(0, "ok"), (60_000, "warning"), (-60_000, "warning"), (400_000, "failed")],
)
async def test_the_clocks_are_compared(consortium, bern, off, level) -> None:
    async with served(consortium, [], without_tls=True) as port:
        skewed = way(bern, f"ws://127.0.0.1:{port}", Skewed(off))
        report = await looked_at(skewed)
    assert levels(report)["clock"] == level
    assert levels(report)["tls"] == "warning"
    if level != "ok":
        assert "NTP" in found(report, "clock")[1]


async def test_through_a_proxy_the_proxy_is_looked_for(bern) -> None:
    bern.write_text('proxy = "http://127.0.0.1:1"\n' + bern.read_text())
    report = await looked_at(way(bern, "wss://agg.example:8443"))
    assert "127.0.0.1:1" in found(report, "tcp")[1]


def test_two_aggregators_leave_open_which_is_meant(consortium, bern) -> None:
    refound(consortium, members=another_role(consortium.roster.members))
    member = Membership.of(load_hospital(bern))
    with pytest.raises(errors.ConnectionRefused, match="exactly one"):
        line.aggregator_of(member)
