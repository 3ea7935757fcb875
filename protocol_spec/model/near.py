"""The graph of a session by its members' ids, and N[u] within a set (spec 1, 2.4)."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from protocol_spec.model.graph import neighbours

Graph = dict[str, list[str]]
"""N(u) of each member u, in the order of the ids."""


def complete(members: list[str]) -> Graph:
    """All are neighbours."""
    return {u: [v for v in members if v != u] for u in members}


def regular(members: list[str], k: int, seed: bytes) -> Graph:
    """Those that the coins draw."""
    near = neighbours(len(members), k, seed)
    return {u: [members[i] for i in row] for u, row in zip(members, near, strict=True)}


def among(ids: Iterable[str], within: Collection[str]) -> list[str]:
    """Those of `ids` that are in a set, in their order."""
    return [v for v in ids if v in within]


def closed(graph: Graph, u: str, within: Collection[str]) -> list[str]:
    """N[u] within a set, in the order of the ids."""
    return among(sorted([u, *graph[u]]), within)


def core(graph: Graph, alive: Iterable[str], least: int) -> list[str]:
    """The largest set of `alive` in which everyone has `least` neighbours (4.5)."""
    left = sorted(alive)
    while True:
        kept = [u for u in left if len(among(graph[u], left)) >= least]
        if kept == left:
            return left
        left = kept
