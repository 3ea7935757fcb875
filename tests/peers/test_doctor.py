"""peers.doctor: each fault is found by its own line, with what to do about it."""

import asyncio
import contextlib
import importlib.util
import json
import shutil
import socket
import sys
from collections import namedtuple
from dataclasses import replace

import pytest
from typer.testing import CliRunner

import secagg
from peers.cli import app
from peers.config import load_aggregator, load_hospital
from peers.doctor import canary, code, examine, line, site
from peers.doctor.findings import Level, Report
from peers.membership import Membership
from secagg import errors
from secagg.consortium import Consortium
from secagg.drivers import progress
from secagg.drivers.aggregator.journal import Journal
from secagg.drivers.clock import SystemClock
from secagg.drivers.postgres import DatabaseUrl
from secagg.drivers.silo.store import FILE_NAME, SqliteStore
from secagg.entropy import SeededEntropy
from secagg.identity import Identity
from secagg.names import PeerId
from secagg.roster import AGGREGATOR, HOSPITAL, SignedRoster
from secagg.roster_chain import RosterChain
from tests.peers.test_membership import pem_files

WARD = """
import numpy as np


def first():
    return {"w": np.zeros(500, np.float32)}


def train(state, info):
    raise AssertionError("a doctor does not train")


def alone(state):
    raise AssertionError
"""
HOSPITAL_FILE = """
aggregator = "{url}"
identity = "bern.identity.json"
roster = "roster.json"
consortium_key = "{key}"
state = "state"

[training]
trainer = "infirmary:train"
framework = "numpy"
"""
AGGREGATOR_FILE = """
identity = "agg.identity.json"
roster = "roster.json"
consortium_key = "{key}"
state = "state"

[listen]
host = "127.0.0.1"
port = 0

[task]
id = "cardio-1"
rounds = 2
clip = 1.0

[model]
factory = "infirmary:first"
"""
Usage = namedtuple("Usage", "total used free")


class Skewed(SystemClock):
    """This machine's clock, so many milliseconds off."""

    def __init__(self, off: int) -> None:
        self._off = off

    def now_ms(self) -> int:
        return super().now_ms() + self._off


def fields(text, consortium, **changes):
    """Return a file with some of its values changed."""
    given = {"url": "wss://127.0.0.1:1", "key": consortium.key.hex(), **changes}
    return text.format(**given)


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch):
    """Let the site's code be found, and forgotten after the test."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    sys.modules.pop("infirmary", None)


@pytest.fixture
def bern(consortium):
    """The path of bern's file; the aggregator answers nowhere."""
    consortium.write("infirmary.py", WARD)
    return consortium.write("bern.toml", fields(HOSPITAL_FILE, consortium))


@pytest.fixture
def agg(consortium):
    """The path of the aggregator's file."""
    consortium.write("infirmary.py", WARD)
    return consortium.write("agg.toml", fields(AGGREGATOR_FILE, consortium))


def found(report, check):
    """The level and the words of a check's only line."""
    (one,) = [one for one in report.findings if one.check == check]
    return one.level, one.detail


def levels(report):
    return {one.check: one.level.value for one in report.findings}


def refound(consortium, **changes):
    """Sign the roster anew, with changes."""
    signer = Identity.load(consortium.folder / "consortium.identity.json")
    roster = replace(consortium.roster, **changes)
    signed = SignedRoster.sign(roster, signer.key)
    chain = RosterChain.opened([signed], signer.key.public)
    consortium.write("roster.json", chain.to_json())
    return roster


# --- findings


def test_warnings_pass_and_failures_do_not() -> None:
    report = Report()
    report.ok("a", "good")
    report.warn("b", "mind this")
    before = report.passed
    report.fail("c", "mend this")
    assert (before, report.passed) == (True, False)
    assert [one.row()["level"] for one in report.findings] == [
        "ok",
        "warning",
        "failed",
    ]


def test_each_finding_is_shown_as_it_comes() -> None:
    shown: list[str] = []
    report = Report(lambda finding: shown.append(finding.check))
    report.ok("a", "")
    assert shown == ["a"]


def test_an_error_that_says_its_remedy_is_a_failure() -> None:
    report = Report()
    with report.checking("state"):
        raise errors.StateError("free some space")
    assert found(report, "state") == (Level.FAILED, "free some space")


