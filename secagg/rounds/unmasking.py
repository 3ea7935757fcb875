"""Unmasking: one kind of share for each of U2, and what the shares open (spec 4.7)."""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from secagg import errors, shamir
from secagg.crypto import agree, transcript
from secagg.masking import Mask, removed_masks
from secagg.messages import AdvertiseKeys, ShareKeys, Unmasking
from secagg.names import PeerId, SessionId
from secagg.params import Parameters
from secagg.rounds.share_keys import HeldShares


def client_release(
    held: HeldShares, *, u2: Sequence[PeerId], u3: Collection[PeerId]
) -> Unmasking:
    """Return one share a member of U2: of b_v for v in U3, else of s_v^SK.

    The kind follows from U3 alone, so that no request can be written that obtains
    both. That the certificate on this U3 was verified is the table's business.
    """
    return Unmasking(
        shares=tuple(held.b.get(v) if v in u3 else held.s.get(v) for v in u2)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Dealings:
    """What the server keeps of the earlier rounds to judge a share."""

    sid: SessionId
    params: Parameters
    u1: Sequence[PeerId]
    u2: Sequence[PeerId]
    u3: frozenset[PeerId]
    keys: Mapping[PeerId, AdvertiseKeys]
    dealt: Mapping[PeerId, ShareKeys]


def server_accept(message: Unmasking, *, holder: PeerId, dealings: Dealings) -> None:
    """Check a release against the commitments its dealers signed.

    Raises:
        RemoteProtocolError: rules 4.7-1, 4.7-2.
    """
    shares = message.shares
    formed = all(y is None or shamir.is_scalar(y) for y in shares)
    errors.require(
        "4.7-1",
        len(shares) == len(dealings.u2) and formed,
        f"{len(shares)} shares for |U2| = {len(dealings.u2)}, or one out of range",
        [holder],
    )
    place = list(dealings.u1).index(holder)
    for dealer, share in zip(dealings.u2, shares, strict=False):
        if share is not None:
            _check_share(share, dealer, holder, place, dealings)


def _check_share(
    share: bytes, dealer: PeerId, holder: PeerId, place: int, dealings: Dealings
) -> None:
    entry = dealings.dealt[dealer].entries[place]
    if dealer in dealings.u3:
        kind, committed = transcript.SHARE_OF_B, entry.com_b
    else:
        kind, committed = transcript.SHARE_OF_S, entry.com_s
    found = transcript.share_commitment(kind, dealings.sid, dealer, holder, share)
    errors.require(
        "4.7-2",
        hmac.compare_digest(found, committed),
        f"the share of {dealer}'s secret that {holder} sent is not the committed one",
        [holder],
    )


def missing_shares(
    releases: Mapping[PeerId, Unmasking], dealings: Dealings
) -> dict[PeerId, int]:
    """Return, for each of U2 with fewer than t shares, how many there are."""
    counts = {
        v: sum(release.shares[index] is not None for release in releases.values())
        for index, v in enumerate(dealings.u2)
    }
    return {v: count for v, count in counts.items() if count < dealings.params.t}


def server_open(
    releases: Mapping[PeerId, Unmasking], dealings: Dealings
) -> tuple[Mask, ...]:
    """Rebuild the secrets and return the masks that open the sum.

    Raises:
        RemoteProtocolError: rule 4.7-3, too few shares; 4.7-4, a dealer is blamed.
    """
    short = missing_shares(releases, dealings)
    errors.require(
        "4.7-3",
        not short,
        f"fewer than t = {dealings.params.t} shares of the secrets of {sorted(short)}",
    )
    params, sid, u3 = dealings.params, dealings.sid, dealings.u3
    weights = _Weights(params)
    x_of = {u: x for x, u in enumerate(params.members, start=1)}
    b_seeds: dict[PeerId, bytes] = {}
    pair_seeds: dict[tuple[PeerId, PeerId], bytes] = {}
    for index, v in enumerate(dealings.u2):
        held = {
            x_of[holder]: release.shares[index] for holder, release in releases.items()
        }
        points = sorted((x, y) for x, y in held.items() if y is not None)[: params.t]
        secret = weights.rebuild(points)
        if v in u3:
            b_seeds[v] = _checked_b(secret, v, dealings)
        else:
            s_v = _checked_s(secret, v, dealings)
            for u in u3:
                agreed = agree.shared_secret(s_v, dealings.keys[u].s_pk)
                pks = (dealings.keys[u].s_pk, dealings.keys[v].s_pk)
                pair_seeds[u, v] = transcript.pair_seed(sid, agreed, u, v, *pks)
    return removed_masks(sid, b_seeds, pair_seeds)


class _Weights:
    """Lagrange weights, computed once for each set of x-coordinates."""

    def __init__(self, params: Parameters) -> None:
        self._t = params.t
        self._known: dict[tuple[int, ...], list[int]] = {}

    def rebuild(self, points: Sequence[tuple[int, bytes]]) -> bytes:
        xs = tuple(x for x, _ in points)
        if xs not in self._known:
            self._known[xs] = shamir.lagrange_at_zero(xs)
        ys = [shamir.scalar_from_bytes(y) for _, y in points]
        return shamir.scalar_to_bytes(shamir.rebuild(ys, self._known[xs]))


def _checked_b(secret: bytes, v: PeerId, dealings: Dealings) -> bytes:
    commitment = transcript.b_commitment(dealings.sid, v, secret)
    matched = hmac.compare_digest(commitment, dealings.keys[v].b_commitment)
    _blame(v, matched, "b_v with its commitment B_v")
    return secret


def _checked_s(secret: bytes, v: PeerId, dealings: Dealings) -> agree.KeyPair:
    pair = agree.KeyPair(secret)
    _blame(v, pair.public == dealings.keys[v].s_pk, "a mask key with s_pk_v")
    return pair


def _blame(dealer: PeerId, matched: bool, what: str) -> None:
    errors.require(
        "4.7-4",
        matched,
        f"the shares that {dealer} dealt do not rebuild {what}",
        [dealer],
    )
