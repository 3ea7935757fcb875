"""What must never happen, whatever the aggregator and the other members do.

I1 to I8, read off the logs of honest clients. Signatures and commitments are checked
here with nothing of secagg: hashes from hashlib, keys through `cryptography`, the
neighbours from the spec's model.
"""

from __future__ import annotations

import collections
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgpack
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from protocol_spec.model import graph
from secagg import errors, events, messages
from secagg.messages import Envelope, Manifest
from secagg.names import PeerId, SessionId
from secagg.roster import Roster
from tests.recording import body_of

LISTS = ("KeyList", "CoinList", "DealtShares", "DealerList", "InputList", "Certificate")
"""What a client bases its own moves on."""

Entry = messages.SignedKeys | messages.SignedRoot | messages.SignedVote
"""A member's signature as a list quotes it."""

Opened = dict[tuple[SessionId, PeerId, str], set[PeerId]]
"""Who opened a share of which kind, of which member's secret."""


class Recorded(Protocol):
    """An honest client whose life was written down."""

    id: PeerId
    log: list[tuple[events.ClientEvent, list[events.ClientEffect]]]

    @property
    def drawn(self) -> dict[str, list[bytes]]:
        """Its secrets, by label."""
        ...

    @property
    def sent(self) -> list[Envelope]:
        """Every envelope it sent, in order."""
        ...


def lp(*parts: bytes) -> bytes:
    """LP of spec 1, from its definition."""
    return b"".join(len(part).to_bytes(4, "little") + part for part in parts)


def digest(label: str, *parts: bytes) -> bytes:
    """H of spec 1, from its definition."""
    return hashlib.sha256(lp(label.encode(), *parts)).digest()


@dataclass
class Session:
    """What one client learnt and said in one session; the first of each list counts."""

    sid: SessionId
    manifest: Manifest
    keys: tuple[messages.SignedKeys, ...] = ()
    coins: tuple[bytes, ...] = ()
    dealt: dict[PeerId, tuple[bytes, bytes]] = field(default_factory=dict)
    own: tuple[bytes, bytes] = (b"", b"")
    u2: tuple[PeerId, ...] = ()
    inputs: tuple[messages.SignedRoot, ...] = ()
    h1: bytes = b""
    h2: bytes = b""
    votes: set[bytes] = field(default_factory=set)
    certified: set[bytes] = field(default_factory=set)
    said: dict[str, set[bytes]] = field(
        default_factory=lambda: collections.defaultdict(set)
    )
    masks: set[tuple[bytes, ...]] = field(default_factory=set)

    @property
    def members(self) -> tuple[PeerId, ...]:
        return tuple(member.peer for member in self.manifest.members)

    @property
    def u1(self) -> tuple[PeerId, ...]:
        return tuple(entry.peer for entry in self.keys)

    @property
    def u3(self) -> tuple[PeerId, ...]:
        return tuple(entry.peer for entry in self.inputs)

    @property
    def quorum(self) -> int:
        """Floor((n + c) / 2) + 1."""
        return (len(self.members) + self.manifest.corruption_bound) // 2 + 1

    @property
    def floor(self) -> int:
        least = max(self.quorum, 3, self.manifest.corruption_bound + 2)
        losses = self.manifest.losses
        return least if losses is None else max(least, len(self.members) - losses)

    @property
    def degree(self) -> graph.Degree:
        """K, c_k, t and L; on the complete graph nobody counts neighbours."""
        n, c = len(self.members), self.manifest.corruption_bound
        if self.manifest.losses is None:
            return graph.Degree(n - 1, c, self.quorum, 0)
        degree = graph.degree_of(n, c, self.manifest.losses)
        assert degree is not None, "joined a session on a graph that there is not"
        return degree

    def near(self, u: PeerId) -> tuple[PeerId, ...]:
        """N[u], sorted."""
        members, degree = self.members, self.degree
        if degree.k == len(members) - 1:
            return members
        seed = digest("secagg/1/graph", self.h1, *self.coins)
        index = members.index(u)
        others = graph.neighbours(len(members), degree.k, seed)[index]
        return tuple(members[i] for i in sorted((*others, index)))

    def within(self, u: PeerId, some: Sequence[PeerId]) -> list[PeerId]:
        """Those of N[u] among some members, sorted."""
        return [v for v in self.near(u) if v in some]

    def hear(self, envelope: Envelope) -> None:
        """Note a list, whether or not it will be accepted."""
        match body_of(envelope):
            case messages.KeyList(entries=entries) if not self.keys:
                self.keys = entries
                self.h1 = digest("secagg/1/h1", self.sid, envelope.body)
            case messages.CoinList(coins=coins) if not self.coins:
                self.coins = coins
            case messages.DealtShares(entries=entries) if not self.dealt:
                self.dealt = {e.dealer: (e.com_b, e.com_s) for e in entries}
            case messages.DealerList(dealers=dealers) if not self.u2:
                self.u2 = dealers
                self.h2 = digest("secagg/1/h2", self.h1, envelope.body)
            case messages.InputList(entries=entries) if not self.inputs:
                self.inputs = entries
            case _:
                pass


