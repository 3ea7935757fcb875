"""Unmasking on one worker and on two: what an executor brings.

The aggregator's work after losses: an agreement and a keystream for every pair of a
survivor and a lost member, besides the keystreams of the self masks. It is given to
processes of this machine, and to a Dask cluster on it, whose parts talk as they would
between machines; beside them, the engine's own threads. Everybody opens the same sum,
to the bit.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np

from peers.dask_workers import load_library, opened_workers
from secagg.crypto.agree import KeyPair
from secagg.engine import AUTO, MaskEngine, engine, one_thread
from secagg.events import LostMember, OpenSum
from secagg.mask_removal import MaskRemoval
from secagg.masking import removed_self_masks, split
from secagg.names import PeerId, SessionId, VectorSum
from secagg.params import Parameters
from tests.benchmarks.interleaved import REPEATS, clocked, interleaved
from tests.benchmarks.rows import Row, shown
from tests.samples import parameters

_SID = SessionId(bytes(range(32)))


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much to measure: n, how many are lost, m, on what, turns."""

    silos: int = 100
    lost: int = 30
    length: int = 1_000_000
    on: tuple[str, ...] = ("processes", "Dask")
    repeats: int = REPEATS


TOY = Sizes(silos=6, lost=1, length=5_000, on=("processes",), repeats=1)


def run(sizes: Sizes) -> Iterator[Row]:
    """Return one row for each kind of worker."""
    params = parameters(sizes.silos, 1, length=sizes.length)
    effect = _effect(params, sizes.lost)
    work = functools.partial(_opened, effect, params)
    for name in sizes.on:
        yield _row(name, sizes, work, params.width)


def _row(
    name: str,
    sizes: Sizes,
    work: Callable[[Executor | None, MaskEngine], VectorSum],
    width: int,
) -> Row:
    lone, threaded = one_thread(width), engine(AUTO, width)
    right = work(None, lone)

    def checked(executor: Executor | None, here: MaskEngine) -> Callable[[], None]:
        return lambda: np.testing.assert_array_equal(work(executor, here), right)

    with _EXECUTORS[name](1) as one, _EXECUTORS[name](2) as two:
        found = interleaved(
            clocked("one", checked(one, lone)),
            clocked("two", checked(two, lone)),
            clocked("one here", checked(None, lone)),
            clocked("all here", checked(None, threaded)),
            repeats=sizes.repeats,
        )
    here = {what: shown(found[f"{what} here"].median, "s") for what in ("one", "all")}
    return Row(
        group="unmasking",
        name=f"Opening a sum on two workers beside one, {name}, n = {sizes.silos},"
        f" {sizes.lost} lost, m = {sizes.length:,}",
        ours=found["two"],
        reference=found["one"],
        detail=f"{here['one']} on one thread of this process, {here['all']} on a thread"
        " a core",
        labels={"n": sizes.silos, "m": sizes.length, "lost": sizes.lost, "on": name},
    )


def _opened(
    effect: OpenSum, params: Parameters, executor: Executor | None, here: MaskEngine
) -> VectorSum:
    """Open the sum of no vectors: what is left are the masks."""
    removal = MaskRemoval(engine=here, executor=executor, told=_refuse)
    chunks = removal.opened_chunks(effect, lambda _: (), params)
    return VectorSum(np.concatenate([*chunks]))


def _refuse(failed: Exception) -> None:
    raise failed


def _effect(params: Parameters, lost: int) -> OpenSum:
    """Return what opens a sum after the last members were lost."""
    u3, gone = params.members[:-lost], params.members[-lost:]
    partners = tuple((u, KeyPair(_secret(u)).public) for u in u3)
    seeds, signs = split(removed_self_masks(_SID, {u: _secret(u) for u in u3}))
    return OpenSum(
        u3=u3,
        seeds=seeds,
        signs=signs,
        lost=tuple(
            LostMember(sid=_SID, peer=v, s_sk=_secret(v), partners=partners)
            for v in gone
        ),
    )


def _secret(peer: PeerId) -> bytes:
    return peer.encode("ascii").ljust(32, b"\x00")


def _processes(
    workers: int,
) -> contextlib.AbstractContextManager[Executor | None]:
    return ProcessPoolExecutor(workers, get_context("spawn"))


@contextlib.contextmanager
def _dask(workers: int) -> Iterator[Executor | None]:
    with (
        load_library().LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            host="127.0.0.1",
        ) as cluster,
        opened_workers(cluster.scheduler_address) as executor,
    ):
        yield executor


_EXECUTORS: Mapping[
    str, Callable[[int], contextlib.AbstractContextManager[Executor | None]]
] = {"processes": _processes, "Dask": _dask}
