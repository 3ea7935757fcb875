"""What a person sees at a terminal while a program runs; nothing when there is none."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from peers.records import RoundReport
from secagg import RoundRecord
from secagg.drivers import progress
from secagg.drivers.progress import Progress

_HOSPITAL_PHASES: Final = {
    "ready": "ready, waiting for the others",
    "advertised": "keys sent",
    "tossed": "coin opened",
    "shared": "keys shared",
    "acked": "shares verified",
    "masking": "masking and sending",
    "masked": "masked input sent",
    "watching": "left out of the sum, still helping",
    "voted": "agreed on who is in the sum",
    "released": "shares released, waiting for the mean",
}


class HospitalDisplay:
    """One line with a spinner: what this hospital is doing.

    Attributes:
        line: what it says now, as rich markup.
    """

    def __init__(self, console: Console, peer: str) -> None:
        """Show on `console`; begin with `shown`."""
        self.line = f"{peer}: starting"
        self._console = console
        self._status = console.status(self.line)
        self._peer = peer
        self._round = ""

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Show the line within the block."""
        with self._status:
            yield

    def tell(self, text: str) -> None:
        """Show a few words of the program."""
        self.line = f"{self._peer}: {escape(text)}"
        self._status.update(self.line)

    def show(self, text: str) -> None:
        """Print what stays on the screen, and goes into no log."""
        self._console.print(f"{self._peer}: {escape(text.rstrip())}", soft_wrap=True)

    def received(self, last: RoundRecord, mean: object) -> None:
        """Print a line that stays for a round that is over."""
        del mean
        u0, u3 = last.sets["u0"], last.sets["u3"]
        ours = "with ours" if last.included else "[yellow]without ours[/]"
        self._console.print(
            f"round {last.round_no}: {len(u3)} of {len(u0)} inputs are in the sum,"
            f" {ours}"
        )

    def observe(self, event: Progress) -> None:
        """Show what the driver reports."""
        match event:
            case progress.RoundDeclined():
                self.show(f"round {event.round_no} is declined: {event.detail}")
            case progress.SessionBegan():
                self._round = f"round {event.round_no}: "
                self.tell(f"{self._round}session of {len(event.members)} began")
            case progress.PhaseReached() if event.phase in _HOSPITAL_PHASES:
                self.tell(self._round + _HOSPITAL_PHASES[event.phase])
            case progress.Uploaded():
                share = event.sent_bytes / event.total_bytes
                self.tell(f"{self._round}sending, {share:.0%}")
            case progress.Disconnected():
                why = f": {event.reason}" if event.reason else ""
                self.tell(f"connection lost{why}; dialling again")
            case progress.Connected() if event.attempts is not None:
                self.show(_again(event.attempts, event.after_seconds or 0.0))
            case progress.DialFailed():
                self.tell(
                    f"no connection: {event.reason};"
                    f" again in {event.retry_seconds:.0f} s"
                )
            case _:
                pass


def _again(attempts: int, seconds: float) -> str:
    """Return ``connected again after 4 attempts, 2 m``."""
    tries = "1 attempt" if attempts == 1 else f"{attempts} attempts"
    long = f"{seconds / 60:.0f} m" if seconds >= 60 else f"{seconds:.0f} s"
    return f"connected again after {tries}, {long}"


class AggregatorDisplay:
    """A table: every hospital, and where it stands in the round."""

    def __init__(
        self, console: Console, task: str, rounds: int, hospitals: Iterable[str]
    ) -> None:
        """Show on `console`; begin with `shown`."""
        self._console = console
        self._task = task
        self._rounds = rounds
        self._states = dict.fromkeys(hospitals, "not connected")
        self._phase = "waiting for hospitals"
        self._live = Live(console=console, transient=True, auto_refresh=False)

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Show the table within the block."""
        with self._live:
            self._show()
            yield

    def tell(self, text: str) -> None:
        """Print a line that stays."""
        self._console.print(escape(text), soft_wrap=True)

    def report(self, report: RoundReport) -> None:
        """Print a line that stays for a round that is over."""
        self._console.print(round_line(report))

    def observe(self, event: Progress) -> None:
        """Show what the driver reports."""
        if self._is_of_a_hospital(event) or self._is_of_the_round(event):
            self._show()

    def _is_of_a_hospital(self, event: Progress) -> bool:
        match event:
            case progress.Connected():
                self._set(event.peer, "connected")
            case progress.Disconnected():
                self._set(event.peer, "connection lost")
            case progress.PeerReady():
                self._set(event.peer, "ready")
            case progress.PeerDeclined():
                self._set(event.peer, f"declined by rule {event.rule}: {event.detail}")
            case progress.ChunkStored():
                self._set(event.peer, f"input {event.chunks} of {event.total}")
            case progress.PeerDropped():
                self._set(event.peer, f"dropped by rule {event.rule}")
            case _:
                return False
        return True

    def _is_of_the_round(self, event: Progress) -> bool:
        match event:
            case progress.RoundLate():
                self._phase = f"too few are ready, {event.needed} more are needed"
            case progress.SessionBegan():
                self._phase = f"round {event.round_no}, session of {len(event.members)}"
            case progress.PhaseReached():
                self._phase = f"{self._phase.split(':')[0]}: {event.phase}"
            case progress.SessionCompleted():
                self._phase = f"{len(event.u3)} in the sum, {event.status}"
            case _:
                return False
        return True

    def _set(self, peer: str, state: str) -> None:
        if peer in self._states:
            self._states[peer] = state

    def _show(self) -> None:
        title = f"{self._task}, {self._rounds} rounds: {self._phase}"
        table = Table(title=title, min_width=72)
        table.add_column("hospital")
        table.add_column("", min_width=28)
        for peer, state in self._states.items():
            table.add_row(peer, escape(state))
        self._live.update(table, refresh=True)


def round_line(report: RoundReport) -> str:
    """Return a round in one line: who was in it, who was not, and why."""
    head = f"round {report.round}: "
    if report.status == "aborted":
        return f"{head}[bold red]no sum[/], {escape(report.detail)}"
    u0, u3 = report.sets["u0"], report.sets["u3"]
    parts = [f"{len(u3)} of {len(u0)} in the sum"]
    parts += [
        f"[yellow]{peer}[/] lost in {loss['round'].replace('_', ' ')}"
        for peer, loss in report.lost.items()
    ]
    parts += [f"[yellow]{peer}[/] {escape(why)}" for peer, why in report.absent.items()]
    if report.status != "released":
        parts.append("[bold red]sum discarded[/]")
    if report.epsilon is not None:
        parts.append(f"epsilon {report.epsilon:.3g}")
    parts.append(f"{sum(report.seconds.values()):.1f} s")
    return head + ", ".join(parts)
