"""Enrolment beside a running consortium: real processes, mutual TLS, no other site.

One test, for the processes are what it costs: rounds go on while a hospital is
accepted, one gets another key, the aggregator too, and one is revoked. Nobody touches
the files of the others.
"""

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import time

import pytest

from peers import records
from tests.peers.test_processes import (
    AGGREGATOR,
    HOSPITAL,
    SECONDS,
    Programs,
    wait_for,
    wait_for_event,
)

STAY = ("basel", "chur", "geneva")
TASK = (
    AGGREGATOR.replace("rounds = 2", "rounds = 100000")
    .replace('roster = "roster.json"', 'roster = "agg.roster.json"')
    .replace("ready_deadline = 20", "ready_deadline = 3")
)
"""Nobody waits long for who is being restarted."""


class Consortium(Programs):
    """The processes, and the consortium's own folder with its key."""

    def __init__(self, folder) -> None:
        super().__init__(folder)
        shutil.copy(folder / "roster.json", folder / "agg.roster.json")
        self.office = folder / "office"
        self.office.mkdir()
        for name in ("roster.json", "consortium.identity.json"):
            shutil.copy(folder / name, self.office / name)

    def secagg(self, *words, cwd=None):
        """Run a command to its end; return what it prints, of JSON the value."""
        ended = subprocess.run(
            [sys.executable, "-m", "peers.cli", *map(str, words)],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            cwd=cwd or self.folder,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def sign(self, action, *words):
        """Have the consortium sign, and the aggregator's operator install."""
        where = ("--roster", "roster.json", "--key", "consortium.identity.json")
        self.secagg("roster", action, *words, *where, cwd=self.office)
        self.secagg(
            "roster", "install", self.office / "roster.json", "--config", "agg.toml"
        )

    def hand_in(self, action, made, *words):
        """Hand in the card of a new identity; the fingerprint is read out."""
        made = json.loads(made)
        self.sign(
            action, self.folder / made["card"], *words,
            "--fingerprint", made["fingerprint"],
        )  # fmt: skip

    def site(self, silo, step):
        """Start a hospital."""
        self.start("hospital", silo, HOSPITAL, step=step, seconds=0)

    def stopped(self, party):
        """Stop a program as an operator does."""
        self.processes[party].send_signal(signal.SIGTERM)
        assert self.processes[party].wait(SECONDS) == 0, self.said(party)

    def round_of(self, silos, after=0):
        """Wait for a later round whose sum has exactly these; return its number."""
        wanted = sorted(silos)
        deadline = time.monotonic() + SECONDS
        while True:
            reports = records.read(self.folder / "agg-state")
            for report in reports:
                if report.round > after and report.sets.get("u3") == wanted:
                    return report.round
            told = [(one.round, one.sets.get("u3")) for one in reports[-3:]]
            assert time.monotonic() < deadline, (told, self.said("agg"))
            time.sleep(0.1)


@pytest.fixture
def consortium(tmp_path):
    """An empty consortium whose processes are ended after the test."""
    made = Consortium(tmp_path)
    with contextlib.closing(contextlib.ExitStack()) as stack:
        stack.callback(made.end)
        yield made


def test_a_site_is_added_rotated_and_removed_and_no_other_does_anything(
    consortium,
) -> None:
    run = consortium
    run.start("aggregator", "agg", TASK)
    for step, silo in enumerate((*STAY, "bern"), start=1):
        run.site(silo, step)
    untouched = {
        path: path.read_bytes()
        for silo in STAY
        for path in run.folder.glob(f"{silo}.*")
        if path.suffix in {".toml", ".json"}
    }
    wait_for(run.folder / "bern.1.trained")

    # A further hospital; it starts with the roster of before, in which it is not.
    run.hand_in("accept", run.secagg("identity", "new", "lugano", "--json"))
    run.site("lugano", 6)
    joined = run.round_of((*STAY, "bern", "lugano"))

    # One gets another key, signed by its old one; its state directory stays.
    made = run.secagg("identity", "rotate", "bern.identity.json", "--json")
    run.hand_in("rotate", made)
    assert run.processes["bern"].wait(SECONDS) == 2
    assert "version 3" in run.said("bern")
    rotated = HOSPITAL.replace("{silo}.identity", "{silo}.2.identity")
    run.start("hospital", "bern", rotated, step=4, seconds=0)
    back = run.round_of((*STAY, "bern", "lugano"), after=joined)

    # So does the aggregator, which alone has to be restarted.
    made = run.secagg("identity", "rotate", "agg.identity.json", "--json")
    run.hand_in("rotate", made)
    wait_for_event(run, "agg", "roster_refused")
    run.stopped("agg")
    run.start("aggregator", "agg", TASK.replace("{silo}.identity", "{silo}.2.identity"))
    renewed = run.round_of((*STAY, "bern", "lugano"), after=back)

    # One is revoked, and learns it from the consortium's own signature.
    run.sign("revoke", "lugano", "--yes")
    assert run.processes["lugano"].wait(SECONDS) == 2
    assert "the consortium revoked it after version 4" in run.said("lugano")
    run.round_of((*STAY, "bern"), after=renewed)

    for silo in STAY:
        assert run.processes[silo].poll() is None, run.said(silo)
        assert run.said(silo) == ""
    assert {path: path.read_bytes() for path in untouched} == untouched
