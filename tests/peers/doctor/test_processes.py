"""``secagg doctor`` beside real processes: it takes part in nothing."""

import contextlib
import json
import subprocess
import sys

import pytest

from secagg.drivers.aggregator.journal import FILE_NAME, Journal
from tests.peers.test_processes import (
    AGGREGATOR,
    HOSPITAL,
    SECONDS,
    Programs,
    wait_for,
    wait_for_event,
)


@pytest.fixture
def programs(tmp_path):
    """A consortium whose aggregator runs; ended after the test."""
    made = Programs(tmp_path)
    with contextlib.closing(contextlib.ExitStack()) as stack:
        stack.callback(made.end)
        made.start("aggregator", "agg", AGGREGATOR)
        wait_for_event(made, "agg", "listening")
        yield made


def doctor(programs, party):
    """Run the doctor; return its exit code and its findings by check."""
    path = programs.folder / f"{party}.toml"
    ended = subprocess.run(
        [sys.executable, "-m", "peers.cli", "doctor", "--config", path, "--json"],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.stderr == ""
    said = json.loads(ended.stdout)
    assert said["ok"] == (ended.returncode == 0)
    return ended.returncode, {row["check"]: row["level"] for row in said["checks"]}


def write(programs, party):
    text = HOSPITAL.format(
        port=programs.port, key=programs.key, silo=party, step=1, seconds=0
    )
    (programs.folder / f"{party}.toml").write_text(text)


def test_a_doctor_finds_the_aggregator_and_joins_nothing(programs) -> None:
    write(programs, "bern")
    code, levels = doctor(programs, "bern")
    assert (code, set(levels.values())) == (0, {"ok"})
    assert {"door", "canary"} <= set(levels)
    # Neither marks nor links nor receipts of ours: there is no state at all.
    assert not (programs.folder / "bern-state").exists()

    programs.end()
    state = programs.folder / "agg-state"
    assert (state / FILE_NAME).exists()
    with contextlib.closing(Journal(state, members=6)) as journal:
        assert journal.newest_session("cardio-1", 1) is None
    assert programs.events("agg")[-1]["event"] == "disconnected"
    assert "peer_ready" not in {event["event"] for event in programs.events("agg")}

    code, levels = doctor(programs, "bern")
    assert (code, levels["tcp"], levels["canary"]) == (1, "failed", "ok")


def test_a_doctor_does_not_disturb_the_hospital_that_runs(programs) -> None:
    programs.start("hospital", "bern", HOSPITAL, step=1, seconds=0)
    wait_for(programs.folder / "bern.1.trained")
    code, levels = doctor(programs, "bern")
    assert (code, levels["running"], levels["rosters"]) == (0, "warning", "ok")
    assert "door" not in levels
    assert programs.processes["bern"].poll() is None
    connected = [e for e in programs.events("agg") if e["event"] == "connected"]
    assert len(connected) == 1
