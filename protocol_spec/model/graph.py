"""Who shares a mask with whom (spec 2.4): the degree, the base graph, the labelling."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from operator import mul

from protocol_spec.model.encoding import h
from protocol_spec.model.keystream import GRAPH, word

UNIT = 1024


@dataclass(frozen=True)
class Degree:
    """k neighbours, at most `corrupt` (c_k) of them corrupt, t, and `least` (L)."""

    k: int
    corrupt: int
    t: int
    least: int


@functools.cache
def degree_of(n: int, c: int, d: int) -> Degree | None:
    """The least even k in 4..n/2 that serves, or none (rule 2.4-1)."""
    for k in range(4, n // 2 + 1, 2):
        corrupt, least = most_corrupt(n, c, k), least_alive(n, d, k)
        degree = Degree(k, corrupt, max(2, corrupt + 1), least)
        if degree.t <= least and holds(n, n - d - c, degree):
            return degree
    return None


def most_corrupt(n: int, c: int, k: int) -> int:
    """c_k: more of k neighbours are among c with a chance of at most 2^-41 / n."""
    for x in range(k + 1):
        ways = [
            math.comb(c, i) * math.comb(n - 1 - c, k - i) for i in range(x + 1, k + 1)
        ]
        if n * 2**41 * sum(ways) <= math.comb(n - 1, k):
            return x
    raise AssertionError("no more than k of k neighbours are corrupt")


def least_alive(n: int, d: int, k: int) -> int:
    """L: fewer of k neighbours are not among d with a chance of at most 2^-20 / n."""
    ways = 0
    for least in range(k + 1):
        ways += math.comb(n - 1 - d, least) * math.comb(d, k - least)
        if n * 2**20 * ways > math.comb(n - 1, k):
            return least
    raise AssertionError("all of k neighbours are left at most")


def bound(n: int, k: int) -> Fraction:
    """The bound lambda of the eigenvalues."""
    square = Fraction(2809 * (k - 1) * (n - k), 625 * n)
    units = math.isqrt(math.floor(square * UNIT**2))
    while units**2 < square * UNIT**2:
        units += 1
    return Fraction(units, UNIT)


def holds(n: int, honest: int, degree: Degree) -> bool:
    """Whether no dropouts part `honest` survivors or more (spec 12)."""
    lam, k, inner = bound(n, degree.k), degree.k, degree.least - degree.corrupt
    if lam >= k:
        return False
    small = max(math.ceil((inner - lam) * n / (k - lam)), inner + 1)
    large = max(small, honest - small)
    return small * large * k**2 > lam**2 * (n - small) * (n - large)


@functools.cache
def base_graph(n: int, k: int) -> tuple[int, tuple[tuple[int, ...], ...]]:
    """ctr, and the neighbours of each vertex of B(n, k) (rule 2.4-2)."""
    ctr = 0
    while True:
        adjacent = shuffled_ring(n, k, ctr)
        if within_bound(adjacent, k):
            return ctr, tuple(tuple(sorted(near)) for near in adjacent)
        ctr += 1


def shuffled_ring(n: int, k: int, ctr: int) -> list[set[int]]:
    """The neighbours of each vertex after all tries."""
    key = h("secagg/1/base-graph", *(x.to_bytes(4, "little") for x in (n, k, ctr)))
    pairs = [(i, (i + j) % n) for j in range(1, k // 2 + 1) for i in range(n)]
    adjacent: list[set[int]] = [set() for _ in range(n)]
    for a, b in pairs:
        join(adjacent, a, b)
    for a in range(2 * n * k):
        e, f = (word(key, GRAPH, i) % (n * k // 2) for i in (2 * a, 2 * a + 1))
        (u, v), (x, y) = pairs[e], pairs[f]
        if u != y and x != v and y not in adjacent[u] and v not in adjacent[x]:
            part(adjacent, u, v)
            part(adjacent, x, y)
            join(adjacent, u, y)
            join(adjacent, x, v)
            pairs[e], pairs[f] = (u, y), (x, v)
    return adjacent


def join(adjacent: list[set[int]], a: int, b: int) -> None:
    """Put the edge {a, b} in."""
    adjacent[a].add(b)
    adjacent[b].add(a)


def part(adjacent: list[set[int]], a: int, b: int) -> None:
    """Take the edge {a, b} out."""
    adjacent[a].remove(b)
    adjacent[b].remove(a)


def within_bound(adjacent: list[set[int]], k: int) -> bool:
    """Whether lambda I + M and lambda I - M are positive definite, M = A - (k/n) J."""
    n = len(adjacent)
    lam = float(bound(n, k))
    centred = [[(j in near) - k / n for j in range(n)] for near in adjacent]
    return all(
        positive_definite(
            [
                [lam * (i == j) + sign * m for j, m in enumerate(row)]
                for i, row in enumerate(centred)
            ]
        )
        for sign in (1, -1)
    )


def positive_definite(matrix: list[list[float]]) -> bool:
    """Whether Cholesky's factorization of a symmetric matrix comes to its end."""
    lower: list[list[float]] = []
    for i, given in enumerate(matrix):
        row: list[float] = []
        for j in range(i):
            inner = sum(map(mul, row, lower[j]))
            row.append((given[j] - inner) / lower[j][j])
        rest = given[i] - sum(map(mul, row, row))
        if rest <= 0:
            return False
        lower.append([*row, math.sqrt(rest)])
    return True


def labelling(n: int, seed: bytes) -> list[int]:
    """pi: the index of the member at each vertex (rule 2.4-3)."""
    pi, words = list(range(n)), _words(seed)
    for i in range(n - 1, 0, -1):
        drawn = next(words)
        while drawn >= 2**32 - 2**32 % (i + 1):
            drawn = next(words)
        j = drawn % (i + 1)
        pi[i], pi[j] = pi[j], pi[i]
    return pi


def _words(seed: bytes) -> Iterator[int]:
    i = 0
    while True:
        yield word(seed, GRAPH, i)
        i += 1


@functools.cache
def neighbours(n: int, k: int, seed: bytes) -> tuple[tuple[int, ...], ...]:
    """N(u) for each member u, as sorted indices in U0."""
    _, base = base_graph(n, k)
    pi = labelling(n, seed)
    near: dict[int, tuple[int, ...]] = {}
    for vertex, others in enumerate(base):
        near[pi[vertex]] = tuple(sorted(pi[other] for other in others))
    return tuple(near[u] for u in range(n))
