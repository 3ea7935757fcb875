"""The two programs as processes of their own, over mutual TLS; one is killed."""

import contextlib
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from peers import model_file, records
from peers.demo.processes import free_port
from tests.peers.conftest import PARTY, make_consortium

HOSPITALS = ("basel", "bern", "chur", "geneva", "zug")
VICTIM = "zug"
SECONDS = 60.0

TRAINER = """
import os
import pathlib
import time

import numpy as np

from peers.training import TrainResult

HERE = pathlib.Path(__file__).parent


def first():
    return {"w": np.zeros(500, np.float32)}


def train(state, info):
    time.sleep(info.options["seconds"])
    HERE.joinpath(f"{info.silo}.{info.round_no}.trained").touch()
    return TrainResult({"w": state["w"] + info.options["step"]})
"""
AGGREGATOR = (
    PARTY
    + """
[listen]
host = "127.0.0.1"
port = {port}

[task]
id = "cardio-1"
rounds = 2
clip = 150.0
ready_deadline = 20
linger = 0.5

[task.durations]
masked_input = 3

[model]
factory = "ward:first"

[log]
file = "agg.log"
"""
)
HOSPITAL = (
    PARTY
    + """
aggregator = "wss://127.0.0.1:{port}"

[training]
trainer = "ward:train"
framework = "numpy"

[training.options]
step = {step}
seconds = {seconds}

[log]
file = "{silo}.log"
"""
)


class Programs:
    """The processes of one test, all ended at its end."""

    def __init__(self, folder) -> None:
        self.folder = folder
        self.port = free_port()
        self.key = make_consortium(folder, HOSPITALS).key.hex()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        (folder / "ward.py").write_text(TRAINER)

    def start(self, program, party, text, **values):
        path = self.folder / f"{party}.toml"
        path.write_text(text.format(port=self.port, key=self.key, silo=party, **values))
        with (self.folder / f"{party}.out").open("wb") as output:
            self.processes[party] = subprocess.Popen(
                [sys.executable, "-m", "peers.cli", program, "--config", str(path)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def end(self):
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
            process.wait()

    def said(self, party):
        return (self.folder / f"{party}.out").read_text()

    def events(self, party):
        text = (self.folder / f"{party}.log").read_text()
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def programs(tmp_path):
    """An empty consortium whose processes are ended after the test."""
    made = Programs(tmp_path)
    with contextlib.closing(contextlib.ExitStack()) as stack:
        stack.callback(made.end)
        yield made


def wait_for(path):
    """Return once the file is there; the processes tell each other's story by files."""
    deadline = time.monotonic() + SECONDS
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} never came"
        time.sleep(0.05)


def test_a_killed_hospital_is_left_out_and_comes_back(programs) -> None:
    programs.start("aggregator", "agg", AGGREGATOR)
    for number, silo in enumerate(HOSPITALS, start=1):
        # The victim would train for ever, and is killed while it does.
        seconds = 1000 if silo == VICTIM else 0
        programs.start("hospital", silo, HOSPITAL, step=number, seconds=seconds)
    for silo in HOSPITALS[:-1]:
        wait_for(programs.folder / f"{silo}.1.trained")
    victim = programs.processes[VICTIM]
    victim.send_signal(signal.SIGKILL)
    assert victim.wait(SECONDS) == -signal.SIGKILL
    programs.start("hospital", VICTIM, HOSPITAL, step=5, seconds=0)

    assert programs.processes["agg"].wait(SECONDS) == 0, programs.said("agg")

    first, second = records.read(programs.folder / "agg-state")
    assert first.status == second.status == "released"
    assert second.sets["u3"] == list(HOSPITALS)
    state = model_file.load(
        (programs.folder / "agg-state/model/current.safetensors").read_bytes(), "numpy"
    )
    steps = {silo: number for number, silo in enumerate(HOSPITALS, start=1)}
    moved = sum(
        np.mean([steps[silo] for silo in report.sets["u3"]])
        for report in (first, second)
    )
    assert np.abs(state["w"] - moved).max() < 0.01


def wait_for_event(programs, party, name):
    """Return once a party has logged an event."""
    log = programs.folder / f"{party}.log"
    deadline = time.monotonic() + SECONDS
    while not (
        log.exists() and any(e["event"] == name for e in programs.events(party))
    ):
        assert time.monotonic() < deadline, f"{party} never logged {name}"
        time.sleep(0.02)


def test_a_killed_aggregator_takes_its_session_up_again(programs) -> None:
    programs.start("aggregator", "agg", AGGREGATOR)
    for number, silo in enumerate(HOSPITALS, start=1):
        programs.start("hospital", silo, HOSPITAL, step=number, seconds=0)
    wait_for_event(programs, "agg", "session_began")
    programs.processes["agg"].kill()
    programs.processes["agg"].wait(SECONDS)
    programs.start("aggregator", "agg", AGGREGATOR)

    assert programs.processes["agg"].wait(SECONDS) == 0, programs.said("agg")

    first, second = records.read(programs.folder / "agg-state")
    began = [
        e["session"] for e in programs.events("agg") if e["event"] == "session_began"
    ]
    assert first.attempts == []
    assert (first.session or "").startswith(began[0])
    assert len(first.sets["u3"]) >= 4
    assert second.sets["u3"] == list(HOSPITALS)


def test_a_hospital_that_is_asked_to_stop_says_goodbye(programs) -> None:
    programs.start("aggregator", "agg", AGGREGATOR)
    programs.start("hospital", "bern", HOSPITAL, step=1, seconds=0)
    wait_for(programs.folder / "bern.1.trained")
    programs.processes["bern"].terminate()
    assert programs.processes["bern"].wait(SECONDS) == 0
    assert programs.said("bern") == ""
    programs.processes["agg"].terminate()
    assert programs.processes["agg"].wait(SECONDS) == 0
    assert programs.said("agg") == ""


def test_a_second_process_of_an_identity_is_told(programs) -> None:
    programs.start("aggregator", "agg", AGGREGATOR)
    programs.start("hospital", "bern", HOSPITAL, step=1, seconds=0)
    wait_for(programs.folder / "bern.1.trained")
    first = programs.processes["bern"]
    try:
        programs.start("hospital", "bern", HOSPITAL, step=1, seconds=0)
        assert programs.processes["bern"].wait(SECONDS) == 2
    finally:
        first.kill()
        first.wait()
    said = programs.said("bern")
    assert said.startswith("error: ")
    assert "in use by another process" in said or "another process" in said
    assert "Traceback" not in said