def test_an_error_of_the_doctor_itself_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError), Report().checking("state"):
        raise ZeroDivisionError


# --- keys and roster


def test_who_we_are_is_said_with_the_fingerprint(consortium, bern) -> None:
    report = Report()
    member = site.check_member(report, load_hospital(bern))
    assert member is not None
    assert member.identity.fingerprint in found(report, "identity")[1]
    level, said = found(report, "roster")
    assert level is Level.OK
    assert consortium.roster.hash.hex()[:12] in said


def test_a_key_file_that_others_may_read_fails(consortium, bern) -> None:
    (consortium.folder / "bern.identity.json").chmod(0o644)
    report = Report()
    assert site.check_member(report, load_hospital(bern)) is None
    level, said = found(report, "identity")
    assert level is Level.FAILED
    assert "chmod 600" in said


def strangers(members):
    return tuple(m for m in members if m.id != "bern")


def another_key(members):
    key = Identity.generate(PeerId("bern"), SeededEntropy(b"other")).key.public
    return tuple(replace(m, key=key) if m.id == "bern" else m for m in members)


def another_role(members):
    return tuple(
        replace(m, role="aggregator") if m.id == "bern" else m for m in members
    )


def no_aggregator(members):
    return tuple(m for m in members if m.role == HOSPITAL)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (strangers, "bern is not in it: send the card"),
        (another_key, "have the consortium rotate the key"),
        (another_role, "bern is no hospital in it"),
        (no_aggregator, "no aggregator is in it"),
    ],
)
def test_an_identity_that_does_not_fit_the_roster_fails(
    consortium, bern, change, said
) -> None:
    refound(consortium, members=change(consortium.roster.members))
    report = Report()
    site.check_member(report, load_hospital(bern))
    level, detail = found(report, "roster")
    assert level is Level.FAILED
    assert said in detail


def test_who_was_revoked_is_told_so_and_not_to_hand_in_its_card(
    consortium, bern
) -> None:
    signer = Identity.load(consortium.folder / "consortium.identity.json")
    path = consortium.folder / "roster.json"
    chain = RosterChain.from_json(path.read_text(), signer.key.public)
    after = chain.followed_by(strangers(consortium.roster.members), signer.key)
    consortium.write("roster.json", after.to_json())
    report = Report()
    site.check_member(report, load_hospital(bern))
    level, detail = found(report, "roster")
    assert level is Level.FAILED
    assert "revoked it after version 1" in detail
    assert "card" not in detail


@pytest.mark.parametrize(
    ("days", "level"), [(15, Level.OK), (13, Level.WARNING), (-1, Level.FAILED)]
)
def test_a_sites_own_certificate_is_looked_at(tmp_path, days, level) -> None:
    report = Report()
    tls = pem_files(tmp_path, days=(-2, days))
    site.check_certificate(report, tls, SystemClock().now_ms())
    assert found(report, "certificate")[0] is level


# --- state and disk


def test_a_state_directory_that_is_not_there_is_not_made(tmp_path) -> None:
    report = Report()
    site.check_state(report, tmp_path / "a" / "state")
    assert found(report, "state")[0] is Level.OK
    assert not (tmp_path / "a").exists()


def test_a_state_directory_is_left_as_it_is(tmp_path) -> None:
    report = Report()
    site.check_state(report, tmp_path)
    assert found(report, "state")[0] is Level.OK
    assert list(tmp_path.iterdir()) == []


def test_a_state_directory_that_others_may_write_fails(tmp_path) -> None:
    tmp_path.chmod(0o777)
    report = Report()
    site.check_state(report, tmp_path)
    assert "chmod go-w" in found(report, "state")[1]


def test_a_state_directory_that_cannot_be_written_fails(tmp_path, monkeypatch) -> None:
    def full(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    report = Report()
    site.check_state(report, tmp_path)
    level, said = found(report, "state")
    assert level is Level.FAILED
    assert "free some space" in said


@pytest.mark.parametrize(
    ("free", "level"),
    [
        (site.SMALL_DISK, Level.OK),
        (site.SMALL_DISK - 1, Level.WARNING),
        (1, Level.FAILED),
    ],
)
def test_a_hospitals_disk_is_measured(tmp_path, monkeypatch, free, level) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free, 0, free))
    report = Report()
    site.check_disk(report, tmp_path / "state")
    assert found(report, "disk")[0] is level


