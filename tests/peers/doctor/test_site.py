"""peers.doctor.site: key file, roster, state and disk, each fault by its own line."""

import contextlib
import shutil
from collections import namedtuple

import pytest

from peers.config import load_hospital
from peers.doctor import site
from peers.doctor.findings import Level, Report
from secagg import errors
from secagg.drivers.aggregator.journal import Journal
from secagg.drivers.clock import SystemClock
from secagg.drivers.postgres import DatabaseUrl
from secagg.drivers.silo.store import FILE_NAME, SqliteStore
from secagg.identity import Identity
from secagg.roster_chain import RosterChain
from tests.peers.doctor.sites import (
    another_key,
    another_role,
    found,
    no_aggregator,
    refound,
    strangers,
)
from tests.peers.test_membership import pem_files
from tests.unit.drivers.silo.test_cross_check import ME, take_part

Usage = namedtuple("Usage", "total used free")


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


UNFIT = [
    (strangers, "hand its card to the consortium"),
    (another_key, "have the consortium rotate the key"),
    (another_role, "have the consortium correct the role"),
]


@pytest.mark.parametrize(("change", "said"), [*UNFIT, (no_aggregator, "no aggregator")])
def test_an_identity_that_does_not_fit_the_pinned_roster_fails(
    consortium, bern, change, said
) -> None:
    refound(consortium, members=change(consortium.roster.members))
    bern.write_text(bern.read_text() + '[policy]\nroster_updates = "pinned"\n')
    report = Report()
    site.check_member(report, load_hospital(bern))
    level, detail = found(report, "roster")
    assert level is Level.FAILED
    assert said in detail


@pytest.mark.parametrize(("change", "said"), UNFIT)
def test_what_the_aggregators_roster_may_mend_is_warned_of(
    consortium, bern, change, said
) -> None:
    refound(consortium, members=change(consortium.roster.members))
    report = Report()
    site.check_member(report, load_hospital(bern))
    level, detail = found(report, "roster")
    assert level is Level.WARNING
    assert said in detail
    assert "see the line `door`" in detail


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
    assert level is Level.WARNING
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
    with SqliteStore(tmp_path), site.held_store(report, tmp_path, ME) as alone:
        assert not alone
    assert found(report, "running")[0] is Level.WARNING


def test_where_no_hospital_runs_its_state_is_held_meanwhile(tmp_path) -> None:
    with SqliteStore(tmp_path):
        pass
    report = Report()
    with site.held_store(report, tmp_path, ME) as alone:
        assert alone
        with pytest.raises(errors.StateError):
            SqliteStore(tmp_path)
    assert report.findings == []


def test_no_state_is_made_to_look_whether_a_hospital_runs(tmp_path) -> None:
    with site.held_store(Report(), tmp_path / "state", ME) as alone:
        assert alone
    assert not (tmp_path / "state").exists()


def test_a_damaged_state_fails(tmp_path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"damaged" * 1000)
    report = Report()
    with site.held_store(report, tmp_path, ME) as alone:
        assert not alone
    assert found(report, "running")[0] is Level.FAILED


def test_an_account_that_lacks_a_charge_fails(tmp_path) -> None:
    """As it would at the start of the hospital (rule 9-5)."""
    with SqliteStore(tmp_path) as store:
        take_part(store, 1, charge=False)
    report = Report()
    with site.held_store(report, tmp_path, ME) as alone:
        assert alone
    level, told = found(report, "account")
    assert level is Level.FAILED
    assert "no charge for round 1" in told


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
