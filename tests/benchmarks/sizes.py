"""Bytes on the wire, and what they buy: counted in whole sessions, not timed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from secagg.cohort import CHUNK_HEADER
from secagg.masked_chunks import chunks_of
from secagg.task import Task
from secagg.vector import Chunks
from tests.benchmarks import real_updates
from tests.benchmarks.rows import Figure, Row, at_most
from tests.benchmarks.sessions import Plan, record, same_for_all


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much to measure.

    Attributes:
        silos, length: n and m of the session whose overhead is stated.
        sparse_silos, sparse_length: n and m of the session on a sparse graph.
        sparse_counted: m of the session in which its messages are counted; they do not
            depend on m, and the chunks are added for `sparse_length`.
        rotated_silos, rotated_length: n and m of the sessions with a rotation.
        rotated_bits: b of these; 11 is the most for which 30 silos need no more than 16
            bits an element.
    """

    silos: int = 100
    length: int = 1_000_000
    sparse_silos: int = 1024
    sparse_length: int = 1 << 20
    sparse_counted: int = 1 << 12
    rotated_silos: int = 30
    rotated_length: int = 1_000_000
    rotated_bits: int = 11


TOY = Sizes(
    silos=4,
    length=5_000,
    sparse_silos=20,
    sparse_length=10_000,
    rotated_silos=4,
    rotated_length=5_000,
)


def run(sizes: Sizes) -> Iterator[Row]:
    """Return the rows."""
    yield _overhead(sizes)
    yield _expansion(sizes)
    name, updates = real_updates.updates(sizes.rotated_silos, sizes.rotated_length)
    yield from _rotated(sizes, f"updates of a perceptron on {name}", updates)
    gaussian = np.random.default_rng(5).standard_normal(
        (sizes.rotated_silos, sizes.rotated_length), dtype=np.float32
    )
    yield from _rotated(sizes, "gaussian updates", gaussian)


def _overhead(sizes: Sizes) -> Row:
    """Return all that a hospital sends beside w bits an element."""
    task = Task(task_id="bench", length=sizes.length, clip=1.0)
    plan = Plan(silos=sizes.silos, task=task, update=same_for_all(sizes.length))
    found = record(plan)[0]
    width = found.server.params.width
    return Row(
        group="sizes",
        name=f"Bytes up beside w bits an element, n = {sizes.silos},"
        f" m = {sizes.length:,}",
        ours=Figure.exact(found.bytes_up),
        reference=Figure.exact(sizes.length * width / 8),
        unit="bytes",
        compare="share",
        goal=at_most(1.03),
        detail=f"w = {width}",
        headline=True,
        labels={"n": sizes.silos, "m": sizes.length},
    )


def _expansion(sizes: Sizes) -> Row:
    """Return all that a hospital sends beside the vector in clear, 16 bits an entry."""
    silos, length = sizes.sparse_silos, sizes.sparse_length
    counted = Task(
        task_id="bench", length=sizes.sparse_counted, clip=1.0, graph="regular"
    )
    update = same_for_all(sizes.sparse_counted)
    found = record(Plan(silos=silos, task=counted, update=update))[0]
    params = found.server.params
    chunks = Chunks(length=length, width=params.width, chunk_log2=params.chunk_log2)
    messages = found.bytes_up - _sent(chunks_of(params))
    return Row(
        group="sizes",
        name=f"Bytes up beside the clear 16-bit vector, n = {silos:,}, m = {length:,},"
        f" {params.degree.k} neighbours",
        ours=Figure.exact(messages + _sent(chunks)),
        reference=Figure.exact(2.0 * length),
        unit="bytes",
        compare="share",
        goal=at_most(1.66),
        detail=f"w = {params.width}; Bonawitz et al. state 1.73",
        headline=True,
        labels={"n": silos, "m": length},
    )


def _sent(chunks: Chunks) -> int:
    """Return the bytes of all chunk frames."""
    return chunks.total_bytes + CHUNK_HEADER * chunks.count


def _rotated(sizes: Sizes, name: str, updates: NDArray[np.float32]) -> Iterator[Row]:
    """Return bytes a parameter and the error of the mean, nothing clipped."""
    silos, length = updates.shape
    clip = 1.001 * float(np.linalg.norm(updates, axis=1).max())
    bits = sizes.rotated_bits
    task = Task(task_id="bench", length=length, clip=clip, bits=bits, rotation=True)
    found = record(Plan(silos=silos, task=task, update=lambda k: updates[k]))[0]
    mean = updates.mean(axis=0, dtype=np.float64)
    error = np.linalg.norm(found.mean - mean) / np.linalg.norm(mean)
    what = f"n = {silos}, m = {length:,}, {name}"
    said = f"b = {bits}, w = {found.server.params.width}"
    labels = {"n": silos, "m": length, "updates": name}
    yield Row(
        group="sizes",
        name=f"Bytes up a parameter with rotation, {what}",
        ours=Figure.exact(found.bytes_up / length),
        reference=Figure.exact(4.0),
        unit="B",
        compare="figure",
        goal=at_most(2.1),
        detail=f"{said}; float32 beside it",
        headline=True,
        labels=labels,
    )
    yield Row(
        group="sizes",
        name=f"Relative L2 error of the mean with rotation, {what}",
        ours=Figure.exact(float(error)),
        unit="",
        compare="figure",
        goal=at_most(0.01),
        detail=said,
        headline=True,
        labels=labels,
    )
