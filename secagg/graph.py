"""Who shares a mask with whom: the complete graph, or a sparse regular one. Spec 2.4.

On the sparse graph a member shares masks and secrets with k others instead of n - 1. A
public base graph B(n, k), the same in every session, is labelled with the members in an
order that the coins draw. Its second eigenvalue, checked once, and the exact tails of
the hypergeometric distribution show that no choice of dropouts that the rules admit
parts the honest survivors: `degree_of` holds that proof, in integers, so that everybody
derives the same numbers. Nothing here is secret.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg import errors
from secagg.crypto.kdf import digest
from secagg.crypto.keystream import Keystream, Tag, words
from secagg.names import PeerId

MIN_DEGREE: Final = 4
"""A 2-regular graph is a ring, which two dropouts cut."""

DENSEST: Final = 2
"""At most n / 2 neighbours: beyond, the complete graph costs less than double."""

_CORRUPT_BITS: Final = 41
_LOSS_BITS: Final = 20

# lambda_bar is a multiple of 2^-10; 1.06^2 = 2809 / 2500, times 2^2.
_UNIT: Final = 1 << 10
_MARGIN: Final = (2809, 625)

# Tries a vertex and neighbour, twice as many an edge: enough for the eigenvalue of a
# random regular graph at any k <= n / 2; measured for n up to 1,000.
_TRIES: Final = 2

# Of all n <= 60, one asks for the sixth; from n = 100 on the first mostly serves.
_COUNTERS: Final = 64


@dataclass(frozen=True, slots=True)
class Degree:
    """What the sparse graph of n members is like; all of it derived (spec 2.4).

    Attributes:
        k: neighbours of each member, even.
        corrupt: c_k, the most corrupt neighbours of any honest member, but for a
            chance of 2^-41 a session.
        t: shares that rebuild a secret: max(2, c_k + 1).
        least: L, the fewest neighbours in U3 of each of U3.
    """

    k: int
    corrupt: int
    t: int
    least: int


@lru_cache(maxsize=256)
def degree_of(n: int, c: int, losses: int) -> Degree:
    """Return the smallest degree for which the certificate holds (spec 2.4).

    Args:
        n: members, |U0|.
        c: members that may be corrupt.
        losses: d, members that may fall silent.

    Raises:
        ParameterError: n, c or d is out of its range, or no k up to n / 2 serves.
    """
    if min(c, losses) < 0 or c + losses > n - 2:
        raise errors.ParameterError(
            f"n = {n}, c = {c}, losses = {losses}: need 0 <= c, 0 <= losses and two"
            " honest members left"
        )
    for k in range(MIN_DEGREE, n // DENSEST + 1, 2):
        corrupt = most_marked(n, c, k, _CORRUPT_BITS)
        least = k - most_marked(n, losses, k, _LOSS_BITS)
        degree = Degree(k, corrupt, max(2, corrupt + 1), least)
        if degree.t <= least and holds_together(n, n - losses - c, degree):
            return degree
    raise errors.ParameterError(
        f"n = {n}, c = {c}, losses = {losses}: no graph of n / 2 neighbours is safe; "
        'use graph = "complete"'
    )


def most_marked(n: int, marked: int, k: int, bits: int) -> int:
    """Return the least x with n P[Hyp(n - 1, marked, k) > x] <= 2^-bits, exactly.

    Of `marked` members, drawn at random, more than x are neighbours of some member
    with a chance of at most 2^-bits.
    """
    others = n - 1
    drawn = min(marked, k)
    term = math.comb(marked, drawn) * math.comb(others - marked, k - drawn)
    limit, tail = math.comb(others, k), 0
    while drawn > 0:
        tail += term
        if (tail * n) << bits > limit:
            return drawn
        # From the ways to draw `drawn` to those of one less; the division is exact.
        term *= drawn * (others - marked - k + drawn)
        term //= (marked - drawn + 1) * (k - drawn + 1)
        drawn -= 1
    return 0


def eigenvalue_bound(n: int, k: int) -> int:
    """Return lambda_bar(n, k) in units of 2^-10, rounded up.

    1.06 * 2 sqrt((k - 1)(n - k) / n): the spectrum of a random k-regular graph ends at
    2 sqrt(k - 1) for n without bound, and at sqrt((n - k) / n) times that for a given
    n; 1.06 is for its fluctuation.
    """
    over = _MARGIN[0] * (k - 1) * (n - k) * _UNIT**2
    under = _MARGIN[1] * n
    root = math.isqrt(over // under)
    return root if under * root**2 >= over else root + 1


def holds_together(n: int, honest: int, degree: Degree) -> bool:
    """Whether no dropouts can part `honest` or more honest survivors (spec 2.4, 12).

    Let the honest of U3 fall into S and T without an edge between, s = |S| <= |T|.
    Each of S has L - c_k neighbours in S at least, so s > L - c_k, and by the expander
    mixing lemma L - c_k <= lambda + (k - lambda) s / n. And by Haemers' bound
    |S| |T| k^2 <= lambda^2 (n - |S|)(n - |T|), whose sides drift apart as S or T grow
    and, at |S| + |T| fixed, as s grows: it fails for all if it fails for the smallest.
    """
    lam, k = eigenvalue_bound(n, degree.k), degree.k * _UNIT
    if lam >= k:
        return False
    inner = degree.least - degree.corrupt
    mixed = -(-(inner * _UNIT - lam) * n // (k - lam))
    s = max(mixed, inner + 1)
    other = max(s, honest - s)
    return bool(s * other * k**2 > lam**2 * (n - s) * (n - other))


class Graph:
    """The neighbours of each member. Immutable."""

    __slots__ = ("_indices", "_near", "members")

    members: tuple[PeerId, ...]

    def __init__(
        self, members: tuple[PeerId, ...], near: NDArray[np.intp] | None
    ) -> None:
        """Use `complete` or `regular`.

        Args:
            members: U0, sorted.
            near: neighbours of each member as sorted indices, shape (n, k); None for
                the complete graph.

        Raises:
            ParameterError: the members are not sorted or not distinct.
        """
        if any(a >= b for a, b in itertools.pairwise(members)):
            raise errors.ParameterError("members are not sorted and distinct")
        self.members = members
        self._near = near
        self._indices = {member: index for index, member in enumerate(members)}

    def neighbours(self, u: PeerId) -> tuple[PeerId, ...]:
        """Return N(u), sorted, without u.

        Raises:
            KeyError: u is no member.
        """
        index = self._indices[u]
        if self._near is None:
            return self.members[:index] + self.members[index + 1 :]
        return tuple(self.members[near] for near in self._near[index].tolist())

    def closed(self, u: PeerId) -> tuple[PeerId, ...]:
        """Return N[u], sorted, with u.

        Raises:
            KeyError: u is no member.
        """
        return tuple(sorted((*self.neighbours(u), u)))

    def core(self, alive: Collection[PeerId], least: int) -> frozenset[PeerId]:
        """Return the largest subset of `alive` in which each has `least` neighbours.

        It is what remains when those with fewer are left out, again and again.

        Raises:
            KeyError: one of `alive` is no member.
        """
        if self._near is None:
            return frozenset(alive) if len(alive) > least else frozenset()
        within = np.zeros(len(self.members), dtype=np.bool_)
        within[[self._indices[u] for u in alive]] = True
        while True:
            poor = within & (within[self._near].sum(axis=1) < least)
            if not poor.any():
                break
            within[poor] = False
        return frozenset(self.members[i] for i in np.flatnonzero(within).tolist())


def complete(members: tuple[PeerId, ...]) -> Graph:
    """Return the graph in which all are neighbours.

    Raises:
        ParameterError: the members are not sorted or not distinct.
    """
    return Graph(members, None)


@lru_cache(maxsize=8)
def regular(members: tuple[PeerId, ...], degree: Degree, seed: bytes) -> Graph:
    """Return B(n, k) with the members in the order that `seed` draws (spec 2.4).

    Args:
        members: U0, sorted.
        degree: of n = |U0|, from `degree_of`.
        seed: 32 bytes, from the coins.

    Raises:
        ParameterError: a value is out of its range.
    """
    order = np.array(labelling(len(members), seed))
    near = np.empty((len(members), degree.k), dtype=np.intp)
    near[order] = np.sort(order[prepared(len(members), degree.k)], axis=1)
    return Graph(members, near)


def labelling(n: int, seed: bytes) -> list[int]:
    """Return the index of the member at each vertex: Fisher-Yates, without bias.

    Raises:
        ParameterError: the seed has not 32 bytes.
    """
    order = list(range(n))
    drawn = _words(seed, 2 * n)
    for last in range(n - 1, 0, -1):
        fair = (1 << 32) - (1 << 32) % (last + 1)
        place = next(word for word in drawn if word < fair) % (last + 1)
        order[last], order[place] = order[place], order[last]
    return order


def _words(key: bytes, batch: int) -> Iterator[int]:
    """Yield the words of tag GRAPH, in order."""
    stream = Keystream(key, Tag.GRAPH, 0)
    out = np.empty(batch, dtype=np.uint32)
    while True:
        stream.fill(out)
        yield from out.tolist()


def prepared(n: int, k: int) -> NDArray[np.intp]:
    """Return B(n, k); while another thread computes it, wait for that one.

    Raises:
        ParameterError: as `base_graph`.
    """
    with _one_at_a_time:
        return base_graph(n, k)


_one_at_a_time: Final = threading.Lock()


@lru_cache(maxsize=8)
def base_graph(n: int, k: int) -> NDArray[np.intp]:
    """Return B(n, k), which depends on nothing else; computed once a process.

    Returns:
        The neighbours of each vertex, sorted, shape (n, k), not writeable.

    Raises:
        ParameterError: k is odd or outside 4..n / 2, or there is no such graph.
    """
    if k % 2 or not MIN_DEGREE <= k <= n // DENSEST:
        raise errors.ParameterError(f"k = {k} is no even number in 4..{n // DENSEST}")
    for counter in range(_COUNTERS):
        adjacent = shuffled_ring(n, k, counter)
        if is_expander(adjacent, k):
            near = np.nonzero(adjacent)[1].reshape(n, k)
            near.flags.writeable = False
            return near
    raise errors.ParameterError(f"n = {n}, k = {k}: no base graph within lambda_bar")


def shuffled_ring(n: int, k: int, counter: int) -> NDArray[np.uint8]:
    """Return the k-ring after 2 n k tries to swap two edges (spec 2.4).

    Returns:
        The adjacency matrix, shape (n, n), symmetric, of zeros and ones.
    """
    numbers = (value.to_bytes(4, "little") for value in (n, k, counter))
    key = digest("secagg/1/base-graph", *numbers)
    edges = n * k // 2
    drawn = words(key, Tag.GRAPH, 0, 2 * _TRIES * n * k) % np.uint32(edges)
    tails = list(range(n)) * (k // 2)
    heads = [(i + step) % n for step in range(1, k // 2 + 1) for i in range(n)]
    adjacent = bytearray(n * n)
    for u, v in zip(tails, heads, strict=True):
        adjacent[u * n + v] = adjacent[v * n + u] = 1
    pairs = drawn.reshape(-1, 2).tolist()
    for e, f in pairs:
        u, v, x, y = tails[e], heads[e], tails[f], heads[f]
        # An edge {u, y} is there as well if e = f, u = x or v = y.
        if u == y or x == v or adjacent[u * n + y] or adjacent[x * n + v]:
            continue
        adjacent[u * n + v] = adjacent[v * n + u] = 0
        adjacent[x * n + y] = adjacent[y * n + x] = 0
        adjacent[u * n + y] = adjacent[y * n + u] = 1
        adjacent[x * n + v] = adjacent[v * n + x] = 1
        heads[e], heads[f] = y, v
    return np.frombuffer(adjacent, dtype=np.uint8).reshape(n, n)


def is_expander(adjacent: NDArray[np.uint8], k: int) -> bool:
    """Whether all eigenvalues but k are below lambda_bar in absolute value.

    So they are exactly if lambda_bar I + M and lambda_bar I - M are positive definite,
    where M = A - (k / n) J has 0 in place of k. Cholesky's factorization tells, in a
    tenth of the time that eigenvalues take.
    """
    n = len(adjacent)
    bound = eigenvalue_bound(n, k) / _UNIT
    centred = adjacent - k / n
    for matrix in (centred, -centred):
        matrix[np.diag_indices(n)] += bound
        try:
            np.linalg.cholesky(matrix)
        except np.linalg.LinAlgError:
            return False
    return True
