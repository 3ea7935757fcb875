"""N[u] within a set: whom all that is done per peer runs over (spec 1, 4.3 to 4.7).

Always in the order of the ids, so that a place in a message stands for a member.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence

from secagg.graph import Graph
from secagg.names import PeerId

Neighbourhoods = Mapping[PeerId, tuple[PeerId, ...]]
"""N[u] in U1, for each u of U1."""


def within(peers: Iterable[PeerId], allowed: Collection[PeerId]) -> tuple[PeerId, ...]:
    """Return those of `peers` that are in `allowed`, in their order."""
    kept = frozenset(allowed)
    return tuple(peer for peer in peers if peer in kept)


def neighbourhoods(graph: Graph, u1: Collection[PeerId]) -> Neighbourhoods:
    """Return N[u] in U1 for each u of U1."""
    return {u: within(graph.closed(u), u1) for u in u1}


def place(peers: Sequence[PeerId], peer: PeerId) -> int:
    """Return the index of `peer` among sorted `peers`.

    Pre: it is one of them.
    """
    return bisect_left(peers, peer)