class Witness:
    """Walks one honest client's log and checks I1 to I8 on the way."""

    def __init__(self, client: Recorded, roster: Roster) -> None:
        self._client = client
        self._roster = roster
        self._joined: dict[str, tuple[int, int]] = {}
        self._spent: set[tuple[str, int]] = set()
        self._keys: dict[bytes, SessionId] = {}
        self.sessions: dict[SessionId, Session] = {}
        self.opened: Opened = collections.defaultdict(set)

    def walk(self) -> Witness:
        for event, effects in self._client.log:
            if isinstance(event, events.Received):
                self._hear(event.envelope)
            for effect in effects:
                self._see(effect)
        self._check_secrets_stay()
        return self

    def _hear(self, envelope: Envelope) -> None:
        session = self.sessions.get(envelope.sid)
        if session is None or envelope.type not in LISTS:
            return
        try:
            session.hear(envelope)
            if envelope.type == "Certificate":
                self._certify(session, body_of(envelope))
        except errors.CodecError:
            return

    def _certify(self, session: Session, certificate: messages.Message) -> None:
        assert isinstance(certificate, messages.Certificate)
        for h3 in session.votes:
            valid = {
                vote.peer
                for vote in certificate.votes
                if vote.peer in session.u1
                and self._signed(session, vote, "Consistency", [h3], h3)
            }
            if len(valid) >= session.quorum:
                session.certified.add(h3)

    def _signed(
        self,
        session: Session,
        entry: Entry,
        type_: str,
        fields: Sequence[bytes | None],
        h: bytes,
    ) -> bool:
        """Whether the entry's member signed this message to the aggregator."""
        body: bytes = msgpack.packb(fields, use_bin_type=True)
        names = (entry.peer.encode(), session.manifest.aggregator.encode())
        signed = lp(
            b"secagg/1/sig",
            type_.encode(),
            session.sid,
            *names,
            h,
            hashlib.sha256(body).digest(),
        )
        key = self._roster.member(entry.peer).key
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(entry.signature, signed)
        except InvalidSignature:
            return False
        return True

    def _see(self, effect: events.ClientEffect) -> None:
        match effect:
            case events.PersistJoined():
                self._check_join(effect)
            case events.Joined():
                self.sessions[effect.sid] = Session(effect.sid, effect.manifest)
            case events.PersistSpent():
                self._spent.add((effect.task_id, effect.round_no))
            case events.MaskVector():
                self._check_masks(effect)
            case events.Send():
                self._check_sent(effect.envelope)
            case _:
                pass

    def _check_join(self, effect: events.PersistJoined) -> None:
        pair = (effect.round_no, effect.attempt)
        assert pair > self._joined.get(effect.task_id, (0, 0)), "I7"
        assert (effect.task_id, effect.round_no) not in self._spent, "I8"
        self._joined[effect.task_id] = pair

    def _check_masks(self, effect: events.MaskVector) -> None:
        session = self.sessions[effect.sid]
        session.masks.add(tuple(seed.key for seed in effect.seeds))
        assert len(session.masks) == 1, "I4: two y_u"
        for seed in effect.seeds:
            owner = self._keys.setdefault(seed.key, effect.sid)
            assert owner == effect.sid, "I5: a PRG key outside its session"

    def _check_sent(self, envelope: Envelope) -> None:
        if envelope.type == "Refusal":
            return
        session = self.sessions[envelope.sid]
        manifest = session.manifest
        pair = (manifest.round_no, manifest.attempt)
        joined = self._joined.get(manifest.task_id, (0, 0))
        assert joined >= pair, "joined only after it was sent"
        session.said[envelope.type].add(envelope.body + envelope.signature)
        assert len(session.said[envelope.type]) == 1, f"I3, I4: two {envelope.type}"
        if envelope.type in {"MaskedInput", "Unmasking"}:
            spent = (manifest.task_id, manifest.round_no) in self._spent
            assert spent, "spent before it was durable"
        match body_of(envelope):
            case messages.ShareKeys(entries=entries):
                self._check_keys(session)
                me = self._client.id
                self._check_coins(session)
                own = entries[session.within(me, session.u1).index(me)]
                session.own = (own.com_b, own.com_s)
            case messages.Consistency(h3=h3):
                self._check_inputs(session)
                session.votes.add(h3)
            case messages.Unmasking(shares=shares):
                self._check_release(session, shares)
            case _:
                pass

    def _check_keys(self, session: Session) -> None:
        """Shares are dealt only to keys that q members of U0 signed."""
        assert len(set(session.u1) & set(session.members)) >= session.quorum
        for entry in session.keys:
            keys = entry.keys
            fields = [keys.c_pk, keys.s_pk, keys.b_commitment, keys.coin_commitment]
            sid = bytes(session.sid)
            signed = self._signed(session, entry, "AdvertiseKeys", fields, sid)
            assert signed, f"dealt to keys that {entry.peer} did not sign"

    def _check_coins(self, session: Session) -> None:
        """Shares are dealt on the graph that the coins of all of U1 draw."""
        if session.manifest.losses is None:
            return
        for entry, coin in zip(session.keys, session.coins, strict=True):
            opened = digest("secagg/1/coin", session.sid, entry.peer.encode(), coin)
            assert opened == entry.keys.coin_commitment, "a graph of other coins"

    def _check_inputs(self, session: Session) -> None:
        """A vote is only for a U3 above the floor whose members signed their roots."""
        assert len(set(session.u3)) >= session.floor, "voted for a U3 below the floor"
        assert set(session.u3) <= set(session.u2) <= set(session.u1)
        for u in session.u3:
            others = len(session.within(u, session.u3)) - 1
            assert others >= session.degree.least, "voted for a U3 of lonely members"
        for entry in session.inputs:
            fields = [entry.root]
            signed = self._signed(session, entry, "MaskedInput", fields, session.h2)
            assert signed, f"voted for a root that {entry.peer} did not sign"

    def _check_release(
        self, session: Session, shares: tuple[bytes | None, ...]
    ) -> None:
        assert len(session.votes) == 1, "4.6-5: voted more than once, or not at all"
        assert session.votes <= session.certified, "4.7-5, I2: no certificate on its h3"
        dealers = session.within(self._client.id, session.u2)
        for dealer, share in zip(dealers, shares, strict=True):
            if share is None:
                continue
            kind = self._kind(session, dealer, share)
            assert kind == ("b" if dealer in session.u3 else "s"), (dealer, kind)
            self.opened[session.sid, dealer, kind].add(self._client.id)
            other = (session.sid, dealer, "s" if kind == "b" else "b")
            assert not self.opened.get(other), f"4.7-5, I1: both kinds of {dealer}"

    def _kind(self, session: Session, dealer: PeerId, share: bytes) -> str:
        """Which of the dealer's two commitments the share opens."""
        me = self._client.id
        commitments = session.own if dealer == me else session.dealt[dealer]
        names = (dealer.encode(), me.encode())
        opened = [
            digest(f"secagg/1/com-{kind}", session.sid, *names, share) == commitment
            for kind, commitment in zip("bs", commitments, strict=True)
        ]
        assert sum(opened) == 1, "a share that opens no commitment"
        return "b" if opened[0] else "s"

    def _check_secrets_stay(self) -> None:
        secrets = [*self._client.drawn["b_u"], *self._client.drawn["s_sk"]]
        for envelope in self._client.sent:
            for secret in secrets:
                assert secret not in envelope.body, "I6: an own secret was sent"


