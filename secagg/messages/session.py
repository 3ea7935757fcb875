"""The messages of a session, one frozen type each, in round order (spec 3.7, 4)."""

from __future__ import annotations

from dataclasses import dataclass

from secagg.names import PeerId, RangeRuns


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """A declared extra coordinate: an exact integer in [low, high] (spec 2.2)."""

    name: str
    low: int
    high: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseTerms:
    """The Manifest's dp field (spec 2.2-8)."""

    mechanism: str
    noise_multiplier: float
    adjacency: str
    delta: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member of U0 and the nonce its process sent in Ready."""

    peer: PeerId
    ready_nonce: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Opens a session; its hash is the sid (spec 4.1)."""

    task_id: str
    round_no: int
    attempt: int
    aggregator: PeerId
    roster_hash: bytes
    members: tuple[Member, ...]
    corruption_bound: int
    length: int
    extras: tuple[Extra, ...]
    bits: int
    clip: float
    ranges: RangeRuns
    weighting: str
    max_weight: int
    rotation: bytes | None
    graph: str
    losses: int | None
    keystream: str
    chunk_log2: int
    dp: NoiseTerms | None
    model_hash: bytes
    previous_link: bytes
    durations: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvertiseKeys:
    """u to S: the session's public keys and the commitment to b_u (spec 4.2).

    On the regular graph it commits to a coin as well (spec 4.10).
    """

    c_pk: bytes
    s_pk: bytes
    b_commitment: bytes
    coin_commitment: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedKeys:
    """One entry of L1: an advert and the envelope signature it came with."""

    peer: PeerId
    keys: AdvertiseKeys
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyList:
    """S to all: L1, which defines U1 (spec 4.2)."""

    entries: tuple[SignedKeys, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coin:
    """u to S: the coin it committed to; the graph is drawn from all (spec 4.10)."""

    coin: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CoinList:
    """S to all: the coins of U1, in its order (spec 4.10)."""

    coins: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DealtEntry:
    """What a dealer deals to one member; `sealed` is None at its own place."""

    sealed: bytes | None
    com_b: bytes
    com_s: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareKeys:
    """u to S: one entry for every member of U1, in order (spec 4.3)."""

    entries: tuple[DealtEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DealtShare:
    """One dealer's entry for the receiver."""

    dealer: PeerId
    sealed: bytes
    com_b: bytes
    com_s: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DealtShares:
    """S to v: the entries dealt to v by the others (spec 4.3)."""

    entries: tuple[DealtShare, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareAck:
    """v to S: which dealers' shares it verified, a bitmap over U1 (spec 4.4)."""

    bitmap: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DealerList:
    """S to all: L2, which is U2 (spec 4.4)."""

    dealers: tuple[PeerId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskedInput:
    """u to S: the root of the chunks of y_u (spec 4.5)."""

    root: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRoot:
    """One entry of L3: a member's root and its envelope signature."""

    peer: PeerId
    root: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class InputList:
    """S to all: L3, which defines U3 (spec 4.5)."""

    entries: tuple[SignedRoot, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Consistency:
    """u to S: the vote on h3 (spec 4.6)."""

    h3: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedVote:
    """One vote of a Certificate."""

    peer: PeerId
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """S to all: at least q votes on one h3 (spec 4.6)."""

    votes: tuple[SignedVote, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmasking:
    """u to S: one share, or None, for each of U2 in order (spec 4.7).

    The shares are opened by design; before this message they are secrets, so the
    type shows none of them.
    """

    shares: tuple[bytes | None, ...]

    def __repr__(self) -> str:
        """Show how many shares there are, and none of them."""
        held = sum(share is not None for share in self.shares)
        return f"Unmasking(<{held} of {len(self.shares)} shares, redacted>)"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckVerdict:
    """What one release check said (spec 10)."""

    check: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseRecord:
    """The noise that was added, exactly (spec 4.8, 10-2)."""

    mechanism: str
    noise_multiplier: float
    sigma_squared: int
    sensitivity_squared: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobRef:
    """A blob by its SHA-256; for a released vector also its width in bytes."""

    hash: bytes
    size: int
    width: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """S to all: what came out (spec 4.8). `vector` is None when discarded."""

    status: str
    u3: tuple[PeerId, ...]
    verdicts: tuple[CheckVerdict, ...]
    dp: NoiseRecord | None
    extras: tuple[tuple[str, int], ...]
    vector: BlobRef | None
    next_model_hash: bytes | None
    epsilon: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Abort:
    """S to all: the session ended without a sum (spec 4.9)."""

    rule: str
    detail: str
    missing: tuple[PeerId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """u to S: this client left the session, by which rule (spec 4)."""

    rule: str
    detail: str
