"""What must never happen, whatever the aggregator and the other members do.

I1 to I8, read off the logs of honest clients. Signatures and commitments are checked
here with nothing of secagg: hashes from hashlib, keys through `cryptography`.
"""

from __future__ import annotations

import collections
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import msgpack
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from secagg import events, messages
from secagg.messages import Envelope, Manifest
from secagg.names import PeerId, SessionId
from secagg.roster import Roster
from tests.recording import RecordedClient, body_of

Opened = dict[tuple[SessionId, PeerId, str], set[PeerId]]
"""Who opened a share of which kind, of which member's secret."""


def lp(*parts: bytes) -> bytes:
    """LP of spec 1, from its definition."""
    return b"".join(len(part).to_bytes(4, "little") + part for part in parts)


def digest(label: str, *parts: bytes) -> bytes:
    """H of spec 1, from its definition."""
    return hashlib.sha256(lp(label.encode(), *parts)).digest()


@dataclass
class Session:
    """What one client learnt and said in one session."""

    manifest: Manifest
    dealt: dict[PeerId, tuple[bytes, bytes]] = field(default_factory=dict)
    own: tuple[bytes, bytes] = (b"", b"")
    u1: tuple[PeerId, ...] = ()
    u2: tuple[PeerId, ...] = ()
    u3: tuple[PeerId, ...] = ()
    votes: set[bytes] = field(default_factory=set)
    certified: set[bytes] = field(default_factory=set)
    said: dict[str, set[bytes]] = field(
        default_factory=lambda: collections.defaultdict(set)
    )
    masks: set[tuple[bytes, ...]] = field(default_factory=set)

    @property
    def quorum(self) -> int:
        """Floor((n + c) / 2) + 1."""
        n, c = len(self.manifest.members), self.manifest.corruption_bound
        return (n + c) // 2 + 1


