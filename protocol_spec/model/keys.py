"""Transcripts, commitments and derived keys (spec 3.5, 3.6, 3.7, 4.8)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from protocol_spec.model import x25519
from protocol_spec.model.encoding import h, hkdf, lp
from protocol_spec.model.entropy import Entropy
from protocol_spec.model.keystream import PAIR, SELF
from protocol_spec.model.messages import Body
from protocol_spec.model.near import Graph, among
from protocol_spec.model.shamir import scalar_bytes

MaskKey = tuple[bytes, int, int]
"""(PRG key, tag, sign)."""


def session_id(manifest_body: bytes) -> bytes:
    """The sid (rule 3.4-1)."""
    return h("secagg/1/sid", manifest_body)


def h1(sid: bytes, key_list_body: bytes) -> bytes:
    """Fixes U1 and its keys."""
    return h("secagg/1/h1", sid, key_list_body)


def h2(before: bytes, dealer_list_body: bytes) -> bytes:
    """Fixes U2."""
    return h("secagg/1/h2", before, dealer_list_body)


def h3(before: bytes, input_list_body: bytes) -> bytes:
    """Fixes U3."""
    return h("secagg/1/h3", before, input_list_body)


def graph_seed(listed: bytes, coins: list[bytes]) -> bytes:
    """What G is drawn from; `listed` is h1 (spec 4.10)."""
    return h("secagg/1/graph", listed, *coins)


def link(previous: bytes, sid: bytes, voted: bytes, result_body: bytes) -> bytes:
    """The next head of the task's chain (spec 4.8)."""
    digest = hashlib.sha256(result_body).digest()
    return h("secagg/1/link", previous, sid, voted, digest)


def connection(nonce_s: bytes, nonce_u: bytes) -> bytes:
    """The hc (spec 8)."""
    return h("secagg/1/connection", nonce_s, nonce_u)


def b_commitment(sid: bytes, u: str, b_u: bytes) -> bytes:
    """B_u."""
    return h("secagg/1/b-commit", sid, u, b_u)


def coin_commitment(sid: bytes, u: str, coin: bytes) -> bytes:
    """C_u."""
    return h("secagg/1/coin", sid, u, coin)


def com_b(sid: bytes, u: str, v: str, share: bytes) -> bytes:
    """com^b_{u->v}."""
    return h("secagg/1/com-b", sid, u, v, share)


def com_s(sid: bytes, u: str, v: str, share: bytes) -> bytes:
    """com^s_{u->v}."""
    return h("secagg/1/com-s", sid, u, v, share)


def channel_key(
    sid: bytes, agreed: bytes, u: str, v: str, c_pk_u: bytes, c_pk_v: bytes
) -> bytes:
    """enc_{u->v}, u the dealer."""
    return hkdf(agreed, lp("secagg/1/enc", u, v, c_pk_u, c_pk_v), sid)


def pair_seed(
    sid: bytes, agreed: bytes, u: str, v: str, s_pk_u: bytes, s_pk_v: bytes
) -> bytes:
    """s_uv, the same for both."""
    (a, pk_a), (b, pk_b) = sorted([(u, s_pk_u), (v, s_pk_v)])
    return hkdf(agreed, lp("secagg/1/pair", a, b, pk_a, pk_b), sid)


def self_mask_key(sid: bytes, b_u: bytes) -> bytes:
    """The PRG key of a self mask."""
    return hkdf(b_u, b"secagg/1/prg-self", sid)


def pair_mask_key(sid: bytes, s_uv: bytes) -> bytes:
    """The PRG key of a pair mask."""
    return hkdf(s_uv, b"secagg/1/prg-pair", sid)


def share_ad(
    sid: bytes, u: str, v: str, listed: bytes, commit_b: bytes, commit_s: bytes
) -> bytes:
    """The AD of a sealed share; `listed` is h1 (spec 3.6)."""
    return lp("secagg/1/share", sid, u, v, listed, commit_b, commit_s)


def share_head(u: str, v: str, x: int) -> bytes:
    """LP(u, v) || x_v, how the plaintext of a sealed share begins (spec 3.6)."""
    return lp(u, v) + x.to_bytes(4, "little")


