"""A whole hospital against the sum of its unavoidable parts.

The parts are what the protocol makes every hospital do, whoever writes it: one
keystream a mask through the engine, two key agreements and the keys from them a peer,
the sharing of two secrets, sealed for each peer and opened from each, and a signature
to verify for each key, each root, each vote and each message of the aggregator. What a
whole hospital adds is its own update, the packing, the hashes, the lists and the state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from secagg import shamir
from secagg.crypto import agree, kdf
from secagg.crypto.aead import open_sealed, seal
from secagg.crypto.prg import Tag
from secagg.crypto.sign import SigningKey, verify
from secagg.engine import MaskSeed
from secagg.params import Parameters
from secagg.task import Task
from tests.benchmarks.interleaved import REPEATS, clocked, interleaved
from tests.benchmarks.rows import Row, at_most, shown
from tests.benchmarks.sessions import Plan, Recording, record, same_for_all

_KEY = bytes(range(32))
_LISTS = 6
"""Messages of the aggregator that a hospital verifies, Manifest to Result."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much to measure: n, m, whether with one thread or one a core, turns."""

    silos: int = 100
    length: int = 1_000_000
    one_thread: tuple[bool, ...] = (True, False)
    repeats: int = REPEATS


TOY = Sizes(silos=4, length=5_000, one_thread=(True,), repeats=1)


def run(sizes: Sizes) -> Iterator[Row]:
    """Return one row with one thread, and one with a thread a core."""
    task = Task(task_id="bench", length=sizes.length, clip=1.0)
    update = same_for_all(sizes.length)
    for alone in sizes.one_thread:
        plan = Plan(silos=sizes.silos, task=task, update=update, one_thread=alone)
        yield _row(record(plan)[0], sizes)


def _row(recording: Recording, sizes: Sizes) -> Row:
    def whole() -> dict[str, float]:
        return {"whole": recording.client_seconds()}

    works = parts(recording.server.params, recording.plan)
    turns = [clocked(name, work) for name, work in works.items()]
    together = clocked("parts", lambda: [work() for work in works.values()])
    found = interleaved(whole, together, *turns, repeats=sizes.repeats)
    listed = ", ".join(f"{name} {shown(found[name].median, 's')}" for name in works)
    threads = "one thread" if recording.plan.one_thread else "a thread a core"
    return Row(
        group="client",
        name=f"A whole hospital, n = {sizes.silos}, m = {sizes.length:,}, {threads},"
        " beside its unavoidable parts",
        ours=found["whole"],
        reference=found["parts"],
        compare="share",
        goal=at_most(1.3),
        detail=listed,
        headline=True,
        labels={"n": sizes.silos, "m": sizes.length, "threads": threads},
    )


def parts(params: Parameters, plan: Plan) -> dict[str, Callable[[], object]]:
    """Return what a hospital cannot avoid, by name, each ready to run."""
    n, t, m = params.n, params.t, params.m
    engine = plan.engine(params.width)
    seeds = [MaskSeed(k.to_bytes(32, "little"), Tag.PAIR) for k in range(n)]
    signs = [1 if k % 2 else -1 for k in range(n)]
    acc = np.zeros(m, dtype=np.uint32)
    peers = [agree.KeyPair(bytes([1 + k % 255]) * 32).public for k in range(n - 1)]
    signer = SigningKey(_KEY)
    text = bytes(200)
    signature = signer.sign(text)
    signatures = 2 * (n - 1) + params.q + _LISTS
    sealed = seal(_KEY, bytes(12), bytes(100), text)

    def agreements() -> None:
        # Fresh pairs: one that has agreed with a peer may remember it.
        channel, mask = agree.KeyPair(_KEY), agree.KeyPair(_KEY[::-1])
        for peer in peers:
            agree.shared_secret(channel, peer)
            agree.shared_secret(mask, peer)
            # The channel's two directions, the pair's seed, and its mask's key.
            for _ in range(4):
                kdf.hkdf(_KEY, _KEY, text)

    def sharing() -> None:
        shamir.share_all([range(1, t + 1)] * 2, range(1, n + 1))
        for _ in range(n - 1):
            seal(_KEY, bytes(12), bytes(100), text)
            open_sealed(_KEY, sealed, text)

    return {
        "keystreams": lambda: engine.accumulate(acc, seeds, signs, 0, m),
        "agreements": agreements,
        "sharing": sharing,
        "verifies": lambda: [
            verify(signer.public, signature, text) for _ in range(signatures)
        ],
    }