@pytest.mark.parametrize(("free", "level"), [(100, Level.OK), (99, Level.FAILED)])
def test_an_aggregators_disk_is_held_against_a_round(
    tmp_path, monkeypatch, free, level
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free, 0, free))
    report = Report()
    site.check_room(report, tmp_path, 100)
    assert found(report, "disk")[0] is level


def test_a_hospital_that_runs_is_noticed_and_left_alone(tmp_path) -> None:
    report = Report()
    with SqliteStore(tmp_path), site.held_store(report, tmp_path) as alone:
        assert not alone
    assert found(report, "running")[0] is Level.WARNING


def test_where_no_hospital_runs_its_state_is_held_meanwhile(tmp_path) -> None:
    with SqliteStore(tmp_path):
        pass
    report = Report()
    with site.held_store(report, tmp_path) as alone:
        assert alone
        with pytest.raises(errors.StateError):
            SqliteStore(tmp_path)
    assert report.findings == []


def test_no_state_is_made_to_look_whether_a_hospital_runs(tmp_path) -> None:
    with site.held_store(Report(), tmp_path / "state") as alone:
        assert alone
    assert not (tmp_path / "state").exists()


def test_a_damaged_state_fails(tmp_path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"damaged" * 1000)
    report = Report()
    with site.held_store(report, tmp_path) as alone:
        assert not alone
    assert found(report, "running")[0] is Level.FAILED


def test_a_journals_server_that_does_not_answer_fails(tmp_path) -> None:
    pytest.importorskip("psycopg", reason="the extra postgres")
    report = Report()
    url = f"postgresql://agg:unsaid@/journal?host={tmp_path}"
    site.check_journal(report, DatabaseUrl(url))
    level, said = found(report, "journal")
    assert level is Level.FAILED
    assert "unsaid" not in said


def test_a_journals_server_is_tried_beside_a_running_aggregator(postgres_url) -> None:
    url = DatabaseUrl(postgres_url)
    report = Report()
    with contextlib.closing(Journal(url, members=5)):
        site.check_journal(report, url)
    assert found(report, "journal")[0] is Level.OK


def test_versions_name_the_protocol() -> None:
    report = Report()
    site.check_versions(report)
    assert "protocol secagg/1" in found(report, "versions")[1]


def test_an_engine_that_is_not_there_fails() -> None:
    report = Report()
    site.check_engine(report, "abacus")
    assert found(report, "engine")[0] is Level.FAILED


# --- the site's code


@pytest.mark.parametrize(
    ("given", "packages"),
    [
        ("", []),
        ('engine = "triton"\n', ["torch", "triton"]),
        ('engine = "numba-threads"\n', ["numba"]),
    ],
)
def test_what_the_configuration_asks_for_is_known(consortium, given, packages) -> None:
    consortium.write("infirmary.py", WARD)
    text = given + fields(HOSPITAL_FILE, consortium)
    config = load_hospital(consortium.write("bern.toml", text))
    assert [row[0] for row in code.hospital_packages(config)] == packages


def test_torch_is_asked_for_by_the_framework(consortium) -> None:
    text = fields(HOSPITAL_FILE, consortium).replace('"numpy"', '"torch"')
    config = load_hospital(consortium.write("bern.toml", text))
    assert code.hospital_packages(config)[0][:2] == ("torch", "torch")


def test_noise_and_a_cluster_ask_for_their_packages(consortium) -> None:
    text = fields(AGGREGATOR_FILE, consortium) + (
        "[privacy]\nnoise_multiplier = 1.0\nepsilon = 8.0\ndelta = 1e-5\n"
        '[unmasking]\ndask = "tls://x:1"\n'
        '[journal]\nurl = "postgresql:///x?host=/nowhere"\n'
    )
    config = load_aggregator(consortium.write("agg.toml", text))
    assert [row[0] for row in code.aggregator_packages(config)] == [
        "dp_accounting",
        "psycopg",
        "distributed",
    ]


