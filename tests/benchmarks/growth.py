"""How cost grows with the number of silos, and with the length of the vector.

With n: whole hospitals and aggregators of sessions, each played again. With m: what
touches every coordinate, chunk by chunk as in a session: a hospital clips, rounds,
masks, packs and hashes, and the aggregator unpacks, adds, takes the masks off and
centres. Turns of short vectors are made long by going through them several times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from secagg import vector
from secagg.consortium import open_session
from secagg.crypto.prg import Tag
from secagg.engine import MaskSeed
from secagg.events import OpenSum
from secagg.mask_removal import MaskRemoval
from secagg.masked_chunks import chunks_of, masked_chunk
from secagg.simulation.session import OPEN_POLICY
from secagg.task import Task
from tests.benchmarks.interleaved import REPEATS, Work, clocked, interleaved
from tests.benchmarks.rows import Figure, Label, Row, at_most, shown
from tests.benchmarks.sessions import Plan, record, same_for_all

_LEAST_WORK = 10_000_000
"""Coordinates that a turn goes through, at least."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much to measure.

    Attributes:
        silos: each n, at `length_of_sessions`.
        length_of_sessions: m of the growth with n.
        lengths: each m, at `silos_of_vectors`; the second is what others are held to.
        silos_of_vectors: n of the growth with m.
        least_work: coordinates that a turn goes through.
        repeats: turns.
    """

    silos: tuple[int, ...] = (10, 30, 100, 300, 1000)
    length_of_sessions: int = 100_000
    lengths: tuple[int, ...] = (100_000, 1_000_000, 10_000_000, 100_000_000)
    silos_of_vectors: int = 10
    least_work: int = _LEAST_WORK
    repeats: int = REPEATS


TOY = Sizes(
    silos=(4, 6),
    length_of_sessions=5_000,
    lengths=(5_000, 20_000),
    silos_of_vectors=4,
    least_work=0,
    repeats=1,
)


def run(sizes: Sizes) -> Iterator[Row]:
    """Return the rows of the growth with n, then of that with m."""
    for silos in sizes.silos:
        yield from _session(sizes, silos)
    yield from _vectors(sizes)


def _session(sizes: Sizes, silos: int) -> Iterator[Row]:
    """Return what one hospital and the aggregator cost at this n."""
    length = sizes.length_of_sessions
    task = Task(task_id="bench", length=length, clip=1.0)
    recording = record(Plan(silos=silos, task=task, update=same_for_all(length)))[0]
    found = interleaved(
        lambda: {"client": recording.client_seconds()},
        lambda: {"aggregator": recording.server_seconds()},
        repeats=sizes.repeats,
        warm=False,
    )
    labels: dict[str, Label] = {"n": silos, "m": length, "growth": "n"}
    for party, figure in found.items():
        yield Row(
            group="growth",
            name=f"{party.capitalize()}, n = {silos:,}, m = {length:,}",
            ours=figure,
            compare="figure",
            detail=f"{recording.server.params.degree.k} neighbours",
            labels={**labels, "what": party},
        )
    for name, size in {"up": recording.bytes_up, "down": recording.bytes_down}.items():
        yield Row(
            group="growth",
            name=f"Bytes {name} of a client, n = {silos:,}, m = {length:,}",
            ours=Figure.exact(size),
            unit="bytes",
            compare="figure",
            detail=f"w = {recording.server.params.width}",
            labels={**labels, "what": f"bytes {name}"},
        )


def _vectors(sizes: Sizes) -> Iterator[Row]:
    """Return the seconds a coordinate at each m, beside those at the second m."""
    turns = [turn for length in sizes.lengths for turn in _passes(sizes, length)]
    found = interleaved(*turns, repeats=sizes.repeats)
    base = sizes.lengths[1]
    for length in sizes.lengths:
        for party in ("client", "aggregator"):
            yield _per_coordinate(sizes, party, length, base, found)


def _per_coordinate(
    sizes: Sizes, party: str, length: int, base: int, found: dict[str, Figure]
) -> Row:
    beside = Figure.exact(found[f"{party} {base}"].median)
    ours = found[f"{party} {length}"]
    beside_base = "" if length == base else f" beside m = {base:,}"
    return Row(
        group="growth",
        name=f"{party.capitalize()}'s time a coordinate, n = {sizes.silos_of_vectors},"
        f" m = {length:,}{beside_base}",
        ours=ours,
        reference=None if length == base else beside,
        compare="figure" if length == base else "share",
        goal=at_most(1.10) if length > base else None,
        detail=f"{shown(ours.median * length, 's')} in all",
        headline=length == max(sizes.lengths),
        labels={
            "n": sizes.silos_of_vectors,
            "m": length,
            "growth": "m",
            "what": party,
            "seconds": ours.median * length,
        },
    )


def _passes(sizes: Sizes, length: int) -> Iterator[Work]:
    """Return a turn of the hospital and one of the aggregator, in time a coordinate."""
    silos = sizes.silos_of_vectors
    task = Task(task_id="bench", length=length, clip=1.0)
    plan = Plan(silos=silos, task=task, update=same_for_all(length))
    people = plan.consortium()
    clients = {u: people.client(u, OPEN_POLICY, {}) for u in people.silos}
    server = open_session(people, task, clients)
    params, engine = server.params, plan.engine(server.params.width)
    first = server.params.members[0]
    x_u = plan.contribution(people, server, first, server.sid)
    seeds = tuple(MaskSeed(bytes([k]) * 32, Tag.PAIR) for k in range(silos))
    signs = tuple(1 if k % 2 else -1 for k in range(silos))
    chunks: list[bytes] = []
    again = max(1, sizes.least_work // length)

    def mask() -> None:
        chunks.clear()
        root = vector.RootBuilder(server.sid)
        for index in range(chunks_of(params).count):
            chunk = masked_chunk(x_u, seeds, signs, index=index, engine=engine)
            root.add(index, chunk)
            chunks.append(chunk)

    def open_sum() -> None:
        effect = OpenSum(u3=params.members, seeds=seeds, signs=signs)
        removal = MaskRemoval(engine=engine)
        opened = removal.opened_chunks(effect, lambda k: [chunks[k]] * silos, params)
        for _ in opened:
            pass

    for party, work in {"client": mask, "aggregator": open_sum}.items():
        yield _per_unit(f"{party} {length}", work, again, length)


def _per_unit(name: str, work: Callable[[], None], again: int, length: int) -> Work:
    """Return a turn that does `work` several times and tells the time a coordinate."""

    def many() -> None:
        for _ in range(again):
            work()

    whole = clocked(name, many)
    return lambda: {key: took / (again * length) for key, took in whole().items()}
