"""Traps: where a process kills itself, before or after one effect of its machine."""

from __future__ import annotations

import collections
import os
import signal

from secagg import events
from secagg.names import PeerId
from tests.chaos import plan
from tests.chaos.terms import Terms


def name_of(effect: object) -> str:
    """Return what an effect is called in the plan."""
    match effect:
        case events.Send(envelope=envelope):
            return f"Send {envelope.type}"
        case events.Journal(event=events.Received(envelope=envelope)):
            return f"Journal {envelope.type}"
        case events.Journal(event=event):
            return f"Journal {type(event).__name__}"
        case _:
            return type(effect).__name__


class Traps:
    """The traps of one process."""

    def __init__(self, terms: Terms, party: PeerId) -> None:
        self._terms = terms
        self._party = party
        self._count: collections.Counter[tuple[int, str]] = collections.Counter()

    def before(self, round_no: int, name: str) -> None:
        """Die if this is the place."""
        self._count[round_no, name] += 1
        self._pass(round_no, name, after=False)

    def after(self, round_no: int, name: str) -> None:
        """Die if this is the place."""
        self._pass(round_no, name, after=True)

    def _pass(self, round_no: int, name: str, *, after: bool) -> None:
        nth = self._count[round_no, name]
        here = (self._party, name, nth, after)
        for kill in plan.kills(self._terms, round_no):
            if (kill.party, kill.effect, kill.nth, kill.after) == here:
                self._die(kill.key, name)

    def _die(self, key: str, name: str) -> None:
        """Die here, but once: whoever comes back passes this place."""
        path = self._terms.fired(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return
        os.write(file, name.encode())
        os.kill(os.getpid(), signal.SIGKILL)