@dataclass
class Secrets:
    """What a client draws for one session (spec 3.2)."""

    c_sk: bytes
    s_sk: int
    b_u: int
    coin: bytes | None

    @classmethod
    def draw(cls, entropy: Entropy, *, coin: bool) -> Secrets:
        """Draw c_sk, then s_sk, then b_u, then a coin where the graph asks for one."""
        c_sk, s_sk = entropy.draw("c_sk"), entropy.scalar("s_sk")
        b_u = entropy.scalar("b_u")
        return cls(c_sk, s_sk, b_u, entropy.draw("coin") if coin else None)

    def advert(self, sid: bytes, u: str) -> Body:
        """The body of AdvertiseKeys (spec 4.2)."""
        return {
            "c_pk": x25519.public_key(self.c_sk),
            "s_pk": x25519.public_key(scalar_bytes(self.s_sk)),
            "b_commitment": b_commitment(sid, u, scalar_bytes(self.b_u)),
            "coin_commitment": self.coin and coin_commitment(sid, u, self.coin),
        }


@dataclass
class KeyBook:
    """U1 and its keys, as h1 fixes them."""

    sid: bytes
    h1: bytes
    c_pk: dict[str, bytes]
    s_pk: dict[str, bytes]
    b_commitment: dict[str, bytes]
    coin_commitment: dict[str, bytes]

    @classmethod
    def of(cls, sid: bytes, body: Body, encoded: bytes) -> KeyBook:
        """Read a KeyList."""
        rows = body["entries"]
        return cls(
            sid,
            h1(sid, encoded),
            {row[0]: row[1] for row in rows},
            {row[0]: row[2] for row in rows},
            {row[0]: row[3] for row in rows},
            {row[0]: row[4] for row in rows},
        )

    @property
    def u1(self) -> list[str]:
        """U1, in the order of the list."""
        return list(self.c_pk)

    def channel(self, c_sk: bytes, me: str, dealer: str, holder: str) -> bytes:
        """enc_{dealer->holder} as `me`, one of the two, derives it."""
        other = holder if me == dealer else dealer
        agreed = x25519.agree(c_sk, self.c_pk[other])
        ends = (self.c_pk[dealer], self.c_pk[holder])
        return channel_key(self.sid, agreed, dealer, holder, *ends)

    def pair_mask(self, s_sk: int, me: str, other: str) -> bytes:
        """The PRG key of the pair mask of `me` and `other`."""
        agreed = x25519.agree(scalar_bytes(s_sk), self.s_pk[other])
        ends = (self.s_pk[me], self.s_pk[other])
        seed = pair_seed(self.sid, agreed, me, other, *ends)
        return pair_mask_key(self.sid, seed)


def own_masks(
    book: KeyBook, secrets: Secrets, u: str, others: list[str]
) -> list[MaskKey]:
    """What u adds to x_u: its self mask, and a pair mask for each of N(u) in U2."""
    self_key = self_mask_key(book.sid, scalar_bytes(secrets.b_u))
    masks: list[MaskKey] = [(self_key, SELF, 1)]
    for v in others:
        key = book.pair_mask(secrets.s_sk, u, v)
        masks.append((key, PAIR, 1 if u < v else -1))
    return masks


def left_over_masks(
    book: KeyBook, graph: Graph, b: dict[str, int], s_sk: dict[str, int]
) -> list[MaskKey]:
    """What takes the masks off the sum of y_u over U3 (4.8).

    Args:
        book: U1 and its keys.
        graph: who masks with whom.
        b: b_v for every v of U3.
        s_sk: s_sk_v for every v of U2 - U3.
    """
    masks: list[MaskKey] = [
        (self_mask_key(book.sid, scalar_bytes(b[v])), SELF, -1) for v in b
    ]
    for v, secret in s_sk.items():
        for u in among(graph[v], b):
            key = book.pair_mask(secret, v, u)
            masks.append((key, PAIR, -1 if u < v else 1))
    return masks
