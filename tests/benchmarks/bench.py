"""``make bench``: every row is a ratio inside one interleaved run.

A figure is the median of the repeats; both sides of a ratio are measured in turn, so
that a noisy machine disturbs both. Goals stand beside the figures and are never tested.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from secagg.crypto.prg import Tag
from secagg.engine import MaskSeed, NumpyThreads
from secagg.simulation import measure

REPEATS = 7
SEEDS = 100
NONCE = bytes(16)


@dataclass(frozen=True, slots=True)
class Row:
    """One ratio, its goal and what was measured."""

    what: str
    ratio: float
    goal: str
    detail: str


def interleaved(*works: Callable[[], object]) -> list[float]:
    """Return the median seconds of each work, measured in turn."""
    seconds: list[list[float]] = [[] for _ in works]
    for work in works:
        work()
    for _ in range(REPEATS):
        for taken, work in zip(seconds, works, strict=True):
            began = time.perf_counter()
            work()
            taken.append(time.perf_counter() - began)
    return [statistics.median(taken) for taken in seconds]


def raw_keystream(keys: Sequence[bytes], words: int) -> None:
    """Expand as many ChaCha20 words through the same library, and do nothing more."""
    block = 1 << 20
    zeros, out = bytes(block), bytearray(block)
    for key in keys:
        encryptor = Cipher(algorithms.ChaCha20(key, NONCE), mode=None).encryptor()
        for start in range(0, 4 * words, block):
            size = min(block, 4 * words - start)
            encryptor.update_into(memoryview(zeros)[:size], memoryview(out)[:size])


def engine_row(width: int, words: int) -> Row:
    """Return the engine on one thread against the raw keystream of the same words."""
    keys = [index.to_bytes(32, "little") for index in range(SEEDS)]
    seeds = [MaskSeed(key, Tag.PAIR) for key in keys]
    signs = [1 if index % 2 else -1 for index in range(SEEDS)]
    engine = NumpyThreads(width, workers=1)
    acc = np.zeros(words, dtype=np.uint32)
    masked, raw = interleaved(
        lambda: engine.accumulate(acc, seeds, signs, 0, words),
        lambda: raw_keystream(keys, words),
    )
    goal = ">= 0.70" if width <= 28 else ">= 0.55"
    per_word = 1e9 / (SEEDS * words)
    detail = f"{masked * per_word:.2f} ns a word, keystream {raw * per_word:.2f} ns"
    what = f"engine beside raw ChaCha20, one thread, w = {width}, m = {words:,}"
    return Row(what, raw / masked, goal, detail)


def bytes_row(silos: int, params: int) -> Row:
    """Return the bytes up beside the packed vector."""
    report = measure(silos=silos, params=params, seed=1)
    overhead = report.overhead or 0.0
    what = f"bytes up beside the packed vector, n = {silos}, m = {params:,}"
    detail = f"{report.bytes_up_per_client:,} bytes at {report.width} bits an element"
    return Row(what, overhead, "< 0.03", detail)


def growth_row(small: int, large: int) -> Row:
    """Return the seconds a coordinate at a large m beside those at a small one."""
    first, second = interleaved(
        lambda: measure(silos=5, params=small, seed=1),
        lambda: measure(silos=5, params=large, seed=1),
    )
    what = f"time of a session, n = 5, m = {large:,} beside m = {small:,}, a coordinate"
    detail = f"{second:.2f} s beside {first:.2f} s"
    return Row(what, second / large / (first / small), "<= 1.10", detail)


def main() -> None:
    """Measure, print the table, and write JSON where asked."""
    rows = [
        *(engine_row(width, 1_000_000) for width in (16, 23, 32)),
        bytes_row(100, 1_000_000),
        growth_row(1_000_000, 4_000_000),
    ]
    say = sys.stdout.write
    say(f"{os.cpu_count()} cores, medians of {REPEATS}, each row interleaved\n")
    for row in rows:
        say(f"{row.ratio:7.3f}  goal {row.goal:7}  {row.what}: {row.detail}\n")
    if len(sys.argv) > 1:
        with open(sys.argv[1], "w", encoding="utf-8") as file:
            json.dump([asdict(row) for row in rows], file, indent=2)


if __name__ == "__main__":
    main()
