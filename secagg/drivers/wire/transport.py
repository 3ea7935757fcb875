"""Transport: frames in order between a client and the aggregator, or an honest end.

A transport moves whole frames (spec 7.2), keeps their order, holds a sender back while
the other side does not read, and ends in one way only: `ConnectionLost`. What a frame
says, and who is at the other end, is not its business.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeAlias

from secagg import codec, errors

MAX_REASON: Final = 120
"""Characters of a closing reason; a websocket's close frame has room for 123 bytes."""


class ConnectionLost(errors.SecaggError):
    """The connection ended; a new one may go on where it stopped.

    Attributes:
        reason: what the other side gave when it closed; empty for a cut.
    """

    def __init__(self, reason: str = "") -> None:
        """Record the other side's reason."""
        self.reason = reason
        super().__init__(reason or "the connection was cut")


class Transport(Protocol):
    """One connection."""

    async def send(self, frame: bytes) -> None:
        """Hand over one frame; wait while the other side is not reading.

        Raises:
            ConnectionLost: the connection has ended.
        """
        ...

    async def recv(self) -> bytes:
        """Return the next frame.

        Raises:
            ConnectionLost: the connection has ended, and all that came was read.
        """
        ...

    def pause(self) -> None:
        """Read nothing ahead of `recv`, until `resume`: it stays with the peer."""
        ...

    def resume(self) -> None:
        """Read ahead of `recv` again."""
        ...

    def allow(self, max_frame: int) -> None:
        """Take frames of so many bytes from now on: the peer has proved itself."""
        ...

    async def close(self, reason: str = "") -> None:
        """End the connection and tell the other side why; closing twice is no error."""
        ...


Dial: TypeAlias = Callable[[], Awaitable[Transport]]
"""Opens a new connection to the aggregator."""

Accept: TypeAlias = Callable[[Transport], Awaitable[None]]
"""Serves one connection until it ends."""


def printable(reason: str) -> str:
    """Return `reason` as it may travel: printable ASCII, cut to `MAX_REASON`."""
    return codec.printable(reason)[:MAX_REASON]
