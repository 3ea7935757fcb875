"""Quotas: what one hospital may send, how often it may connect, and breach a rule.

A client has a known number of things to say, each of a size that follows from the
number of members (spec 3.7); so what may come in a phase is that, once for each
connection and once more where the aggregator repeats its own message, and not a byte
beyond (rule 7.1-1). A connection costs a handshake and a replay, so it has a rate of
its own (rule 8-7).
"""

from __future__ import annotations

from typing import Final

from secagg import codec, errors, packing
from secagg.drivers.clock import Clock
from secagg.field import MAX_WIDTH
from secagg.messages import HEADERS, Refusal
from secagg.names import PeerId
from secagg.transitions import ORDER, SERVER, ServerPhase

RENEWAL_SECONDS: Final = 600.0
"""How often messages are counted anew within a phase."""

LOBBY_BYTES: Final = 64 << 10
"""For Ready, Declined, Fetch and Catchup, of no phase: about a hundred."""

CONNECTIONS: Final = 60
"""Connections at once, and then one a second: more than any back-off makes."""

BREACHES: Final = 6
"""Connections closed for a breach at once, and then one a minute."""

_BREACHES_A_SECOND: Final = 1 / 60
_REPEATED_CHUNKS: Final = 10
"""Chunks that may be on the way when a line is cut, and come again on the next one."""

_FRAME_HEAD: Final = 64


class Bucket:
    """So many at once, and then so many a second."""

    def __init__(self, most: int, a_second: float, clock: Clock) -> None:
        """Begin full."""
        self._most = most
        self._rate = a_second
        self._clock = clock
        self._left = float(most)
        self._since = clock.seconds()

    @property
    def empty(self) -> bool:
        """Whether nothing is left now."""
        self._fill()
        return self._left < 1

    def take(self) -> None:
        """Take one, if one is left."""
        self._fill()
        self._left = max(0.0, self._left - 1)

    def _fill(self) -> None:
        now = self._clock.seconds()
        self._left = min(self._most, self._left + self._rate * (now - self._since))
        self._since = now


class Quotas:
    """The quota of every peer, whichever of its connections it uses."""

    def __init__(self, clock: Clock) -> None:
        """Begin with nothing sent."""
        self._clock = clock
        self._by_peer: dict[PeerId, Quota] = {}

    def of(self, peer: PeerId) -> Quota:
        """Return a peer's quota; only the proved ones have one."""
        if peer not in self._by_peer:
            self._by_peer[peer] = Quota(self._clock)
        return self._by_peer[peer]


class Quota:
    """What one peer may send until the next phase."""

    def __init__(self, clock: Clock) -> None:
        """Begin with nothing sent.

        A phase may last for days while a round gathers, and a silo says Ready on every
        connection; so its messages are counted anew every `RENEWAL_SECONDS` as well.
        """
        self._clock = clock
        self._connections = Bucket(CONNECTIONS, 1.0, clock)
        self._breaches = Bucket(BREACHES, _BREACHES_A_SECOND, clock)
        self._message_window: object = None
        self._chunk_phase: object = None
        self._stray_window: object = None
        self._message_bytes = 0
        self._chunk_bytes = 0
        self._stray_bytes = 0
        self._message_lines = 1
        self._chunk_lines = 1

    def connected(self, peer: PeerId) -> None:
        """Count a connection that is proved to be of `peer`.

        Raises:
            RemoteProtocolError: there were too many of late, or too many were closed
                for a breach (rule 8-7).
        """
        errors.require(
            "8-7",
            not self._connections.empty,
            f"more than {CONNECTIONS} connections at once: come back in a second",
            [peer],
        )
        errors.require(
            "8-7",
            not self._breaches.empty,
            f"{BREACHES} connections were closed for a breach: come back in a minute",
            [peer],
        )
        self._connections.take()
        self._message_lines += 1
        self._chunk_lines += 1

    def breached(self) -> None:
        """Note that a connection was closed for what came on it."""
        self._breaches.take()

    def message(self, size: int, phase: object, said: int) -> None:
        """Count a message.

        Args:
            size: of its envelope, bytes.
            phase: whatever changes with the phase.
            said: bytes of all that a client has said by then (`outbox_bytes`).

        Raises:
            RemoteProtocolError: more than this phase needs (rule 7.1-1).
        """
        window = (phase, self._clock.seconds() // RENEWAL_SECONDS)
        if window != self._message_window:
            self._message_window = window
            self._message_bytes, self._message_lines = 0, 1
        self._message_bytes += size
        most = LOBBY_BYTES + 2 * self._message_lines * said
        within = self._message_bytes <= most
        errors.require(
            "7.1-1", within, f"more than {most} bytes of messages in a phase"
        )

    def stray(self, size: int, largest: int) -> None:
        """Count a chunk of no session that runs: one that is over, or none.

        Args:
            size: of the chunk, bytes.
            largest: bytes of the largest frame.

        Raises:
            RemoteProtocolError: more than was on the way when a session ended (rule
                7.1-1).
        """
        window = self._clock.seconds() // RENEWAL_SECONDS
        if window != self._stray_window:
            self._stray_window, self._stray_bytes = window, 0
        self._stray_bytes += size
        within = self._stray_bytes <= _REPEATED_CHUNKS * largest
        errors.require("7.1-1", within, "chunks of no session that runs")

    def chunk(self, size: int, phase: object, vector: int, chunk: int) -> None:
        """Count a chunk.

        Args:
            size: of what came, bytes.
            phase: whatever changes with the phase.
            vector: bytes of all chunks of a vector.
            chunk: bytes of its largest chunk.

        Raises:
            RemoteProtocolError: more than the vector, and what a cut line repeats (rule
                7.1-1).
        """
        if phase != self._chunk_phase:
            self._chunk_phase = phase
            self._chunk_bytes, self._chunk_lines = 0, 1
        self._chunk_bytes += size
        most = vector + (self._chunk_lines - 1) * _REPEATED_CHUNKS * chunk
        within = self._chunk_bytes <= most
        errors.require("7.1-1", within, f"more than {most} bytes of chunks in a phase")


def outbox_bytes(members: int, phase: ServerPhase | None) -> int:
    """Return the most bytes that a client of so many members has said up to a phase.

    Args:
        members: n of the session; of the roster's entries where there is none.
        phase: of the session; None for a whole one, such as is over.
    """
    upto = ORDER.index(phase) if phase in ORDER else len(ORDER) - 1
    said = {name for one in ORDER[: upto + 1] for name in SERVER[one]}
    kinds = [kind for kind in HEADERS if kind.__name__ in said] + [Refusal]
    sizes = (codec.body_limit(kind, members) for kind in kinds)
    return sum(size + codec.MAX_ENVELOPE_OVERHEAD for size in sizes)


def largest_message(members: int) -> int:
    """Return the bytes of the largest envelope that a client may send."""
    bodies = [
        codec.body_limit(kind, members)
        for kind, header in HEADERS.items()
        if not header.from_aggregator
    ]
    return max(bodies) + codec.MAX_ENVELOPE_OVERHEAD + _FRAME_HEAD


def largest_frame(members: int, chunk_log2: int) -> int:
    """Return the bytes of the largest frame that a client may send.

    Args:
        members: of the roster.
        chunk_log2: of the task; whatever the width will be.
    """
    chunk = packing.packed_size(1 << chunk_log2, MAX_WIDTH) + _FRAME_HEAD
    return max(largest_message(members), chunk)
