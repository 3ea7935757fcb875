"""Members of a session step by step, with no machine: for the tests of the rounds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from secagg import codec
from secagg.crypto import transcript
from secagg.entropy import SeededEntropy
from secagg.graph import Graph
from secagg.identity import Identity
from secagg.masking import Mask
from secagg.messages import (
    AdvertiseKeys,
    Consistency,
    InputList,
    KeyList,
    MaskedInput,
    Message,
    ShareKeys,
    SignedKeys,
    SignedRoot,
    SignedVote,
    Unmasking,
)
from secagg.names import PeerId, SessionId
from secagg.params import Parameters
from secagg.roster import Roster
from secagg.rounds import advertise_keys, coin, masked_input, share_keys, unmasking
from secagg.rounds.advertise_keys import KeyBook, SessionKeys
from secagg.rounds.neighbourhood import Neighbourhoods, neighbourhoods
from secagg.rounds.share_keys import HeldShares, Party
from secagg.rounds.unmasking import Dealings
from secagg.signing import seal
from tests.helpers import AGGREGATOR, scene
from tests.samples import blob

SID = SessionId(blob(0x51))


@dataclass
class Parties:
    """n honest members, each with its secrets, and what they say round by round."""

    n: int = 4
    c: int = 1
    sid: SessionId = SID
    losses: int | None = None
    keys: dict[PeerId, SessionKeys] = field(default_factory=dict)
    adverts: dict[PeerId, AdvertiseKeys] = field(default_factory=dict)

    def __post_init__(self) -> None:
        graph = "complete" if self.losses is None else "regular"
        world = scene(self.n, self.c, graph=graph, losses=self.losses)
        self.params: Parameters = world.server.params
        self.roster: Roster = world.consortium.roster
        self.identities: Mapping[PeerId, Identity] = world.consortium.silos
        self.members = self.params.members
        for u in self.members:
            entropy = SeededEntropy(u.encode())
            made = advertise_keys.client_advertise(
                entropy, sid=self.sid, me=u, tossed=self.params.tossed
            )
            self.keys[u], self.adverts[u] = made

    def sign(self, u: PeerId, message: Message, h: bytes) -> bytes:
        """The signature that u's envelope of this message carries."""
        identity = self.identities[u]
        return seal(
            message, identity=identity, receiver=AGGREGATOR, sid=self.sid, h=h
        ).signature

    def entry(self, u: PeerId) -> SignedKeys:
        """U's entry of L1."""
        advert = self.adverts[u]
        return SignedKeys(peer=u, keys=advert, signature=self.sign(u, advert, self.sid))

    @cached_property
    def key_list(self) -> KeyList:
        """L1 of all."""
        return KeyList(entries=tuple(self.entry(u) for u in self.members))

    @cached_property
    def book(self) -> KeyBook:
        """What h1 fixes."""
        h1 = transcript.h1(self.sid, codec.encode_body(self.key_list))
        return KeyBook(h1=h1, keys=self.adverts)

    def party(self, u: PeerId) -> Party:
        """U with its secrets."""
        return Party(me=u, sid=self.sid, params=self.params, keys=self.keys[u])

    @cached_property
    def coins(self) -> dict[PeerId, bytes]:
        """What each opens; of the regular graph."""
        return {u: coin.client_open(self.keys[u]).coin for u in self.members}

    @cached_property
    def graph(self) -> Graph:
        """Who is whose neighbour."""
        if not self.params.tossed:
            return self.params.graph(None)
        seed = transcript.graph_seed(self.book.h1, [*self.coins.values()])
        return self.params.graph(seed)

    @cached_property
    def near(self) -> Neighbourhoods:
        """N[u], U1 = all."""
        return neighbourhoods(self.graph, self.members)

    @cached_property
    def dealt(self) -> dict[PeerId, tuple[ShareKeys, HeldShares]]:
        """What each deals, and its own shares."""
        return {
            u: share_keys.client_deal(
                self.party(u),
                self.book,
                self.near[u],
                SeededEntropy(b"deal" + u.encode()),
            )
            for u in self.members
        }

    @cached_property
    def held(self) -> dict[PeerId, HeldShares]:
        """What each verified."""
        messages = {u: message for u, (message, _) in self.dealt.items()}
        out = dict(share_keys.server_deal_out(messages, self.near, self.params))
        return {
            v: share_keys.client_open_shares(
                out[v],
                party=self.party(v),
                book=self.book,
                near=self.near[v],
                own=self.dealt[v][1],
            )
            for v in self.members
        }

    @cached_property
    def h2(self) -> bytes:
        return transcript.h2(self.book.h1, b"L2")

    def root(self, u: PeerId, root: bytes | None = None) -> SignedRoot:
        """U's entry of L3."""
        stated = MaskedInput(root=root or blob(self.members.index(u) + 1))
        signature = self.sign(u, stated, self.h2)
        return SignedRoot(peer=u, root=stated.root, signature=signature)

    def input_list(self, u3: Collection[PeerId]) -> InputList:
        return InputList(entries=tuple(self.root(u) for u in sorted(u3)))

    def vote(self, u: PeerId, h3: bytes) -> SignedVote:
        """U's entry of a Certificate."""
        signature = self.sign(u, Consistency(h3=h3), h3)
        return SignedVote(peer=u, signature=signature)

    def dealings(self, u3: Collection[PeerId]) -> Dealings:
        """What the server keeps, U1 = U2 = all."""
        return Dealings(
            sid=self.sid,
            params=self.params,
            near=self.near,
            u2=self.members,
            u3=frozenset(u3),
            keys=self.adverts,
            dealt={u: message for u, (message, _) in self.dealt.items()},
        )

    def release(self, u: PeerId, u3: Collection[PeerId]) -> Unmasking:
        """What u releases."""
        return unmasking.client_release(self.held[u], near=self.near[u], u3=u3)

    def masks(self, u: PeerId) -> tuple[Mask, ...]:
        """What u masks with, U2 = all."""
        return masked_input.client_masks(self.party(u), self.book, self.near[u])
