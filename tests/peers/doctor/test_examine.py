"""peers.doctor.examine: all checks in their order, and the command."""

import json
import socket

from typer.testing import CliRunner

from peers.cli import app
from peers.config import load_hospital
from peers.doctor import examine
from peers.doctor.findings import Level, Report
from peers.membership import Membership
from secagg.drivers.roster_book import RosterBook
from secagg.drivers.silo.store import SqliteStore
from secagg.identity import Identity
from secagg.roster_chain import RosterChain
from tests.peers.doctor.sites import ALL_WELL, found, levels, refound, served, strangers


async def test_a_healthy_hospital_passes(consortium, bern) -> None:
    async with served(consortium, []) as port:
        url = f"wss://127.0.0.1:{port}"
        bern.write_text(bern.read_text().replace("wss://127.0.0.1:1", url))
        report = Report()
        await examine.examine(bern, report)
    assert report.passed, levels(report)
    assert [one.check for one in report.findings] == [
        "configuration",
        "versions",
        "identity",
        "roster",
        "state",
        "disk",
        "packages",
        "engine",
        "trainer",
        *ALL_WELL,
        "canary",
    ]
    assert not (consortium.folder / "state").exists()


async def test_a_hospital_accepted_since_passes_with_an_older_roster(
    consortium, bern
) -> None:
    key = Identity.load(consortium.folder / "consortium.identity.json").key
    members = consortium.roster.members
    older = RosterChain.founded("Cardio", strangers(members), key)
    consortium.write("roster.json", older.to_json())
    newer = RosterBook(older.followed_by(members, key))
    async with served(consortium, [], roster=newer) as port:
        url = f"wss://127.0.0.1:{port}"
        bern.write_text(bern.read_text().replace("wss://127.0.0.1:1", url))
        report = Report()
        await examine.examine(bern, report)
    assert report.passed, levels(report)
    assert found(report, "roster")[0] is Level.WARNING
    assert "let bern in, under version 2" in found(report, "door")[1]


def test_a_policy_that_no_session_meets_yet_is_warned_of(consortium, bern) -> None:
    bern.write_text(bern.read_text() + "[policy]\nmin_members = 5\n")
    config = load_hospital(bern)
    report = Report()
    examine.check_policy(report, config, Membership.of(config, looks=True))
    level, said = found(report, "policy")
    assert level is Level.WARNING
    assert "the roster has 4" in said


async def test_marks_head_and_receipts_are_as_they_were(consortium, bern) -> None:
    state = consortium.folder / "state"
    with SqliteStore(state) as store:
        store.record_joined("cardio-1", 7, 2)
        store.record_spent("cardio-1", 7)
        store.record_head("cardio-1", bytes([7]) * 32)
    async with served(consortium, []) as port:
        url = f"wss://127.0.0.1:{port}"
        bern.write_text(bern.read_text().replace("wss://127.0.0.1:1", url))
        report = Report()
        await examine.examine(bern, report)
    assert report.passed, levels(report)
    assert "door" in levels(report)
    with SqliteStore(state) as store:
        assert store.last_joined("cardio-1") == (7, 2)
        assert store.spent("cardio-1", 7)
        assert not store.spent("cardio-1", 8)
        assert store.head("cardio-1") == bytes([7]) * 32
        assert store.last_joined("secagg-doctor") == (0, 0)
        assert store.receipts("secagg-doctor") == ()


async def test_a_healthy_aggregator_passes(agg) -> None:
    report = Report()
    await examine.examine(agg, report)
    assert report.passed, levels(report)
    assert [one.check for one in report.findings][-6:] == [
        "packages",
        "model",
        "disk",
        "members",
        "listen",
        "canary",
    ]


async def test_a_roster_too_small_for_the_task_fails(consortium, agg) -> None:
    refound(consortium, members=strangers(consortium.roster.members))
    report = Report()
    await examine.examine(agg, report)
    level, said = found(report, "members")
    assert level is Level.FAILED
    assert "3 hospitals" in said


def test_a_port_that_is_taken_is_warned_of() -> None:
    report = Report()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        examine.check_port(report, *taken.getsockname())
    assert found(report, "listen")[0] is Level.WARNING


async def test_a_file_with_a_mistake_is_said_and_no_more_is_tried(consortium) -> None:
    path = consortium.write("bern.toml", 'idenity = "x"\n')
    report = Report()
    await examine.examine(path, report)
    assert levels(report) == {"configuration": "failed"}


def run(path, *options):
    return CliRunner().invoke(app, ["doctor", "--config", str(path), *options])


def test_the_command_ends_with_one_when_something_failed(bern) -> None:
    result = run(bern)
    assert result.exit_code == 1, result.output
    assert "failed   tcp" in result.output
    assert "ok       trainer" in result.output


def test_the_command_speaks_json(bern) -> None:
    result = run(bern, "--json")
    said = json.loads(result.stdout)
    assert (result.exit_code, said["ok"]) == (1, False)
    assert {row["check"] for row in said["checks"]} >= {"configuration", "tcp"}
