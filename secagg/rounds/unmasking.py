"""Unmasking: one kind of share a neighbour, and what the shares open (spec 4.7)."""

from __future__ import annotations

import hmac
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from secagg import errors, shamir
from secagg.crypto import agree, transcript
from secagg.events import LostMember, OpenSum
from secagg.masking import removed_self_masks, split
from secagg.messages import AdvertiseKeys, ShareKeys, Unmasking
from secagg.names import PeerId, SessionId
from secagg.params import Parameters
from secagg.rounds.neighbourhood import Neighbourhoods, place, within
from secagg.rounds.share_keys import HeldShares


def client_release(
    held: HeldShares, *, near: Sequence[PeerId], u3: Collection[PeerId]
) -> Unmasking:
    """Return one share a member of N[u] in U2: of b_v for v in U3, else of s_v^SK.

    The kind follows from U3 alone, so that no request can be written that obtains
    both. That the certificate on this U3 was verified is the table's business.
    """
    return Unmasking(
        shares=tuple(held.b.get(v) if v in u3 else held.s.get(v) for v in near)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Dealings:
    """What the server keeps of the earlier rounds to judge a share."""

    sid: SessionId
    params: Parameters
    near: Neighbourhoods
    u2: Sequence[PeerId]
    u3: frozenset[PeerId]
    keys: Mapping[PeerId, AdvertiseKeys]
    dealt: Mapping[PeerId, ShareKeys]

    def places(self, holder: PeerId) -> tuple[PeerId, ...]:
        """Return N[u] in U2: whose shares a holder sends, in order."""
        return within(self.near[holder], self.u2)


def server_accept(message: Unmasking, *, holder: PeerId, dealings: Dealings) -> None:
    """Check a release against the commitments its dealers signed.

    Raises:
        RemoteProtocolError: rules 4.7-1, 4.7-2.
    """
    shares = message.shares
    given = [y for y in shares if y is not None]
    dealers = dealings.places(holder)
    errors.require(
        "4.7-1",
        len(shares) == len(dealers) and shamir.are_scalars(given),
        f"{len(shares)} shares for {len(dealers)} dealers, or one out of range",
        [holder],
    )
    rows = zip(dealers, shares, strict=False)
    _check_shares(holder, [(v, y) for v, y in rows if y is not None], dealings)


def _check_shares(
    holder: PeerId, shares: Sequence[tuple[PeerId, bytes]], dealings: Dealings
) -> None:
    """Compare what a holder's shares commit to with what their dealers signed.

    All at once: of a million at a thousand members hardly ever one is wrong.
    """
    labels = {True: transcript.SHARE_OF_B, False: transcript.SHARE_OF_S}
    kinds = [dealer in dealings.u3 for dealer, _ in shares]
    found = transcript.commitments_to(
        dealings.sid,
        holder,
        [(labels[kind], v, y) for kind, (v, y) in zip(kinds, shares, strict=True)],
    )
    entries = (
        dealings.dealt[v].entries[place(dealings.near[v], holder)] for v, _ in shares
    )
    committed = [
        entry.com_b if kind else entry.com_s
        for kind, entry in zip(kinds, entries, strict=True)
    ]
    if hmac.compare_digest(b"".join(found), b"".join(committed)):
        return
    for (dealer, _), one, other in zip(shares, found, committed, strict=True):
        errors.require(
            "4.7-2",
            hmac.compare_digest(one, other),
            f"the share of {dealer}'s secret that {holder} sent is not the committed"
            " one",
            [holder],
        )


Points = list[tuple[int, bytes]]
"""Shares of one secret by their x, the lowest first."""


def released_points(
    releases: Mapping[PeerId, Unmasking], dealings: Dealings
) -> dict[PeerId, Points]:
    """Return, for each of U2, the t shares with the lowest x, or all if fewer came."""
    sent = {
        u: dict(zip(dealings.places(u), release.shares, strict=True))
        for u, release in releases.items()
    }
    x_of = {u: dealings.params.x_of(u) for u in sent}

    def came(v: PeerId) -> Iterator[tuple[int, bytes]]:
        for u in dealings.near[v]:
            share = sent[u].get(v) if u in sent else None
            if share is not None:
                yield x_of[u], share

    t = dealings.params.t
    return {v: [*itertools.islice(came(v), t)] for v in dealings.u2}


def server_open(releases: Mapping[PeerId, Unmasking], dealings: Dealings) -> OpenSum:
    """Rebuild the secrets and return what opens the sum.

    Raises:
        RemoteProtocolError: rule 4.7-3, too few shares; 4.7-4, a dealer is blamed.
    """
    t, u3 = dealings.params.t, dealings.u3
    points = released_points(releases, dealings)
    short = [v for v in points if len(points[v]) < t]
    detail = f"fewer than t = {t} shares of the secrets of {short}"
    errors.require("4.7-3", not short, detail)
    weights = _Weights()
    b_seeds: dict[PeerId, bytes] = {}
    lost: list[LostMember] = []
    for v in dealings.u2:
        secret = weights.rebuild(points[v])
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
        ys = shamir.scalars_from_bytes(y for _, y in points)
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
    near = within(dealings.near[v], dealings.u3)
    partners = tuple((u, keys[u].s_pk) for u in near)
    return LostMember(sid=dealings.sid, peer=v, s_sk=secret, partners=partners)


def _blame(dealer: PeerId, matched: bool, what: str) -> None:
    errors.require(
        "4.7-4",
        matched,
        f"the shares that {dealer} dealt do not rebuild {what}",
        [dealer],
    )
