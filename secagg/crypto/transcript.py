"""What is hashed and what is signed (spec 3.4, 3.5, 3.7, 4.8, 8).

One function per derived hash, with the labels of the spec's table. Everything that is
signed in a session covers sid, and through h1, h2, h3 all that was agreed before.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Sequence

from secagg.crypto.kdf import digest, hkdf, lp
from secagg.names import PeerId, SessionId

LINK_START = bytes(32)
"""The head of a task's chain before its first Result (spec 4.8)."""


def session_id(manifest_body: bytes) -> SessionId:
    """Return sid = H("secagg/1/sid", body of the Manifest)."""
    return SessionId(digest("secagg/1/sid", manifest_body))


def h1(sid: SessionId, key_list_body: bytes) -> bytes:
    """Return the transcript that fixes U1 and its keys."""
    return digest("secagg/1/h1", sid, key_list_body)


def h2(h1_: bytes, dealer_list_body: bytes) -> bytes:
    """Return the transcript that fixes U2."""
    return digest("secagg/1/h2", h1_, dealer_list_body)


def h3(h2_: bytes, input_list_body: bytes) -> bytes:
    """Return the transcript that fixes U3; votes and releases are signed under it."""
    return digest("secagg/1/h3", h2_, input_list_body)


def connection(nonce_s: bytes, nonce_u: bytes) -> bytes:
    """Return hc, the transcript of one proved connection (spec 8)."""
    return digest("secagg/1/connection", nonce_s, nonce_u)


def link(previous: bytes, sid: SessionId, h3_: bytes, result_body: bytes) -> bytes:
    """Return the next head of the task's chain (spec 4.8)."""
    result_hash = hashlib.sha256(result_body).digest()
    return digest("secagg/1/link", previous, sid, h3_, result_hash)


def signing_input(
    type_: str, sid: SessionId, sender: str, receiver: str, h: bytes, body: bytes
) -> bytes:
    """Return the bytes an envelope's signature covers (spec 3.4)."""
    rest = lp(h, hashlib.sha256(body).digest())
    label, names = _text("secagg/1/sig"), (_text(sender), _text(receiver))
    return b"".join((label, _text(type_), lp(sid), *names, rest))


def b_commitment(sid: SessionId, u: PeerId, b_u: bytes) -> bytes:
    """Return B_u, which AdvertiseKeys publishes."""
    return digest("secagg/1/b-commit", sid, u.encode("ascii"), b_u)


def coin_commitment(sid: SessionId, u: PeerId, coin: bytes) -> bytes:
    """Return C_u, which AdvertiseKeys publishes on the regular graph."""
    return digest("secagg/1/coin", sid, u.encode("ascii"), coin)


def graph_seed(h1_: bytes, coins: Sequence[bytes]) -> bytes:
    """Return what the regular graph is drawn from: the coins of U1, in its order."""
    return digest("secagg/1/graph", h1_, *coins)


SHARE_OF_B = "secagg/1/com-b"
"""The label of com^b, which commits to a share of b_u."""

SHARE_OF_S = "secagg/1/com-s"
"""The label of com^s, which commits to a share of the mask key."""


def share_commitment(
    label: str, sid: SessionId, u: PeerId, v: PeerId, share: bytes
) -> bytes:
    """Return com^b or com^s, by `label`, of a share that u deals to v; 32 bytes."""
    return commitments_to(sid, v, [(label, u, share)])[0]


def commitments_to(
    sid: SessionId, v: PeerId, shares: Iterable[tuple[str, PeerId, bytes]]
) -> list[bytes]:
    """Return com^b or com^s of each share that v holds.

    Args:
        sid: the session.
        v: the holder.
        shares: for each its label, its dealer and the share.
    """
    # What the aggregator hashes for every pair of members, a million times at 1,000:
    # what shares have in common is made once.
    rows = [*shares]
    starts = {label: _start(label, sid) for label in {row[0] for row in rows}}
    sizes = {len(row[2]) for row in rows}
    holds = {size: _text(v) + size.to_bytes(4, "little") for size in sizes}
    return [
        hashlib.sha256(
            b"".join((starts[label], _text(u), holds[len(share)], share))
        ).digest()
        for label, u, share in rows
    ]


def share_commitments(
    sid: SessionId, u: PeerId, v: PeerId, share_b: bytes, share_s: bytes
) -> tuple[bytes, bytes]:
    """Return (com^b, com^s) of the shares that u deals to v; 32 bytes each."""
    return (
        share_commitment(SHARE_OF_B, sid, u, v, share_b),
        share_commitment(SHARE_OF_S, sid, u, v, share_s),
    )


def channel_key(
    sid: SessionId, agreed: bytes, u: PeerId, v: PeerId, c_pk_u: bytes, c_pk_v: bytes
) -> bytes:
    """Return enc_{u->v}: the key under which u seals v's shares."""
    names = _text("secagg/1/enc"), _text(u), _text(v)
    info = b"".join((*names, lp(c_pk_u, c_pk_v)))
    return hkdf(agreed, sid, info)


def pair_seed(
    sid: SessionId, agreed: bytes, u: PeerId, v: PeerId, s_pk_u: bytes, s_pk_v: bytes
) -> bytes:
    """Return s_uv; the same for (u, v) and (v, u)."""
    (a, pk_a), (b, pk_b) = sorted([(u, s_pk_u), (v, s_pk_v)])
    names = _text("secagg/1/pair"), _text(a), _text(b)
    info = b"".join((*names, lp(pk_a, pk_b)))
    return hkdf(agreed, sid, info)


def pair_mask_key(sid: SessionId, s_uv: bytes) -> bytes:
    """Return the PRG key of a pair mask."""
    return hkdf(s_uv, sid, b"secagg/1/prg-pair")


def self_mask_key(sid: SessionId, b_u: bytes) -> bytes:
    """Return the PRG key of a self mask."""
    return hkdf(b_u, sid, b"secagg/1/prg-self")


def rounding_key(sid: SessionId, seed: bytes) -> bytes:
    """Return the PRG key of stochastic rounding, from a local 32-byte seed."""
    return hkdf(seed, sid, b"secagg/1/round")


def noise_key(sid: SessionId, seed: bytes) -> bytes:
    """Return the PRG key of the noise, from the aggregator's journaled seed."""
    return hkdf(seed, sid, b"secagg/1/noise")


def share_context(
    sid: SessionId, u: PeerId, v: PeerId, h1_: bytes, com_b: bytes, com_s: bytes
) -> bytes:
    """Return the AD of a sealed share (spec 3.6)."""
    start = _start("secagg/1/share", sid)
    return b"".join((start, _text(u), _text(v), lp(h1_, com_b, com_s)))


@functools.lru_cache(maxsize=16)
def _start(label: str, sid: SessionId) -> bytes:
    """Return LP(label, sid), with which all of a session's begin."""
    return lp(label.encode("ascii"), sid)


@functools.lru_cache(maxsize=8192)
def _text(name: str) -> bytes:
    """Return LP(name); twice as many are kept as a session has members."""
    return lp(name.encode("ascii"))
