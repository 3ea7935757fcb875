"""The client of a session: events in, effects out (spec 4)."""

from __future__ import annotations

from typing import Any

from protocol_spec.model import checks, keys, near, sharing
from protocol_spec.model.checks import Quoting, Standing
from protocol_spec.model.entropy import Entropy
from protocol_spec.model.envelope import (
    LOBBY_SID,
    Envelope,
    check_signature,
    decode_envelope,
    seal,
)
from protocol_spec.model.messages import HEADERS, Body, decode_body, encode_body
from protocol_spec.model.parameters import parameters_of
from protocol_spec.model.refusal import RefusedError, require
from protocol_spec.model.roster import Roster

Effects = dict[str, Any]

ORDER = (
    "Manifest",
    "KeyList",
    "CoinList",
    "DealtShares",
    "DealerList",
    "InputList",
    "Certificate",
    "Result",
)
"""What a client takes, in this order and each once; CoinList on the regular graph."""


class Client:
    """One hospital over one process's lifetime.

    Args:
        me: its id.
        secret: its identity's secret.
        aggregator: whom it is connected to.
        hc: that connection's transcript.
        roster: the pinned roster.
        standing: its durable memory and policy.
        entropy: its draws.
    """

    def __init__(
        self,
        me: str,
        secret: bytes,
        aggregator: str,
        hc: bytes,
        roster: Roster,
        standing: Standing,
        entropy: Entropy,
    ) -> None:
        """Stand idle."""
        self.me, self.secret, self.aggregator, self.hc = me, secret, aggregator, hc
        self.roster, self.standing, self.entropy = roster, standing, entropy
        self.ready: Body | None = None
        self._leave()

    def _leave(self) -> None:
        """Drop the session's secrets."""
        self.sid: bytes | None = None
        self.accepted: dict[str, bytes] = {}
        self.answers: dict[str, Effects] = {}
        self.secrets: keys.Secrets | None = None
        self.root: bytes | None = None
        self.spent = False

    def handle(self, event: str, given: dict[str, Any]) -> Effects:
        """Take one event and return its effects (vectors/README.md)."""
        if event == "input_ready":
            return self.input_ready(given)
        if event == "vector_masked":
            return self.vector_masked(given["root"])
        return self.received(given["peer"], given["envelope"])

    # --- sending -----------------------------------------------------------

    def input_ready(self, given: Body) -> Effects:
        """Say Ready with a fresh nonce (spec 4.1, 8)."""
        self.ready = {**given, "ready_nonce": self.entropy.draw("ready_nonce")}
        body = encode_body("Ready", self.ready)
        return self._send("Ready", LOBBY_SID, self.hc, body)

    def _send(self, kind: str, sid: bytes, h: bytes, body: bytes) -> Effects:
        sealed = seal(self.secret, kind, sid, self.me, self.aggregator, h, body)
        return {"send": [(self.aggregator, sealed.encode())]}

    def _answer(self, kind: str, body: Body) -> Effects:
        """Send a message of the session, under the transcript of its type."""
        assert self.sid is not None  # noqa: S101 callers are within a session
        h = self._transcript(kind)
        return self._send(kind, self.sid, h, encode_body(kind, body))

    def _transcript(self, kind: str) -> bytes:
        """The transcript that messages of this type are signed under (spec 3.7)."""
        return self.transcripts[HEADERS[kind].transcript]

    # --- receiving ---------------------------------------------------------

    def received(self, peer: str, data: bytes) -> Effects:
        """Take a message, or refuse it: a Refusal, and out (spec 4)."""
        try:
            return self._take(peer, data)
        except RefusedError as refused:
            self._leave()
            return {"refuse": refused.rule}

    def _take(self, peer: str, data: bytes) -> Effects:
        members = len(self.roster.keys) if self.sid is None else self.params.n
        envelope = decode_envelope(data, members)
        require("3.4-4", envelope.sender == peer, "not the sender's connection")
        require("3.4-4", peer == self.aggregator, "not the aggregator")
        to_all = HEADERS[envelope.type].to_all
        addressed = envelope.receiver == ("" if to_all else self.me)
        require("3.4-5", addressed, "addressed to another")
        if self._elsewhere(envelope):
            return {"ignored": [peer, "8-6"]}
        if self.accepted.get(envelope.type) == data:
            return self.answers[envelope.type]
        if envelope.type == "Manifest" and envelope.sid != self.sid:
            due = self.ready is not None and not self.spent
            return self._consider(envelope, data) if due else {}
        self._check_turn(envelope)
        public = self.roster.keys[envelope.sender]
        check_signature(envelope, public, self._transcript(envelope.type), "3.4-3")
        body = decode_body(envelope.type, envelope.body, members)
        effects: Effects = getattr(self, "on_" + envelope.type)(body, envelope.body)
        if self.sid is not None:
            self.accepted[envelope.type] = data
            self.answers[envelope.type] = {
                k: effects[k] for k in effects if k == "send"
            }
        return effects

    def _elsewhere(self, envelope: Envelope) -> bool:
        """Whether a message is of another session than the one at hand (rule 8-6)."""
        return envelope.type != "Manifest" and envelope.sid != self.sid

    def _check_turn(self, envelope: Envelope) -> None:
        """Rules 3.4-7, 3.4-6."""
        kind = envelope.type
        require("3.4-7", kind not in self.accepted, f"a second {kind}")
        if kind != "Abort":
            order = [k for k in ORDER if k != "CoinList" or self.params.regular]
            due = order[sum(taken in self.accepted for taken in order)]
            require("3.4-6", kind == due, f"{kind} where {due} is due")

    def _consider(self, envelope: Envelope, data: bytes) -> Effects:
        """Join, or refuse: that changes nothing of a session at hand (spec 4)."""
        try:
            return self._join(envelope, data)
        except RefusedError as refused:
            return {"refuse": refused.rule}

    def _join(self, envelope: Envelope, data: bytes) -> Effects:
        """Check a Manifest and open its session (spec 4.1)."""
        sid = keys.session_id(envelope.body)
        require("3.4-1", envelope.sid == sid, "the sid is not the Manifest's")
        public = self.roster.keys[envelope.sender]
        check_signature(envelope, public, sid, "3.4-3")
        body = decode_body("Manifest", envelope.body, len(self.roster.keys))
        assert self.ready is not None  # noqa: S101 rule 3.4-6
        checks.check_manifest(body, self.me, self.ready, self.roster, self.standing)
        require("3.4-4", body["aggregator"] == self.aggregator, "not its aggregator")
        params = parameters_of(body)
        self._leave()
        self.sid, self.manifest, self.params = sid, body, params
        self.members = [member[0] for member in body["members"]]
        self.x_of = {v: 1 + index for index, v in enumerate(self.members)}
        self.transcripts = {"sid": sid}
        self.standing.joined = (body["round_no"], body["attempt"])
        self.secrets = keys.Secrets.draw(self.entropy, coin=params.regular)
        self.own = self.secrets.advert(sid, self.me)
        effects = self._answer("AdvertiseKeys", self.own)
        self.accepted["Manifest"], self.answers["Manifest"] = data, effects
        return effects

    def _quoting(self, transcript: str) -> Quoting:
        assert self.sid is not None  # noqa: S101 callers are within a session
        h = self.transcripts[transcript]
        return Quoting(self.roster, self.aggregator, self.sid, h)

    # --- one method a message ----------------------------------------------

    def on_KeyList(self, body: Body, encoded: bytes) -> Effects:  # noqa: N802
        """Check L1, latch h1; open the coin if there is one, else deal (spec 4.2)."""
        assert self.sid is not None  # noqa: S101 rule 3.4-6
        assert self.secrets is not None  # noqa: S101 drawn at the Manifest
        params, quoting = self.params, self._quoting("sid")
        checks.check_key_list(body, self.me, self.own, self.members, params, quoting)
        self.book = keys.KeyBook.of(self.sid, body, encoded)
        self.transcripts["h1"] = self.book.h1
        if params.regular:
            return self._answer("Coin", {"coin": self.secrets.coin})
        return self._deal(near.complete(self.members))

    def on_CoinList(self, body: Body, encoded: bytes) -> Effects:  # noqa: N802
        """Check the coins, draw the graph and deal (spec 4.10, 4.3)."""
        del encoded
        checks.check_coins(body["coins"], self.book)
        seed = keys.graph_seed(self.book.h1, body["coins"])
        return self._deal(near.regular(self.members, self.params.degree.k, seed))

    def _deal(self, graph: near.Graph) -> Effects:
        """Share both secrets over N[u] (spec 4.3)."""
        assert self.secrets is not None  # noqa: S101 drawn at the Manifest
        self.graph, t = graph, self.params.degree.t
        holders = near.closed(graph, self.me, self.book.u1)
        dealt, self.held = sharing.deal(
            self.me, self.secrets, self.book, holders, self.x_of, t, self.entropy
        )
        return self._answer("ShareKeys", dealt)

    def on_DealtShares(self, body: Body, encoded: bytes) -> Effects:  # noqa: N802
        """Open what was dealt and say what verified (spec 4.3, 4.4)."""
        del encoded
        assert self.secrets is not None  # noqa: S101 drawn at the Manifest
        others = near.among(self.graph[self.me], self.book.u1)
        checks.check_ids("4.3-2", [row[0] for row in body["entries"]], others)
        x_v = self.x_of[self.me]
        sharing.open_dealt(body, self.me, self.secrets, self.book, x_v, self.held)
        dealers = near.closed(self.graph, self.me, self.book.u1)
        bits = sharing.bitmap(dealers, set(self.held.b))
        return self._answer("ShareAck", {"bitmap": bits})

    def on_DealerList(self, body: Body, encoded: bytes) -> Effects:  # noqa: N802
        """Check L2, latch h2; mask if in U2 (spec 4.4, 4.5)."""
        assert self.secrets is not None  # noqa: S101 drawn at the Manifest
        u2, q = body["dealers"], self.params.q
        checks.check_ids("4.4-2", u2, self.book.u1)
        require("4.4-3", len(u2) >= q, f"|U2| = {len(u2)} is below {q}")
        self.u2 = u2
        self.transcripts["h2"] = keys.h2(self.book.h1, encoded)
        if self.me not in u2:
            return {}
        others = near.among(self.graph[self.me], u2)
        masks = keys.own_masks(self.book, self.secrets, self.me, others)
        return {"mask_vector": masks}

    def vector_masked(self, root: bytes) -> Effects:
        """State the root of y_u, unless L3 came first (spec 4.5)."""
        late = "InputList" in self.accepted or self.root is not None
        if late or "DealerList" not in self.accepted:
            return {}
        self.root = root
        self._spend()
        return self._answer("MaskedInput", {"root": root})

    def _spend(self) -> None:
        """The update is of this session for good (rule 4.1-8)."""
        self.spent = True
        self.standing.spent = self.manifest["round_no"]

    def on_InputList(self, body: Body, encoded: bytes) -> Effects:  # noqa: N802
        """Check L3, latch h3 and vote (spec 4.5, 4.6)."""
        checks.check_input_list(
            body,
            self.me,
            self.root,
            self.u2,
            self.params,
            self.graph,
            self._quoting("h2"),
        )
        self.u3 = [row[0] for row in body["entries"]]
        checks.check_apart(self.manifest, self.u3, self.standing)
        self.standing.sums.append(checks.summed_set(self.manifest, self.u3))
        self.transcripts["h3"] = keys.h3(self.transcripts["h2"], encoded)
        return self._answer("Consistency", {"h3": self.transcripts["h3"]})

    def on_Certificate(self, body: Body, encoded: bytes) -> Effects:  # noqa: N802
        """Check the votes, then release one kind of share a member (spec 4.6, 4.7)."""
        del encoded
        latched, quoting = self.transcripts["h3"], self._quoting("h3")
        checks.check_certificate(body, self.book.u1, latched, self.params.q, quoting)
        self._spend()
        dealers = near.closed(self.graph, self.me, self.u2)
        kinds = [self.held.b if v in self.u3 else self.held.s for v in dealers]
        shares = [kind.get(v) for v, kind in zip(dealers, kinds, strict=True)]
        return self._answer("Unmasking", {"shares": shares})

    def on_Result(self, body: Body, encoded: bytes) -> Effects:  # noqa: N802
        """Check the Result and move the head (spec 4.8)."""
        assert self.sid is not None  # noqa: S101 rule 3.4-6
        checks.check_result(body, self.u3, self.manifest, self.params)
        head = self.standing.head
        link = keys.link(head, self.sid, self.transcripts["h3"], encoded)
        self.standing.head = link
        self._leave()
        self.ready = None
        return {"completed": {"link": link, "included": self.me in self.u3}}

    def on_Abort(self, body: Body, encoded: bytes) -> Effects:  # noqa: N802
        """Leave; the update may enter another attempt if it is not spent (4.9)."""
        del encoded
        assert self.sid is not None  # noqa: S101 rule 3.4-6
        retry = not self.spent and self.manifest["attempt"] < 3
        self._leave()
        if not retry:
            self.ready = None
        aborted = {"code": body["rule"], "missing": body["missing"], "retry": retry}
        return {"aborted": aborted}
