"""The connection: Challenge, Hello, Welcome, and lobby messages after them (spec 8)."""

from __future__ import annotations

from dataclasses import dataclass

from protocol_spec.model import keys
from protocol_spec.model.envelope import (
    LOBBY_SID,
    Envelope,
    check_signature,
    decode_envelope,
)
from protocol_spec.model.messages import HEADERS, Body, decode_body
from protocol_spec.model.refusal import require
from protocol_spec.model.roster import Roster

FIVE_MINUTES = 300_000
ZERO = bytes(32)


@dataclass
class End:
    """One side of a connection: who it is, whom it talks to, and its clock.

    Attributes:
        me: this side's id.
        peer: the identity expected of the other side.
        now_ms: this side's clock, in milliseconds.
        nonce: this side's nonce; of the aggregator nonce_S, of a client nonce_u.
        other_nonce: the other side's, once known.
    """

    roster: Roster
    me: str
    peer: str
    now_ms: int
    nonce: bytes
    other_nonce: bytes = b""

    @property
    def hc(self) -> bytes:
        """The transcript hc = H("secagg/1/connection", nonce_S, nonce_u)."""
        mine_first = self.roster.roles[self.me] == "aggregator"
        pair = (self.nonce, self.other_nonce)
        return keys.connection(*(pair if mine_first else pair[::-1]))

    def take(self, data: bytes) -> Body:
        """Check a message of the lobby and return its body."""
        members = len(self.roster.keys)
        envelope = decode_envelope(data, members)
        require("8-6", envelope.sid == LOBBY_SID, "not a message of the lobby")
        require("3.4-4", envelope.sender == self.peer, "not the sender's connection")
        self._check_proof(envelope)
        body = decode_body(envelope.type, envelope.body, members)
        if envelope.type in {"Challenge", "Hello"}:
            self._check_greeting(body)
        if envelope.type == "Welcome":
            require("8-1", body["nonce"] == self.nonce, "Welcome names another nonce")
        return body

    def _check_proof(self, envelope: Envelope) -> None:
        """The receiver, and the signature under h of the type (rules 8-1, 8-6)."""
        header = HEADERS[envelope.type]
        addressed = envelope.receiver == ("" if header.to_all else self.me)
        require("3.4-5", addressed, "addressed to another")
        hashes = {"zero": ZERO, "nonce_S": self.nonce, "hc": self.hc}
        greeting = envelope.type in {"Challenge", "Hello", "Welcome"}
        require("8-6", header.transcript in hashes, f"{envelope.type} in the lobby")
        key = self.roster.keys[envelope.sender]
        h = hashes[header.transcript]
        check_signature(envelope, key, h, "8-1" if greeting else "8-6")

    def _check_greeting(self, body: Body) -> None:
        """Rules 8-2 and 8-3."""
        require("8-2", body["roster_hash"] == self.roster.hash, "rosters differ")
        apart = abs(body["time_ms"] - self.now_ms)
        require("8-3", apart <= FIVE_MINUTES, f"clocks are {apart} ms apart")
        self.other_nonce = body["nonce"]
