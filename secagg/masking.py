"""y_u from x_u, and the sum back: which masks, with which sign (spec 4.5, 4.8).

The signs are the only place where u < v matters: for u < v the pair mask is added by u
and subtracted by v, so that it cancels in every sum that holds both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from secagg.crypto import agree, transcript
from secagg.crypto.prg import Tag
from secagg.engine import MaskSeed
from secagg.events import LostMember
from secagg.names import PeerId, SessionId


@dataclass(frozen=True, slots=True)
class Mask:
    """One PRG stream and the sign, +1 or -1, with which it is added."""

    seed: MaskSeed
    sign: int


def pair_sign(u: PeerId, v: PeerId) -> int:
    """Return the sign of PRG(s_uv) in y_u."""
    return 1 if u < v else -1


def self_mask(sid: SessionId, b_u: bytes, sign: int) -> Mask:
    """Return PRG(b_u) with `sign`."""
    return Mask(MaskSeed(transcript.self_mask_key(sid, b_u), Tag.SELF), sign)


def pair_mask(sid: SessionId, s_uv: bytes, sign: int) -> Mask:
    """Return PRG(s_uv) with `sign`."""
    return Mask(MaskSeed(transcript.pair_mask_key(sid, s_uv), Tag.PAIR), sign)


def own_masks(
    sid: SessionId, u: PeerId, b_u: bytes, pair_seeds: Mapping[PeerId, bytes]
) -> tuple[Mask, ...]:
    """Return the masks that u adds to x_u: its self mask, then a pair mask a peer.

    Args:
        sid: the session.
        u: the client.
        b_u: its self seed, 32 bytes.
        pair_seeds: s_uv for every v of U2 but u.
    """
    pairs = [pair_mask(sid, pair_seeds[v], pair_sign(u, v)) for v in sorted(pair_seeds)]
    return (self_mask(sid, b_u, 1), *pairs)


def removed_self_masks(
    sid: SessionId, b_seeds: Mapping[PeerId, bytes]
) -> tuple[Mask, ...]:
    """Return what takes the self masks off the sum of y_u over U3.

    Args:
        sid: the session.
        b_seeds: b_u for every u of U3.
    """
    return tuple(self_mask(sid, b_seeds[u], -1) for u in sorted(b_seeds))


def removed_pair_masks(lost: LostMember) -> tuple[Mask, ...]:
    """Return what takes the pair masks of a lost member off the sum over U3.

    An agreement for each partner: at 1,000 members with 300 lost, 210,000 in all.

    Raises:
        RemoteProtocolError: rule 3.2-4.
    """
    sid, v = lost.sid, lost.peer
    s_v = agree.KeyPair(lost.s_sk)
    masks = []
    for u, s_pk_u in lost.partners:
        agreed = agree.shared_secret(s_v, s_pk_u)
        s_uv = transcript.pair_seed(sid, agreed, u, v, s_pk_u, s_v.public)
        masks.append(pair_mask(sid, s_uv, -pair_sign(u, v)))
    return tuple(masks)


def split(masks: Sequence[Mask]) -> tuple[tuple[MaskSeed, ...], tuple[int, ...]]:
    """Return seeds and signs apart, as the engine takes them."""
    return tuple(mask.seed for mask in masks), tuple(mask.sign for mask in masks)
