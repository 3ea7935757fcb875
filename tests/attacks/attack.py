"""An attack, the mechanism that stops it, and the switch that turns that off."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from unittest import mock

from secagg import errors
from secagg.cohort import Carried
from secagg.entropy import SeededEntropy
from secagg.messages import Envelope
from secagg.names import PeerId
from tests.helpers import Scene, silos
from tests.invariants import check_all
from tests.rules_off import switched_off

Switch = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True)
class Attack:
    """One of the attacks of the table in SECURITY.md.

    Attributes:
        number: its row.
        wins: mounts it; whether the attacker got what it wanted.
        off: switches the mechanism off.
    """

    number: int
    wins: Callable[[], bool]
    off: Switch

    def __str__(self) -> str:
        return f"{self.number}-{self.wins.__name__}"


def without(*rules: str) -> Switch:
    """Switch rules of the spec off."""
    return lambda: switched_off(*rules)


def harmed(world, honest=(1, 2, 3), c=1) -> bool:
    """Whether an honest client did what must never happen (I1 to I8)."""
    clients = [world.clients[u] for u in silos(*honest)]
    try:
        check_all(clients, world.consortium.roster, c)
    except AssertionError:
        return True
    return False


def accepted(call: Callable[..., object], *args: object, **kwargs: object) -> bool:
    """Whether a check lets something pass that it must refuse."""
    try:
        call(*args, **kwargs)
    except errors.SecaggError:
        return False
    return True


def saying(
    world: Scene, peer: PeerId, type_: str, made: Callable[[Envelope], Envelope]
) -> Scene:
    """Let `peer` sign another message of a type."""

    def network(carried: Carried) -> Iterable[Carried]:
        if carried.sender != peer or carried.envelope.type != type_:
            return (carried,)
        return (replace(carried, envelope=made(carried.envelope)),)

    world.network = network
    return world


def drawn(
    label: str, made: Callable[[SeededEntropy, int], bytes]
) -> AbstractContextManager[object]:
    """Have every draw under a label made otherwise."""
    real = SeededEntropy.draw

    def draw(self: SeededEntropy, what: str, size: int) -> bytes:
        return made(self, size) if what == label else real(self, what, size)

    return mock.patch.object(SeededEntropy, "draw", draw)


def again(label: str) -> AbstractContextManager[object]:
    """Have every draw under a label be the first one."""
    real = SeededEntropy.draw

    def first(self: SeededEntropy, size: int) -> bytes:
        self._drawn[label] = 0
        return real(self, label, size)

    return drawn(label, first)
