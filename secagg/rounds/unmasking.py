"""Unmasking: one kind of share for each of U2, and what the shares open (spec 4.7)."""

from __future__ import annotations

import hmac
import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from secagg import errors, shamir
from secagg.crypto import agree, transcript
from secagg.events import LostMember, OpenSum
from secagg.masking import removed_self_masks, split
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
    matched = hmac.compare_digest(found, committed)
    if not matched:
        # Asked for a million shares at a thousand members: words for a breach alone.
        errors.require(
            "4.7-2",
            matched,
            f"the share of {dealer}'s secret that {holder} sent is not the committed"
            " one",
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


def server_open(releases: Mapping[PeerId, Unmasking], dealings: Dealings) -> OpenSum:
    """Rebuild the secrets and return what opens the sum.

    Raises:
        RemoteProtocolError: rule 4.7-3, too few shares; 4.7-4, a dealer is blamed.
    """
    short = missing_shares(releases, dealings)
    errors.require(
        "4.7-3",
        not short,
        f"fewer than t = {dealings.params.t} shares of the secrets of {sorted(short)}",
    )
    params, u3 = dealings.params, dealings.u3
    weights = _Weights()
    rows = sorted((params.x_of(u), release.shares) for u, release in releases.items())
    b_seeds: dict[PeerId, bytes] = {}
    lost: list[LostMember] = []
    for index, v in enumerate(dealings.u2):
        held = ((x, y) for x, shares in rows if (y := shares[index]) is not None)
        secret = weights.rebuild([*itertools.islice(held, params.t)])
        if v in u3:
            b_seeds[v] = _checked_b(secret, v, dealings)
        else:
            lost.append(_checked_lost(secret, v, dealings))
    seeds, signs = split(removed_self_masks(dealings.sid, b_seeds))
    return OpenSum(u3=tuple(sorted(u3)), seeds=seeds, signs=signs, lost=tuple(lost))


class _Weights:
    """Lagrange weights, computed once for each set of x-coordinates."""

    def __init__(self) -> None:
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


def _checked_lost(secret: bytes, v: PeerId, dealings: Dealings) -> LostMember:
    keys = dealings.keys
    s_pk = agree.KeyPair(secret).public
    _blame(v, s_pk == keys[v].s_pk, "a mask key with s_pk_v")
    partners = tuple((u, keys[u].s_pk) for u in sorted(dealings.u3))
    return LostMember(sid=dealings.sid, peer=v, s_sk=secret, partners=partners)


def _blame(dealer: PeerId, matched: bool, what: str) -> None:
    errors.require(
        "4.7-4",
        matched,
        f"the shares that {dealer} dealt do not rebuild {what}",
        [dealer],
    )