def test_a_package_that_is_missing_fails_with_its_extra(monkeypatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    report = Report()
    code.check_packages(report, [("numba", "fast", "engine")])
    level, said = found(report, "packages")
    assert level is Level.FAILED
    assert "pip install 'secagg[fast]'" in said


@pytest.mark.parametrize(
    ("trainer", "level", "said"),
    [
        ("infirmary:train", Level.OK, "takes (state_dict, round_info)"),
        ("infirmary:alone", Level.FAILED, "two positional parameters"),
        ("infirmary:trian", Level.FAILED, "it has:"),
        ("infirmery:train", Level.FAILED, "did you mean 'infirmary'"),
    ],
)
def test_the_trainer_is_loaded_and_not_run(
    consortium, bern, trainer, level, said
) -> None:
    bern.write_text(bern.read_text().replace("infirmary:train", trainer))
    report = Report()
    code.check_trainer(report, load_hospital(bern), consortium.folder)
    assert found(report, "trainer")[0] is level
    assert said in found(report, "trainer")[1]


def test_the_model_is_made_and_not_stored(consortium, agg) -> None:
    report = Report()
    task = code.check_model(report, load_aggregator(agg), consortium.folder)
    assert task is not None
    assert task.length == 500
    assert not (consortium.folder / "state").exists()


def test_a_factory_that_does_not_load_fails(consortium, agg) -> None:
    agg.write_text(agg.read_text().replace("infirmary:first", "infirmary:last"))
    report = Report()
    assert code.check_model(report, load_aggregator(agg), consortium.folder) is None
    assert found(report, "model")[0] is Level.FAILED


# --- the line


@contextlib.asynccontextmanager
async def served(consortium, seen, roster=None, **changes):
    """Run the consortium's aggregator in this process; yield its port."""
    given = {
        "identity": Identity.load(consortium.folder / "agg.identity.json"),
        "roster": roster or consortium.roster,
        "task": secagg.Task(task_id="cardio-1", length=5, clip=1.0),
        "observer": seen.append,
        **changes,
    }
    async with secagg.serve("127.0.0.1", 0, **given) as aggregator:
        yield aggregator.port


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


ALL_WELL = ["name", "tcp", "tls", "clock", "rosters", "door"]


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


# --- the canary


@pytest.mark.parametrize(("ours", "role"), [("bern", HOSPITAL), ("agg", AGGREGATOR)])
async def test_a_canary_session_ends_in_the_exact_sum(consortium, ours, role) -> None:
    identity = Identity.load(consortium.folder / f"{ours}.identity.json")
    before = sorted(consortium.folder.rglob("*"))
    report = Report()
    await canary.check_canary(report, identity, role, entropy=SeededEntropy(b"canary"))
    level, said = found(report, "canary")
    assert level is Level.OK, said
    assert "with the real members was not tried" in said
    assert sorted(consortium.folder.rglob("*")) == before


def test_a_cohort_has_ours_in_its_role_and_everybody_once() -> None:
    ours = Identity.generate(PeerId("canary-1"), SeededEntropy(b"ours"))
    for role in (HOSPITAL, AGGREGATOR):
        cohort = canary.Cohort.around(ours, role, SeededEntropy(b"cohort"))
        assert len(cohort.silos) == canary.MEMBERS
        assert cohort.roster.member("canary-1").role == role
        assert cohort.roster.member("canary-1").key == ours.key.public


async def test_a_sum_that_is_off_by_one_fails() -> None:
    ours = Identity.generate(PeerId("bern"), SeededEntropy(b"bern"))
    entropy = SeededEntropy(b"canary")
    cohort = canary.Cohort.around(ours, HOSPITAL, entropy)
    given = {peer: canary.Canary.drawn(entropy) for peer in cohort.silos}
    outcome = await canary._session(cohort, given, "auto")
    good = given[ours.id]
    bad = {
        "word": replace(
            good, words={**good.words, "canary_0": good.words["canary_0"] ^ 1}
        ),
        "update": replace(good, update=good.update + 0.1),
    }
    for other in bad.values():
        report = Report()
        canary._compare(report, outcome, {**given, ours.id: other})
        assert found(report, "canary")[0] is Level.FAILED


async def test_a_session_that_takes_too_long_fails(monkeypatch) -> None:
    async def stuck(*_):
        await asyncio.Event().wait()

    monkeypatch.setattr(canary, "_session", stuck)
    monkeypatch.setattr(canary, "SECONDS", 0)
    ours = Identity.generate(PeerId("bern"), SeededEntropy(b"bern"))
    report = Report()
    await canary.check_canary(report, ours, HOSPITAL, entropy=SeededEntropy(b""))
    assert found(report, "canary")[0] is Level.FAILED


# --- all of it


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