class Witness:
    """Walks one honest client's log and checks I1 to I8 on the way."""

    def __init__(self, client: RecordedClient, roster: Roster) -> None:
        self._client = client
        self._roster = roster
        self._joined: dict[str, tuple[int, int]] = {}
        self._released: set[tuple[str, int]] = set()
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
        """Note what came; what was not accepted leads to no answer below."""
        session = self.sessions.get(envelope.sid)
        kinds = ("KeyList", "DealtShares", "DealerList", "InputList", "Certificate")
        if session is None or envelope.type not in kinds:
            return
        match body_of(envelope):
            case messages.KeyList(entries=entries) if not session.u1:
                session.u1 = tuple(entry.peer for entry in entries)
            case messages.DealtShares(entries=entries) if not session.dealt:
                session.dealt = {e.dealer: (e.com_b, e.com_s) for e in entries}
            case messages.DealerList(dealers=dealers) if not session.u2:
                session.u2 = dealers
            case messages.InputList(entries=entries) if not session.u3:
                session.u3 = tuple(entry.peer for entry in entries)
            case messages.Certificate() as certificate:
                self._certify(session, envelope.sid, certificate)
            case _:
                pass

    def _certify(
        self, session: Session, sid: SessionId, certificate: messages.Certificate
    ) -> None:
        for h3 in session.votes:
            valid = {
                vote.peer
                for vote in certificate.votes
                if vote.peer in session.u1 and self._voted(vote, sid, h3, session)
            }
            if len(valid) >= session.quorum:
                session.certified.add(h3)

    def _voted(
        self, vote: messages.SignedVote, sid: SessionId, h3: bytes, session: Session
    ) -> bool:
        body: bytes = msgpack.packb([h3], use_bin_type=True)
        to = session.manifest.aggregator.encode()
        signed = lp(
            b"secagg/1/sig",
            b"Consistency",
            sid,
            vote.peer.encode(),
            to,
            h3,
            hashlib.sha256(body).digest(),
        )
        key = self._roster.member(vote.peer).key
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(vote.signature, signed)
        except InvalidSignature:
            return False
        return True

    def _see(self, effect: events.ClientEffect) -> None:
        match effect:
            case events.PersistJoined():
                self._check_join(effect)
            case events.Joined():
                self.sessions[effect.sid] = Session(effect.manifest)
            case events.PersistSpent():
                self._released.add((effect.task_id, effect.round_no))
            case events.MaskVector():
                self._check_masks(effect)
            case events.Send():
                self._check_sent(effect.envelope)
            case _:
                pass

    def _check_join(self, effect: events.PersistJoined) -> None:
        pair = (effect.round_no, effect.attempt)
        assert pair > self._joined.get(effect.task_id, (0, 0)), "I7"
        assert (effect.task_id, effect.round_no) not in self._released, "I8"
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
        assert self._joined[manifest.task_id] >= pair, "joined only after it was sent"
        session.said[envelope.type].add(envelope.body + envelope.signature)
        assert len(session.said[envelope.type]) == 1, f"I3, I4: two {envelope.type}"
        match body_of(envelope):
            case messages.Consistency(h3=h3):
                session.votes.add(h3)
            case messages.ShareKeys(entries=entries):
                own = entries[session.u1.index(self._client.id)]
                session.own = (own.com_b, own.com_s)
            case messages.Unmasking(shares=shares):
                self._check_release(envelope.sid, session, shares)
            case _:
                pass

    def _check_release(
        self, sid: SessionId, session: Session, shares: tuple[bytes | None, ...]
    ) -> None:
        task, round_no = session.manifest.task_id, session.manifest.round_no
        assert (task, round_no) in self._released, "released before it was durable"
        assert session.votes <= session.certified, "I2: no certificate on its h3"
        assert len(session.votes) == 1
        for dealer, share in zip(session.u2, shares, strict=True):
            if share is None:
                continue
            kind = self._kind(sid, session, dealer, share)
            assert kind == ("b" if dealer in session.u3 else "s"), (dealer, kind)
            self.opened[sid, dealer, kind].add(self._client.id)
        for _, dealer, _ in self.opened:
            kinds = {k for s, v, k in self.opened if (s, v) == (sid, dealer)}
            assert len(kinds) <= 1, f"I1: both kinds of {dealer}"

    def _kind(
        self, sid: SessionId, session: Session, dealer: PeerId, share: bytes
    ) -> str:
        """Which of the dealer's two commitments the share opens."""
        me = self._client.id
        commitments = session.own if dealer == me else session.dealt[dealer]
        names = (dealer.encode(), me.encode())
        opened = [
            digest(f"secagg/1/com-{kind}", sid, *names, share) == commitment
            for kind, commitment in zip("bs", commitments, strict=True)
        ]
        assert sum(opened) == 1, "a share that opens no commitment"
        return "b" if opened[0] else "s"

    def _check_secrets_stay(self) -> None:
        secrets = [*self._client.drawn["b_u"], *self._client.drawn["s_sk"]]
        for envelope in self._client.sent:
            for secret in secrets:
                assert secret not in envelope.body, "I6: an own secret was sent"


def witnesses(clients: Iterable[RecordedClient], roster: Roster) -> list[Witness]:
    """Check I1 to I8 for each honest client."""
    return [Witness(client, roster).walk() for client in clients]


def check_all(clients: Iterable[RecordedClient], roster: Roster, c: int) -> Opened:
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
    for sid, dealer, quorum in _secrets(seen):
        counts = [len(opened[sid, dealer, kind]) + c for kind in "bs"]
        assert min(counts) < quorum, f"both secrets of {dealer} can be rebuilt"
    return opened


def _check_one_certified(seen: Iterable[Witness]) -> None:
    certified: dict[SessionId, set[bytes]] = collections.defaultdict(set)
    for witness in seen:
        for sid, session in witness.sessions.items():
            certified[sid] |= session.certified
    assert all(len(h3s) <= 1 for h3s in certified.values()), "two certified h3"


def _secrets(seen: Iterable[Witness]) -> Iterator[tuple[SessionId, PeerId, int]]:
    for witness in seen:
        for sid, session in witness.sessions.items():
            for member in session.manifest.members:
                yield sid, member.peer, session.quorum
