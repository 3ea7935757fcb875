"""peers.demo.hospital_process: a hospital holds still at its point, not elsewhere."""

import pytest

from peers.config_sections import Log
from peers.demo import hospital_process
from peers.demo.hospital_process import Holder
from peers.demo.plan import Death, Point
from peers.logs import opened_log
from secagg.drivers.progress import PhaseReached, Progress, SessionBegan, Uploaded
from secagg.names import PeerId, SessionId

SID = SessionId(bytes(32))
MEMBERS = (PeerId("lake"), PeerId("river"))
STORY: list[Progress] = [
    PhaseReached(sid=None, phase="ready"),
    PhaseReached(sid=SID, phase="advertised"),
    PhaseReached(sid=SID, phase="shared"),
    PhaseReached(sid=SID, phase="acked"),
    PhaseReached(sid=SID, phase="masking"),
    *(Uploaded(sid=SID, sent_bytes=sent, total_bytes=5) for sent in range(1, 6)),
    PhaseReached(sid=SID, phase="masked"),
    PhaseReached(sid=SID, phase="voted"),
    PhaseReached(sid=SID, phase="released"),
    PhaseReached(sid=None, phase="idle"),
]
HELD_AT = {
    Point.BEFORE_SHARING: STORY[2],
    Point.HALF_SENT: Uploaded(sid=SID, sent_bytes=3, total_bytes=5),
    Point.AFTER_INPUT: STORY[-2],
}


class HoldingError(Exception):
    """Stands in for holding still."""


@pytest.fixture
def log(tmp_path):
    """A log file's logger."""
    with opened_log(Log(file=tmp_path / "lake.log")) as logger:
        yield logger


def held_at(log, point, round_no, monkeypatch):
    """The event of a round at which a holder for round 4 stops, if any."""

    def hold():
        raise HoldingError

    monkeypatch.setattr(hospital_process, "_hold", hold)
    holder = Holder([Death(round_no=4, hospital="lake", point=point)], log)
    began = SessionBegan(sid=SID, round_no=round_no, attempt=1, members=MEMBERS)
    for event in [began, *STORY]:
        try:
            holder.observe(event)
        except HoldingError:
            return event
    return None


@pytest.mark.parametrize("point", Point)
def test_it_holds_still_at_its_point(log, point, monkeypatch) -> None:
    assert held_at(log, point, 4, monkeypatch) == HELD_AT[point]


@pytest.mark.parametrize("point", Point)
def test_it_goes_on_in_every_other_round(log, point, monkeypatch) -> None:
    assert held_at(log, point, 3, monkeypatch) is None


def test_it_says_so_before(log, tmp_path, monkeypatch) -> None:
    held_at(log, Point.HALF_SENT, 4, monkeypatch)
    assert hospital_process.HELD in (tmp_path / "lake.log").read_text()
