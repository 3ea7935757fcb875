"""The run itself: starts every process, watches their logs, kills and starts again.

The aggregator is ``secagg aggregator``. Hospitals are processes of a fork server that
has torch loaded once, so that one that was killed is back in a moment. What happens is
read from the JSON logs and from the aggregator's records, as an operator would.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Final

from peers import records
from peers.demo import hospital_process
from peers.demo.hospital_process import HELD, HospitalSpec
from peers.demo.plan import Death, of_hospital
from peers.demo.processes import SIGKILLED, fork_server
from peers.demo.workplace import AGGREGATOR, Workplace
from peers.records import RoundReport

POLL_SECONDS: Final = 0.02
STOP_SECONDS: Final = 10.0


class DemoError(Exception):
    """The run did not go as scripted; says what to look at."""


class Tail:
    """The new lines of a growing log."""

    def __init__(self, path: Path) -> None:
        """Begin at the start of `path`, which may not exist yet."""
        self._path = path
        self._offset = 0

    def events(self) -> list[dict[str, Any]]:
        """Return the log's events since the last call."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            whole, end, _ = file.read().rpartition(b"\n")
        self._offset += len(whole) + len(end)
        return [json.loads(line) for line in whole.splitlines()]


class Stage:
    """The processes of one run."""

    def __init__(self, place: Workplace, script: Sequence[Death]) -> None:
        """Prepare; `run` starts the processes.

        Args:
            place: the prepared folder.
            script: who dies when.
        """
        self.killed: list[Death] = []
        self._place = place
        self._due = list(script)
        self._context = fork_server(hospital_process.__name__)
        self._aggregator: subprocess.Popen[bytes] | None = None
        self._hospitals: dict[str, ForkServerProcess] = {}
        self._tails = {silo: Tail(place.log(silo)) for silo in place.terms.hospitals}
        self._held: set[str] = set()

    def run(
        self,
        reported: Callable[[RoundReport], None],
        told: Callable[[str], None],
        *,
        limit_seconds: float,
    ) -> None:
        """Run all rounds.

        Args:
            reported: is told of every round.
            told: is told in a few words what goes on.
            limit_seconds: how long it may take.

        Raises:
            DemoError: a process ended, or the time was over.
        """
        with self._processes():
            deadline = time.monotonic() + limit_seconds
            seen = 0
            while seen < self._place.terms.rounds:
                time.sleep(POLL_SECONDS)
                self._watch(told)
                reports = records.read(self._place.state)
                for report in reports[seen:]:
                    reported(report)
                seen = len(reports)
                self._check(deadline)
            self._finish(told)

    @contextlib.contextmanager
    def _processes(self) -> Iterator[None]:
        try:
            self._start_aggregator()
            for silo in self._place.terms.hospitals:
                self._start_hospital(silo)
            yield
        finally:
            self._kill_all()

    def _start_aggregator(self) -> None:
        command = [sys.executable, "-m", "peers.cli", AGGREGATOR, "--config"]
        with self._place.output(AGGREGATOR).open("wb") as output:
            self._aggregator = subprocess.Popen(  # noqa: S603 our own program
                [*command, str(self._place.config(AGGREGATOR))],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def _start_hospital(self, silo: str) -> None:
        spec = HospitalSpec(
            config=self._place.config(silo),
            recordings=self._place.recordings,
            terms=self._place.terms,
            deaths=of_hospital(self._due, silo),
            output=self._place.output(silo),
        )
        process = self._context.Process(
            target=hospital_process.main, args=(spec,), name=silo, daemon=True
        )
        process.start()
        self._hospitals[silo] = process

    def _watch(self, told: Callable[[str], None]) -> None:
        """Read the logs; kill those that hold still, all of a round at once."""
        for silo, tail in self._tails.items():
            for event in tail.events():
                if event["event"] == HELD:
                    self._held.add(silo)
        if not self._due:
            return
        round_no = self._due[0].round_no
        dying = [death for death in self._due if death.round_no == round_no]
        if {death.hospital for death in dying} <= self._held:
            self._kill(dying)
            told(f"killed {', '.join(death.hospital for death in dying)}")

    def _kill(self, dying: Sequence[Death]) -> None:
        for death in dying:
            self._hospitals[death.hospital].kill()
        for death in dying:
            process = self._hospitals[death.hospital]
            process.join(STOP_SECONDS)
            if process.exitcode != SIGKILLED:
                raise DemoError(f"{death.hospital} was not killed: {process.exitcode}")
            self._held.discard(death.hospital)
            self._due.remove(death)
            self.killed.append(death)
        for death in dying:
            self._start_hospital(death.hospital)

    def _check(self, deadline: float) -> None:
        aggregator = self._aggregator
        if aggregator is not None and aggregator.poll() not in {None, 0}:
            said = self._place.output(AGGREGATOR).read_text(errors="replace").strip()
            raise DemoError(f"the aggregator ended: {said[-500:]}")
        for silo, process in self._hospitals.items():
            if not process.is_alive():
                said = self._place.output(silo).read_text(errors="replace").strip()
                raise DemoError(f"{silo} ended by itself: {said[-500:]}")
        if time.monotonic() > deadline:
            raise DemoError("the rounds took too long: this machine is very busy")

    def _finish(self, told: Callable[[str], None]) -> None:
        """Let the hospitals fetch the last mean, then ask everybody to stop."""
        told("waiting for the last mean to be fetched")
        aggregator = self._aggregator
        if aggregator is not None and aggregator.wait(STOP_SECONDS) != 0:
            raise DemoError("the aggregator did not end well")
        for process in self._hospitals.values():
            process.terminate()
        for silo, process in self._hospitals.items():
            process.join(STOP_SECONDS)
            if process.exitcode != 0:
                raise DemoError(f"{silo} did not stop when asked: {process.exitcode}")

    def _kill_all(self) -> None:
        """Leave no process behind."""
        if self._aggregator is not None and self._aggregator.poll() is None:
            self._aggregator.kill()
            self._aggregator.wait()
        for process in self._hospitals.values():
            if process.is_alive():
                process.kill()
                process.join()
