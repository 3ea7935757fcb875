"""Vectors of the graph: degrees, base graphs and their labellings (spec 2.4)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from protocol_spec.model import graph
from protocol_spec.model.messages import Body
from protocol_spec.model.primitives import some

COHORTS = (
    *((7, 1, 1), (8, 1, 0), (9, 2, 1), (10, 1, 0), (12, 1, 1), (12, 3, 3), (16, 1, 4)),
    *((20, 0, 0), (20, 1, 2), (20, 2, 1), (30, 3, 3), (30, 6, 3), (40, 0, 4)),
    *((50, 5, 15), (100, 10, 10), (100, 20, 10), (100, 33, 10), (100, 10, 30)),
    *((151, 15, 15), (151, 50, 15), (151, 50, 45), (200, 20, 20), (200, 66, 20)),
    *((300, 30, 30), (300, 60, 30), (300, 99, 15), (300, 30, 90), (300, 90, 90)),
    *((1000, 50, 50), (1000, 100, 100), (1000, 200, 100), (1000, 333, 100)),
    *((1000, 100, 300), (1000, 300, 300), (4096, 409, 409)),
)
"""(n, c, losses): usual sizes, some without a regular graph, and the largest n."""

SMALL = ((8, 4), (10, 4), (11, 4), (12, 6), (14, 4), (16, 8), (21, 10))
LARGE = ((33, 14), (100, 24), (200, 40))


def all_graphs() -> Iterator[tuple[str, Body]]:
    """Every file of this module: (name, content)."""
    yield "graph_degrees", {"kind": "graph_degrees", "cases": [*_degrees()]}
    yield "graphs", {"kind": "graphs", "cases": [*_graphs()]}


def _degrees() -> Iterator[Body]:
    for n, c, losses in COHORTS:
        found = graph.degree_of(n, c, losses)
        degree = None if found is None else asdict(found)
        yield {"n": n, "c": c, "losses": losses, "degree": degree}


def _graphs() -> Iterator[Body]:
    """Graphs in full where they are small, else the hash of their neighbours."""
    for n, k in (*SMALL, *LARGE):
        ctr, base = graph.base_graph(n, k)
        seed = some(f"graph_seed {n}")
        near = graph.neighbours(n, k, seed)
        pi = graph.labelling(n, seed)
        given = {"n": n, "k": k, "ctr": ctr, "seed": seed.hex()}
        if (n, k) in SMALL:
            lists = {"base": [[*row] for row in base], "labelling": pi}
            yield {**given, **lists, "neighbours": [[*row] for row in near]}
        else:
            hashes = {"base_hash": hashed(base), "labelling_hash": hashed([pi])}
            yield {**given, **hashes, "neighbours_hash": hashed(near)}


def hashed(rows: Sequence[Sequence[int]]) -> str:
    """SHA-256 of all numbers in order, each as 4 bytes."""
    numbers = (x.to_bytes(4, "little") for row in rows for x in row)
    return hashlib.sha256(b"".join(numbers)).hexdigest()
