"""Doorkeeper: how many connections may stand at the door, unproved, and for how long.

Whoever has not proved an identity costs a socket, a TLS state and a timer, and may stay
silent. So there are so many places; whoever is not proved in time is cut, and where all
places are taken, one that has stood long makes room: of the address that holds most, so
that a flood from one site does not push out the hospital at another.

Who has shown TLS a certificate that it trusts goes before those who have shown nothing,
so that strangers behind a hospital's own proxy do not push it out either: of each
issuer one connection, the newest. That is the place more that there is for a hospital,
so those who have to greet yet share `PLACES` among them, whatever hospitals show.

It cuts the socket itself, in the midst of a TLS handshake as well, and takes few
connections in a turn of the loop: the rest wait in the kernel, and those at hand go on
meanwhile.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import socket
from collections.abc import Hashable, Iterator
from typing import Any, Final

PLACES: Final = 64
"""Unproved connections at a time, beside one for each hospital that may come back."""

PROVE_SECONDS: Final = 20.0
"""From the first packet of a connection to its proof: TLS, websocket and handshake."""

PER_TURN: Final = 16
"""Connections taken in a turn of the loop."""

BACKLOG: Final = 1024
"""Connections that the kernel holds until they are taken; whoever serves a socket says
it again, for `asyncio` listens anew with 100."""

Address = tuple[str, int]


class Doorkeeper:
    """The unproved connections of one listener.

    Attributes:
        turned_away: how many were cut: late, or to make room.
    """

    def __init__(self, places: int = PLACES, *, seconds: float = PROVE_SECONDS) -> None:
        """Begin with nobody.

        Args:
            places: unproved connections at a time, at least 1.
            seconds: what each has to prove itself.
        """
        self.turned_away = 0
        self._places = places
        self._seconds = seconds
        self._taken = 0
        self._at_door: dict[Address, _Guest] = {}

    @property
    def unproved(self) -> int:
        """How many stand at the door."""
        self._forget_closed()
        return len(self._at_door)

    def may_take(self) -> bool:
        """Return whether one more may be taken in this turn of the loop."""
        if self._taken >= PER_TURN:
            return False
        if self._taken == 0:
            asyncio.get_running_loop().call_soon(self._next_turn)
        self._taken += 1
        return True

    def took(self, connection: socket.socket, address: Address) -> None:
        """Let a new connection stand at the door; another may have to make room."""
        if len(self._at_door) >= self._places:
            self._forget_closed()
        if len(self._at_door) >= self._places:
            self._turn_away(self._least_welcome(address))
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self._seconds, self._turn_away, address)
        self._at_door[address] = _Guest(connection, timer)

    def showed(self, address: Address, issuer: Hashable) -> None:
        """Note that whoever connects from there showed TLS a certificate.

        Args:
            address: where it connects from.
            issuer: who vouches for it. A hospital's own key does for all its leaves;
                under an authority of the site's all hospitals have one issuer, and
                then one place.
        """
        for guest in self._at_door.values():
            if guest.issuer == issuer:
                guest.issuer = None
        if address in self._at_door:
            self._at_door[address].issuer = issuer

    def proved(self, address: Address) -> None:
        """Note that whoever connects from there has proved an identity."""
        guest = self._at_door.pop(address, None)
        if guest is not None:
            guest.timer.cancel()

    def close(self) -> None:
        """Cut all who stand at the door."""
        for address in [*self._at_door]:
            self._turn_away(address)

    def _next_turn(self) -> None:
        self._taken = 0

    def _least_welcome(self, comer: Address) -> Address:
        """Return the oldest of the address that has most, the newcomer counted.

        Of those who have shown nothing, if there is one.
        """
        strangers = [a for a, guest in self._at_door.items() if guest.issuer is None]
        found = strangers or [*self._at_door]
        count = collections.Counter(host for host, _ in found)
        count[comer[0]] += 1
        most = max(count[host] for host, _ in found)
        return next(one for one in found if count[one[0]] == most)

    def _turn_away(self, address: Address) -> None:
        guest = self._at_door.pop(address, None)
        if guest is None:
            return
        guest.timer.cancel()
        if guest.connection.fileno() < 0:
            return
        self.turned_away += 1
        # Whoever reads it sees an end and closes it; the socket is not ours.
        with contextlib.suppress(OSError):
            guest.connection.shutdown(socket.SHUT_RDWR)

    def _forget_closed(self) -> None:
        gone = [a for a, one in self._at_door.items() if one.connection.fileno() < 0]
        for address in gone:
            self.proved(address)


class _Guest:
    """An unproved connection, when its time is over, and who vouches for it."""

    def __init__(self, connection: socket.socket, timer: asyncio.TimerHandle) -> None:
        self.connection = connection
        self.timer = timer
        self.issuer: Hashable | None = None


class GuardedSocket(socket.socket):
    """A listening socket whose connections stand at the door first."""

    def __init__(self, family: int, keeper: Doorkeeper) -> None:
        """Make a TCP socket of this family."""
        super().__init__(family, socket.SOCK_STREAM)
        self._keeper = keeper

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection.

        Raises:
            BlockingIOError: none waits, or enough were taken in this turn.
        """
        if not self._keeper.may_take():
            raise BlockingIOError
        connection, address = super().accept()
        self._keeper.took(connection, address[:2])
        return connection, address


@contextlib.contextmanager
def bound(host: str, port: int, keeper: Doorkeeper) -> Iterator[list[GuardedSocket]]:
    """Yield a listening socket for every address of a host; they close at the end.

    Args:
        host: a name or an address.
        port: 0 for any free one, the same for all.
        keeper: for all of them.

    Raises:
        OSError: there is no such address, or it is taken.
    """
    kind, passive = socket.SOCK_STREAM, socket.AI_PASSIVE
    found = socket.getaddrinfo(host, port, type=kind, flags=passive)
    with contextlib.ExitStack() as stack:
        sockets: list[GuardedSocket] = []
        for family, _, _, _, address in dict.fromkeys(found):
            one = stack.enter_context(GuardedSocket(family, keeper))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            number = sockets[0].getsockname()[1] if sockets else port
            one.bind((address[0], number, *address[2:]))
            one.listen(BACKLOG)
            one.setblocking(False)
            sockets.append(one)
        yield sockets
