"""One hospital of the demo, as a process of its own.

The program is `peers.hospital`, the one that real hospitals run. Around it the demo
puts a recorder and, if the script says so, a point at which the process holds still to
be killed. Both are here and in no library.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import torch

from peers.background import until_signalled
from peers.config import load_hospital
from peers.config_hospital import HospitalConfig
from peers.demo import trainer
from peers.demo.plan import Death, Point
from peers.demo.processes import end_with_parent, send_output_to
from peers.demo.recording import Recorder
from peers.demo.terms import Terms
from peers.hospital import Hospital
from peers.logs import Logger, logged, opened_log
from peers.membership import Membership
from secagg.drivers.progress import PhaseReached, Progress, SessionBegan, Uploaded

HELD = "held_still"
"""The log line after which the process does nothing more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HospitalSpec:
    """What a process is started with.

    Attributes:
        config: its configuration file.
        recordings: the folder for what it writes down.
        terms: the task's.
        deaths: where it is to hold still.
        output: takes what would go to the terminal.
    """

    config: Path
    recordings: Path
    terms: Terms
    deaths: tuple[Death, ...]
    output: Path


class Holder:
    """Holds the whole process still at the point of the script."""

    def __init__(self, deaths: Sequence[Death], log: Logger) -> None:
        """Watch for any of `deaths`."""
        self._deaths = {death.round_no: death.point for death in deaths}
        self._log = log
        self._round = 0

    def observe(self, event: Progress) -> None:
        """Hold still if this is the point; what was queued is then never sent."""
        if isinstance(event, SessionBegan):
            self._round = event.round_no
        point = self._deaths.get(self._round)
        if point is not None and _is_at(point, event):
            self._log.info(HELD, round=self._round, point=point.value)
            _hold()


def _is_at(point: Point, event: Progress) -> bool:
    match event:
        case Uploaded():
            half = 2 * event.sent_bytes >= event.total_bytes
            return point is Point.HALF_SENT and half
        # The machine has moved on, and what it says is queued but not on the wire.
        case PhaseReached(phase="shared"):
            return point is Point.BEFORE_SHARING
        case PhaseReached(phase="released"):
            return point is Point.AFTER_INPUT
        case _:
            return False


def _hold() -> NoReturn:
    while True:
        time.sleep(1)


def main(spec: HospitalSpec) -> None:
    """Run the hospital until it is stopped or killed."""
    send_output_to(spec.output)
    end_with_parent()
    torch.set_num_threads(1)
    config = load_hospital(spec.config)
    member = Membership.of(config)
    with opened_log(config.log) as log:
        program = _hospital(spec, config, member, log)
        asyncio.run(until_signalled(program.run()))


def _hospital(
    spec: HospitalSpec, config: HospitalConfig, member: Membership, log: Logger
) -> Hospital:
    """Return the program, with the recorder and the holder around it."""
    silo = member.identity.id
    recorder = Recorder(spec.recordings, silo, spec.terms, trainer.train)
    holder = Holder(spec.deaths, log.bind(peer=silo))
    log_progress = logged(log)

    def observe(event: Progress) -> None:
        log_progress(event)
        recorder.observe(event)
        holder.observe(event)

    return Hospital(
        config,
        member,
        recorder.train,
        log=log,
        observer=observe,
        entropy=recorder.entropy,
        received=recorder.received,
    )
