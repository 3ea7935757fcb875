"""secagg.masked_chunks: y_u chunk by chunk, and the sum back (4.5, 4.8, 7)."""

import numpy as np
import pytest

from secagg import field, packing
from secagg.contribution import contribution
from secagg.crypto.prg import Tag
from secagg.engine import MaskSeed, NumpyThreads
from secagg.entropy import SeededEntropy
from secagg.masked_chunks import chunks_of, masked_chunk, opened_chunk
from secagg.messages import Extra
from secagg.names import SessionId
from tests.helpers import ReferenceEngine, refused_rule
from tests.samples import blob, parameters

SID = SessionId(blob(3))
CHUNK = 1 << 12
M = 2 * CHUNK + 100
PARAMS = parameters(
    4, 1, length=M, chunk_log2=12, extras=(Extra(name="n", low=0, high=1 << 40),)
)
ENGINE = ReferenceEngine(PARAMS.width)
SEEDS = [MaskSeed(blob(1), Tag.SELF), MaskSeed(blob(2), Tag.PAIR)]
SIGNS = [1, -1]


def contributed(number):
    update = np.random.default_rng(number).normal(size=M) / 200
    return contribution(
        update,
        weight=1,
        values={"n": number},
        params=PARAMS,
        sid=SID,
        entropy=SeededEntropy(bytes([number])),
    )


def masks_over(seed, sign, start, stop):
    sums = np.zeros(stop - start, dtype=np.uint32)
    ENGINE.accumulate(sums, [seed], [sign], start, stop)
    return sums


def elements_of(x_u, seeds, signs):
    """All of y_u, from its packed chunks."""
    chunks = chunks_of(PARAMS)
    parts = []
    for index in range(chunks.count):
        packed = masked_chunk(x_u, seeds, signs, index=index, engine=ENGINE)
        assert len(packed) == chunks.size_bytes(index)
        start, stop = chunks.span(index)
        parts.append(packing.unpack(packed, stop - start, PARAMS.width))
    return np.concatenate(parts).astype(np.int64)


def test_the_chunks_hold_the_coordinates_and_the_limbs() -> None:
    chunks = chunks_of(PARAMS)
    assert (chunks.length, chunks.width) == (PARAMS.total_length, PARAMS.width)
    assert (chunks.count, chunks.span(2)) == (3, (2 * CHUNK, PARAMS.total_length))


def test_y_u_is_x_u_plus_the_signed_masks() -> None:
    x_u = contributed(1)
    whole = x_u.window(0, PARAMS.total_length).copy()
    ENGINE.accumulate(whole, SEEDS, SIGNS, 0, len(whole))
    assert (elements_of(x_u, SEEDS, SIGNS) == whole).all()
    assert (elements_of(x_u, [], []) == x_u.window(0, PARAMS.total_length)).all()


def test_4_5_6_a_chunk_made_again_has_the_same_bytes() -> None:
    x_u = contributed(1)
    chunks = [
        masked_chunk(x_u, SEEDS, SIGNS, index=index, engine=ENGINE)
        for index in (2, 0, 2, 1, 0)
    ]
    assert (chunks[0], chunks[1]) == (chunks[2], chunks[4])


@pytest.mark.parametrize("index", [0, 1, 2])
def test_the_opened_chunk_is_the_integer_sum(index) -> None:
    clients = [contributed(number) for number in (1, 2, 3)]
    seeds = [MaskSeed(blob(10 + i), Tag.SELF) for i in range(3)]
    stored = [
        masked_chunk(x_u, [seed], [1], index=index, engine=ENGINE)
        for x_u, seed in zip(clients, seeds, strict=True)
    ]
    start, stop = chunks_of(PARAMS).span(index)
    middle = start + 7
    masks = [
        (low, masks_over(seed, -1, low, high))
        for seed in seeds
        for low, high in ((start, middle), (middle, stop))
    ]
    opened = opened_chunk(
        reversed(stored), masks, index=index, params=PARAMS, engine=ENGINE
    )
    plain = sum(field.centre(x.window(start, stop), PARAMS.p) for x in clients)
    assert opened.dtype == np.int64
    assert (opened == plain).all()


@pytest.mark.parametrize("seeds", [[], [SEEDS[1]]])
def test_a_wrong_mask_opens_something_else(seeds) -> None:
    x_u = contributed(1)
    stored = [masked_chunk(x_u, SEEDS[:1], [1], index=0, engine=ENGINE)]
    masks = [(0, masks_over(seed, -1, 0, CHUNK)) for seed in seeds]
    opened = opened_chunk(stored, masks, index=0, params=PARAMS, engine=ENGINE)
    plain = field.centre(x_u.window(0, CHUNK), PARAMS.p)
    assert (opened == plain).sum() < 5


@pytest.mark.parametrize(
    ("rule", "damage"),
    [
        ("7.1-3", lambda chunk: chunk[:-1]),
        ("7.1-3", lambda chunk: chunk + b"\x00"),
        ("7.1-5", lambda chunk: b"\xff" * len(chunk)),
    ],
)
def test_a_damaged_stored_chunk_is_refused(rule, damage) -> None:
    stored = [damage(masked_chunk(contributed(1), [], [], index=0, engine=ENGINE))]
    refused = refused_rule(
        opened_chunk, stored, [], index=0, params=PARAMS, engine=ENGINE
    )
    assert refused == rule


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("silos", [0, 1, 7, 8, 9, 17])
def test_threads_and_batches_do_not_change_the_opened_chunk(silos, workers) -> None:
    params = parameters(20, 1, length=70_100, chunk_log2=17)
    draw = np.random.default_rng(silos)
    stop = params.total_length
    y = draw.integers(0, params.p, (silos, stop), dtype=np.uint32)
    stored = (packing.pack(y_u, params.width) for y_u in y)
    opened = opened_chunk(
        stored, [], index=0, params=params, engine=NumpyThreads(params.width, workers)
    )
    total = (y.astype(np.int64).sum(axis=0) % params.p).astype(np.uint32)
    assert np.array_equal(opened, field.centre(total, params.p))


@pytest.mark.parametrize("wrong", [0, 7, 8, 10])
def test_a_damaged_chunk_is_refused_in_whatever_batch_and_slice(wrong) -> None:
    params = parameters(20, 1, length=70_100, chunk_log2=17)
    whole = packing.pack(np.zeros(params.total_length, np.uint32), params.width)
    damaged = whole[:-100] + b"\xff" * 50 + whole[-50:]
    stored = [damaged if k == wrong else whole for k in range(11)]
    engine = NumpyThreads(params.width, 2)
    assert (
        refused_rule(opened_chunk, stored, [], index=0, params=params, engine=engine)
        == "7.1-5"
    )