def witnesses(clients: Iterable[Recorded], roster: Roster) -> list[Witness]:
    """Check I1 to I8 for each honest client."""
    return [Witness(client, roster).walk() for client in clients]


def check_all(clients: Iterable[Recorded], roster: Roster, c: int) -> Opened:
    """Check I1 to I8, and that together the clients gave no secret away twice.

    Returns:
        Which honest clients opened a share of what.
    """
    seen = witnesses(clients, roster)
    opened: Opened = collections.defaultdict(set)
    for witness in seen:
        for key, holders in witness.opened.items():
            opened[key] |= holders
    _check_one_certified(seen)
    for sid, dealer, degree in _secrets(seen):
        held = min(c, degree.corrupt)
        counts = [len(opened[sid, dealer, kind]) + held for kind in "bs"]
        assert min(counts) < degree.t, f"both secrets of {dealer} can be rebuilt"
    return opened


def _check_one_certified(seen: Iterable[Witness]) -> None:
    certified: dict[SessionId, set[bytes]] = collections.defaultdict(set)
    for witness in seen:
        for sid, session in witness.sessions.items():
            certified[sid] |= session.certified
    assert all(len(h3s) <= 1 for h3s in certified.values()), "two certified h3"


def _secrets(
    seen: Iterable[Witness],
) -> Iterator[tuple[SessionId, PeerId, graph.Degree]]:
    for witness in seen:
        for sid, session in witness.sessions.items():
            for member in session.manifest.members:
                yield sid, member.peer, session.degree
