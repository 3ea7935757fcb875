"""The aggregator of a session: events in, effects out (spec 4)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from protocol_spec.model import checks, keys, near, sharing
from protocol_spec.model.checks import Quoting
from protocol_spec.model.envelope import (
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

PHASES = (
    "advertise_keys",
    "coin",
    "share_keys",
    "share_ack",
    "masked_input",
    "consistency",
    "unmasking",
    "result",
    "over",
)
TAKES = {
    "AdvertiseKeys": 0,
    "Coin": 1,
    "ShareKeys": 2,
    "ShareAck": 3,
    "MaskedInput": 4,
    "Consistency": 5,
    "Unmasking": 6,
}
"""What clients send, and the phase that takes it."""


class Server:
    """The aggregator over one session.

    Args:
        me: its id.
        secret: its identity's secret.
        roster: the roster.
        manifest: the Manifest it opens the session with.
    """

    def __init__(self, me: str, secret: bytes, roster: Roster, manifest: Body) -> None:
        """Stand before the Manifest."""
        self.me, self.secret, self.roster, self.manifest = me, secret, roster, manifest
        self.params = parameters_of(manifest)
        self.body = encode_body("Manifest", manifest)
        self.sid = keys.session_id(self.body)
        self.u0 = [member[0] for member in manifest["members"]]
        self.x_of = {v: 1 + index for index, v in enumerate(self.u0)}
        self.transcripts = {"sid": self.sid}
        self.phase = 0
        self.dropped: dict[str, str] = {}
        self.accepted: dict[str, dict[str, Envelope]] = {kind: {} for kind in TAKES}
        self.bodies: dict[str, dict[str, Body]] = {kind: {} for kind in TAKES}
        self.stored: dict[str, bytes] = {}
        self.u1: list[str] = []
        self.u2: list[str] = []
        self.u3: list[str] = []

    def handle(self, event: str, given: dict[str, Any]) -> Effects:
        """Take one event and return its effects (vectors/README.md)."""
        if event == "opened":
            return self._send_all("Manifest", self.manifest)
        if event == "received":
            return self.received(given["peer"], given["envelope"])
        if event == "vector_stored":
            if PHASES[self.phase] == "masked_input" and given["peer"] in self.u2:
                self.stored[given["peer"]] = given["root"]
            return {}
        if event == "sum_opened":
            return self.sum_opened(given["result"])
        late = given["round"] != PHASES[self.phase]
        return {} if late else self._close(final=True)

    # --- receiving ---------------------------------------------------------

    def received(self, peer: str, data: bytes) -> Effects:
        """Take a message, ignore it, or drop its sender by the rule."""
        try:
            require("3.4-8", self._takes_part(peer), "not a member, or dropped")
        except RefusedError as refused:
            return {"ignored": [peer, refused.rule]}
        try:
            if decode_envelope(data, self.params.n).sid != self.sid:
                return {"ignored": [peer, "8-6"]}
            kept = self._take(peer, data)
        except RefusedError as refused:
            self.dropped[peer] = refused.rule
            return {"drop": [peer, refused.rule], **self._close_if_complete()}
        return self._close_if_complete() if kept else {}

    def _takes_part(self, peer: str) -> bool:
        return peer in self.u0 and peer not in self.dropped

    def _take(self, peer: str, data: bytes) -> bool:
        """Check and keep a message; False if it changes nothing (spec 3.4, 4)."""
        envelope = decode_envelope(data, self.params.n)
        require("3.4-4", envelope.sender == peer, "not the sender's connection")
        require("3.4-5", envelope.receiver == self.me, "addressed to another")
        if PHASES[self.phase] == "over":
            return False
        if envelope.type == "Refusal":
            return self._refusal(peer, envelope)
        require("3.4-6", envelope.type in TAKES, f"{envelope.type} of a client")
        earlier = self.accepted[envelope.type].get(peer)
        if earlier is not None:
            require("3.4-7", earlier == envelope, f"a second {envelope.type}")
            return False
        return self._accept(peer, envelope)

    def _accept(self, peer: str, envelope: Envelope) -> bool:
        """Check a first message of its type by its phase, signature and round."""
        kind = envelope.type
        if TAKES[kind] < self.phase:
            return False
        member = kind == "AdvertiseKeys" or peer in self.u1
        require("3.4-6", TAKES[kind] == self.phase and member, f"{kind} is not due")
        h = self.transcripts[HEADERS[kind].transcript]
        check_signature(envelope, self.roster.keys[peer], h, "3.4-3")
        body = decode_body(kind, envelope.body, self.params.n)
        check = getattr(self, "check_" + PHASES[TAKES[kind]])
        check(peer, body)
        self.accepted[kind][peer], self.bodies[kind][peer] = envelope, body
        return True

    def _refusal(self, peer: str, envelope: Envelope) -> bool:
        """A Refusal takes its sender out, by the rule it names (spec 4)."""
        check_signature(envelope, self.roster.keys[peer], self.sid, "3.4-3")
        body = decode_body("Refusal", envelope.body, self.params.n)
        raise RefusedError(body["rule"], "a Refusal")

    def check_advertise_keys(self, peer: str, body: Body) -> None:
        """Rules 3.2-1 to 3.2-3, 3.2-5 and 4.2-5."""
        del peer
        checks.check_advert(body, tossed=self.params.regular)
        known = [body["c_pk"], body["s_pk"]]
        for advert in self._given("AdvertiseKeys").values():
            known += [advert["c_pk"], advert["s_pk"]]
        require("3.2-5", len(set(known)) == len(known), "a key is repeated")

    def check_coin(self, peer: str, body: Body) -> None:
        """Rule 4.10-1."""
        checks.check_coin(peer, body["coin"], self.book)

    def check_share_keys(self, peer: str, body: Body) -> None:
        """Rule 4.3-1."""
        nils = [row[0] is None for row in body["entries"]]
        own = [v == peer for v in self._near(peer, self.u1)]
        require("4.3-1", nils == own, "entries or nils differ")

    def check_share_ack(self, peer: str, body: Body) -> None:
        """Rule 4.4-1."""
        dealers = {*self.bodies["ShareKeys"], peer}
        sharing.read_bitmap(body["bitmap"], self._near(peer, self.u1), dealers)

    def check_masked_input(self, peer: str, body: Body) -> None:
        """Rule 4.5-1."""
        stated = peer in self.u2 and self.stored.get(peer) == body["root"]
        require("4.5-1", stated, "not the root of the chunks stored")

    def check_consistency(self, peer: str, body: Body) -> None:
        """Rule 4.6-1."""
        del peer
        require("4.6-1", body["h3"] == self.transcripts["h3"], "another h3")

    def check_unmasking(self, peer: str, body: Body) -> None:
        """Rules 4.7-1, 4.7-2."""
        shares = body["shares"]
        formed = [y is None or (len(y) == 32 and sharing.below_q(y)) for y in shares]
        dealers = self._near(peer, self.u2)
        whole = len(shares) == len(dealers) and all(formed)
        require("4.7-1", whole, "not one share or nil below Q for each of N[u] in U2")
        for v, y in zip(dealers, shares, strict=False):
            _, commit_b, commit_s = self._entry(v, peer)
            if v in self.u3:
                ok = y is None or commit_b == keys.com_b(self.sid, v, peer, y)
            else:
                ok = y is None or commit_s == keys.com_s(self.sid, v, peer, y)
            require("4.7-2", ok, f"not the share that {v} committed to")

    def _near(self, u: str, within: Collection[str]) -> list[str]:
        return near.closed(self.graph, u, within)

    def _entry(self, dealer: str, holder: str) -> list[Any]:
        """What a dealer dealt to a holder."""
        place = self._near(dealer, self.u1).index(holder)
        row: list[Any] = self.bodies["ShareKeys"][dealer]["entries"][place]
        return row

    # --- closing a phase ---------------------------------------------------

    def _given(self, kind: str) -> dict[str, Body]:
        """What members that were not dropped gave, in the order of their ids."""
        bodies = self.bodies[kind]
        return {v: bodies[v] for v in sorted(bodies) if v not in self.dropped}

    def _expected(self) -> list[str]:
        """Whom the phase waits for (spec 4)."""
        acked = [v for v in self.u2 if v in self.bodies["ShareAck"]]
        lists = (
            self.u0,
            self.u1,
            self.u1,
            list(self._given("ShareKeys")),
            acked,
            self.u3,
            list(self._given("Consistency")),
        )
        return [v for v in lists[self.phase] if v not in self.dropped]

    def _close_if_complete(self) -> Effects:
        if self.phase >= len(TAKES):
            return {}
        kind = list(TAKES)[self.phase]
        given = set(self._given(kind))
        if not set(self._expected()) <= given:
            return {}
        able = {"AdvertiseKeys": self.u0, "MaskedInput": self.u2}.get(kind, self.u1)
        final = set(able) <= given | set(self.dropped)
        return self._close(final=final)

    def _close(self, *, final: bool) -> Effects:
        """End the phase: its list, or Abort; below a floor wait on unless final."""
        if self.phase >= len(TAKES):
            return {}
        try:
            effects: Effects = getattr(self, "close_" + PHASES[self.phase])()
        except RefusedError as refused:
            if refused.rule != "4.7-4" and not final:
                return {}
            return self._abort(refused)
        self.phase += 1
        return effects

    def _abort(self, refused: RefusedError) -> Effects:
        """Give up; the Abort's text is free, so it is not among the effects."""
        missing = [v for v in self.u0 if v not in self.short]
        retry = not self.bodies["MaskedInput"] and self.manifest["attempt"] < 3
        self.phase = PHASES.index("over")
        aborted = {
            "code": refused.rule,
            "missing": missing,
            "culprits": sorted(refused.culprits),
            "retry": retry,
            "to": [v for v in self.u0 if v not in self.dropped],
        }
        return {"aborted": aborted}

    def _floor(
        self, rule: str, found: list[str], least: int, there: list[str] | None = None
    ) -> None:
        """The set that a list is made of, its floor, and who is not missing."""
        self.short = found if there is None else there
        require(rule, len(found) >= least, f"{len(found)} is below {least}")

    def close_advertise_keys(self) -> Effects:
        """L1 (spec 4.2)."""
        given = self._given("AdvertiseKeys")
        self._floor("4.2-4", list(given), self.params.q)
        signatures = self.accepted["AdvertiseKeys"]
        rows = [[v, *given[v].values(), signatures[v].signature] for v in given]
        self.u1 = list(given)
        body = {"entries": rows}
        encoded = encode_body("KeyList", body)
        self.book = keys.KeyBook.of(self.sid, body, encoded)
        self.transcripts["h1"] = self.book.h1
        if not self.params.regular:
            self.graph = near.complete(self.u0)
            self.phase = PHASES.index("coin")
        return self._send_all("KeyList", body)

    def close_coin(self) -> Effects:
        """All coins, and so the graph (spec 4.10)."""
        given = self._given("Coin")
        self._floor("4.10-3", list(given), len(self.u1))
        coins = [body["coin"] for body in given.values()]
        seed = keys.graph_seed(self.book.h1, coins)
        self.graph = near.regular(self.u0, self.params.degree.k, seed)
        return self._send_all("CoinList", {"coins": coins})

    def close_share_keys(self) -> Effects:
        """Each of U1 gets the entries dealt to it (spec 4.3)."""
        given = self._given("ShareKeys")
        self._floor("4.3-7", list(given), self.params.q)
        sends = []
        for v in self.u1:
            dealers = near.among(self.graph[v], given)
            rows = [[u, *self._entry(u, v)] for u in dealers]
            if v not in self.dropped:
                sends.append(
                    (v, self.seal_message("DealtShares", v, {"entries": rows}))
                )
        return {"send": sends}

    def close_share_ack(self) -> Effects:
        """U2: at least L + 1 ones and at most c_k zeros (spec 4.4)."""
        given, degree = self._given("ShareAck"), self.params.degree
        acks = {}
        for u, body in given.items():
            dealers = self._near(u, self.u1)
            acks[u] = sharing.read_bitmap(body["bitmap"], dealers, set(self.u1))
        u2 = []
        sound = []
        for v in self._given("ShareKeys"):
            acked = self._near(v, given)
            ones = sum(v in acks[u] for u in acked)
            few_zeros = len(acked) - ones <= degree.corrupt
            if ones > degree.least and few_zeros:
                u2.append(v)
            if v in given and few_zeros:
                sound.append(v)
        self._floor("4.4-3", u2, self.params.q, sound)
        self.u2 = u2
        body = {"dealers": u2}
        encoded = encode_body("DealerList", body)
        self.transcripts["h2"] = keys.h2(self.book.h1, encoded)
        return self._send_all("DealerList", body)

    def close_masked_input(self) -> Effects:
        """L3 (spec 4.5)."""
        given = self._given("MaskedInput")
        u3 = near.core(self.graph, given, self.params.degree.least)
        self._floor("4.5-5", u3, self.params.floor, list(given))
        signatures = self.accepted["MaskedInput"]
        self.u3 = u3
        rows = [[v, given[v]["root"], signatures[v].signature] for v in u3]
        body = {"entries": rows}
        encoded = encode_body("InputList", body)
        self.transcripts["h3"] = keys.h3(self.transcripts["h2"], encoded)
        return self._send_all("InputList", body)

    def close_consistency(self) -> Effects:
        """The Certificate (spec 4.6)."""
        given = self._given("Consistency")
        self._floor("4.6-4", list(given), self.params.q)
        voters = list(given)[: self.params.q]
        votes = [[v, self.accepted["Consistency"][v].signature] for v in voters]
        return self._send_all("Certificate", {"votes": votes})

    def close_unmasking(self) -> Effects:
        """Rebuild the secrets and open the sum (spec 4.7, 4.8)."""
        given = self._given("Unmasking")
        self.short = list(given)
        t = self.params.degree.t
        b: dict[str, int] = {}
        s_sk: dict[str, int] = {}
        for v in self.u2:
            points = self._points(v, given)
            require("4.7-3", len(points) >= t, f"{len(points)} shares of {v}")
            kind, secrets = ("b", b) if v in self.u3 else ("s", s_sk)
            secrets[v] = sharing.check_rebuilt(kind, v, points, t, self.book)
        masks = keys.left_over_masks(self.book, self.graph, b, s_sk)
        return {"open_sum": {"u3": self.u3, "seeds": masks}}

    def _points(self, v: str, given: dict[str, Body]) -> dict[int, int]:
        """The shares of v's secret that came, by their x."""
        points = {}
        for holder in self._near(v, given):
            place = self._near(holder, self.u2).index(v)
            share = given[holder]["shares"][place]
            if share is not None:
                points[self.x_of[holder]] = int.from_bytes(share, "little")
        return points

    def sum_opened(self, result: bytes) -> Effects:
        """Send the Result; the chain moves (spec 4.8)."""
        body = decode_body("Result", result, self.params.n)
        self.phase = PHASES.index("over")
        previous, voted = self.manifest["previous_link"], self.transcripts["h3"]
        link = keys.link(previous, self.sid, voted, result)
        return {**self._send_all("Result", body), "completed": {"link": link}}

    # --- sending -----------------------------------------------------------

    def seal_message(self, kind: str, receiver: str, body: Body) -> bytes:
        """A signed message of the session, under the transcript of its type."""
        h = self.transcripts[HEADERS[kind].transcript]
        encoded = encode_body(kind, body)
        sealed = seal(self.secret, kind, self.sid, self.me, receiver, h, encoded)
        return sealed.encode()

    def _send_all(self, kind: str, body: Body) -> Effects:
        """Manifest to U0, all else to U1, less the dropped, by id (spec 4)."""
        data = self.seal_message(kind, "", body)
        members = self.u0 if kind == "Manifest" else self.u1
        return {"send": [(v, data) for v in members if v not in self.dropped]}

    def quoting(self, transcript: str) -> Quoting:
        """What quoted signatures of this session are checked against."""
        return Quoting(self.roster, self.me, self.sid, self.transcripts[transcript])
