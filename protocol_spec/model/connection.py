"""The connection: Challenge, Hello, Welcome, and lobby messages after them (spec 8)."""

from __future__ import annotations

from dataclasses import dataclass

from protocol_spec.model import keys
from protocol_spec.model.envelope import (
    LOBBY_SID,
    Envelope,
    check_signature,
    decode_envelope,
    is_signed,
)
from protocol_spec.model.messages import HEADERS, Body, decode_body
from protocol_spec.model.refusal import require
from protocol_spec.model.roster import Roster, pin

FIVE_MINUTES = 300_000
ZERO = bytes(32)


@dataclass
class End:
    """One side of a connection: who it is, whom it talks to, and its clock.

    Attributes:
        chain: the versions of the roster that it has pinned, from 1 on.
        consortium_key: pinned.
        me: this side's id.
        peer: the identity expected of the other side.
        now_ms: this side's clock, in milliseconds.
        nonce: this side's nonce; of the aggregator nonce_S, of a client nonce_u.
        other_nonce: the other side's, once known.
        behind: whether the Challenge named a version later than this side's.
    """

    chain: list[Roster]
    consortium_key: bytes
    me: str
    peer: str
    now_ms: int
    nonce: bytes
    other_nonce: bytes = b""
    behind: bool = False

    @property
    def roster(self) -> Roster:
        """The newest version."""
        return self.chain[-1]

    @property
    def hc(self) -> bytes:
        """The transcript hc = H("secagg/1/connection", nonce_S, nonce_u)."""
        mine_first = self.roster.roles[self.me] == "aggregator"
        pair = (self.nonce, self.other_nonce)
        return keys.connection(*(pair if mine_first else pair[::-1]))

    def take(self, data: bytes) -> Body:
        """Check a message of the lobby and return its body."""
        members = max(len(roster.keys) for roster in self.chain)
        envelope = decode_envelope(data, members)
        require("8-6", envelope.sid == LOBBY_SID, "not a message of the lobby")
        require("3.4-4", envelope.sender == self.peer, "not the sender's connection")
        body = decode_body(envelope.type, envelope.body, members)
        if envelope.type == "Rosters":
            return self._pin(body)
        if envelope.type == "Challenge" and self._is_behind(body):
            return body
        answered = envelope.type == "Hello" and self._is_answered(envelope, body)
        if answered:
            return body
        self._check_proof(envelope)
        if envelope.type in {"Challenge", "Hello"}:
            self._check_greeting(body)
        if envelope.type == "Welcome":
            require("8-1", body["nonce"] == self.nonce, "Welcome names another nonce")
        return body

    def _is_behind(self, body: Body) -> bool:
        """Whether the Challenge names a later version; its proof is not asked then."""
        self.behind = body["roster_version"] > self.roster.version
        self.other_nonce = body["nonce"]
        return self.behind

    def _is_answered(self, envelope: Envelope, body: Body) -> bool:
        """Whether S answers a Hello with Rosters: it names a version before."""
        named = self.chain[: body["roster_version"]][-1:]
        if body["roster_version"] >= self.roster.version or not named:
            return False
        if named[0].hash != body["roster_hash"]:
            return False
        known = [r.keys.get(envelope.sender) for r in (named[0], self.roster)]
        require("3.4-5", envelope.receiver == self.me, "addressed to another")
        proved = any(key and is_signed(envelope, key, self.nonce) for key in known)
        require("8-1", proved, "not signed by its sender")
        return True

    def _pin(self, body: Body) -> Body:
        """Take Rosters (rules 2.1-1 to 2.1-5, 8-8)."""
        require("8-8", self.behind, "nobody asked for rosters")
        require("8-1", self.behind, "Rosters in the place of Welcome")
        given = [(row[0], row[1]) for row in body["versions"]]
        chain = pin(self.chain, given, self.consortium_key)
        require("8-8", len(chain) > len(self.chain), "nothing new")
        self.chain = chain
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
        ours = (self.roster.version, self.roster.hash)
        same = (body["roster_version"], body["roster_hash"]) == ours
        require("8-2", same, "rosters differ")
        apart = abs(body["time_ms"] - self.now_ms)
        require("8-3", apart <= FIVE_MINUTES, f"clocks are {apart} ms apart")
        self.other_nonce = body["nonce"]
