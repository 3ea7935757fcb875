"""Chunks made on the device: the CPU's bytes, batch by batch, ahead of sending."""

import numpy as np
import pytest
import torch

from secagg import errors
from secagg.contribution import contribution, device_contribution
from secagg.crypto.prg import Tag
from secagg.device import chunks as module
from secagg.device import norm, update
from secagg.device.leaving import Outbox
from secagg.engine import MaskSeed, NumpyThreads
from secagg.engine.triton import Triton
from secagg.entropy import SeededEntropy
from secagg.masked_chunks import chunk_maker, chunks_of, masked_chunk
from secagg.messages import Extra
from secagg.names import SessionId
from tests.samples import blob, parameters

SID = SessionId(blob(3))
CHUNK = 1 << 12
M = 3 * CHUNK + 101
DECLARED = (Extra(name="n", low=0, high=1 << 40),)
SEEDS = [MaskSeed(blob(1), Tag.SELF), MaskSeed(blob(2), Tag.PAIR)]
SIGNS = [1, -1]
DEVICE = Triton(16).device


@pytest.fixture(autouse=True)
def _two_chunks_a_batch(monkeypatch):
    monkeypatch.setattr(module, "BATCH", 2 * CHUNK)


def terms(params, m):
    del m
    return {
        "weight": 7,
        "values": {"n": 123},
        "params": params,
        "sid": SID,
        "entropy": SeededEntropy(b"chunks"),
    }


def params_of(m):
    return parameters(
        4,
        1,
        length=m,
        chunk_log2=12,
        extras=DECLARED,
        range=0.01,
        weighting="weighted",
        max_weight=50,
    )


def update_of(m):
    return np.random.default_rng(m).normal(size=m).astype(np.float32) / 200


def on_device(m):
    params = params_of(m)
    there = torch.from_numpy(update_of(m)).to(DEVICE)
    x_u = device_contribution(there, **terms(params, m))
    return module.DeviceChunks(
        x_u.coordinates, x_u.tail, SEEDS, SIGNS, chunks_of(params)
    )


def on_cpu(m):
    params = params_of(m)
    x_u = contribution(update_of(m), **terms(params, m))
    engine = NumpyThreads(params.width, 1)
    return [
        masked_chunk(x_u, SEEDS, SIGNS, index=index, engine=engine)
        for index in range(chunks_of(params).count)
    ]


# Tails that lie behind the last coordinates, and over the ends of chunk and batch.
@pytest.mark.parametrize("m", [M, 1, CHUNK - 1, CHUNK, 2 * CHUNK - 2, 2 * CHUNK])
def test_the_chunks_are_the_cpus_byte_by_byte(m):
    expected = on_cpu(m)
    made = on_device(m)
    assert [made.chunk(index) for index in range(len(expected))] == expected


@pytest.mark.parametrize("order", [[3, 0, 2, 1], [2, 2, 0, 0], [1, 3, 1]])
def test_chunks_may_be_asked_for_again_and_in_any_order(order):
    expected = on_cpu(M)
    made = on_device(M)
    assert [made.chunk(index) for index in order] == [expected[i] for i in order]


def test_the_next_batch_is_begun_before_a_chunk_is_waited_for(monkeypatch):
    said: list[str] = []
    put, take = Outbox.put, Outbox.take

    def given(box, slot, packed):
        said.append("put")
        put(box, slot, packed)

    def taken(box, *place):
        said.append("take")
        return take(box, *place)

    monkeypatch.setattr(Outbox, "put", given)
    monkeypatch.setattr(Outbox, "take", taken)
    made = on_device(M)
    for index in range(4):
        made.chunk(index)
    assert said == ["put", "put", "take", "take", "take", "take"]


def test_a_chunk_that_does_not_exist_is_refused():
    with pytest.raises(errors.LocalProtocolError, match="no chunk 9"):
        on_device(M).chunk(9)


def test_a_batch_that_failed_is_made_again(monkeypatch):
    made = on_device(M)
    expected = on_cpu(M)

    def broken(*_):
        raise errors.ParameterError("on purpose")

    with monkeypatch.context() as patch:
        patch.setattr(update.DeviceUpdate, "write", broken)
        with pytest.raises(errors.ParameterError, match="on purpose"):
            made.chunk(0)
    assert made.chunk(0) == expected[0]


def test_only_masked_packed_chunks_and_two_numbers_leave(monkeypatch):
    """All that leaves: the peak, the sum of squares, the count, and y_u packed."""
    numbers, packed = [], []
    for owner in (update, norm):
        number = owner.number

        def noted(value, number=number):
            numbers.append(number(value))
            return numbers[-1]

        monkeypatch.setattr(owner, "number", noted)
    put = Outbox.put

    def put_noted(box, slot, chunks):
        packed.append(chunks.cpu().numpy().tobytes())
        put(box, slot, chunks)

    monkeypatch.setattr(Outbox, "put", put_noted)
    expected = on_cpu(M)
    made = on_device(M)
    assert [made.chunk(index) for index in range(4)] == expected
    squares = np.sum(np.square(update_of(M), dtype=np.float64))
    assert len(numbers) == 3
    assert numbers[0] == np.abs(update_of(M)).max()
    assert numbers[1] * 4.0 ** np.frexp(numbers[0])[1] == pytest.approx(squares)
    assert numbers[2] == int(numbers[2]) <= M
    assert [len(part) for part in packed] == [
        -(-len(b"".join(batch)) // 4) * 4 for batch in (expected[:2], expected[2:])
    ]
    for part, batch in zip(packed, (expected[:2], expected[2:]), strict=True):
        assert part.startswith(b"".join(batch))
        assert not any(part[len(b"".join(batch)) :])


def test_the_maker_of_a_device_contribution_works_on_the_device():
    params = params_of(M)
    there = torch.from_numpy(update_of(M)).to(DEVICE)
    x_u = device_contribution(there, **terms(params, M))
    make = chunk_maker(x_u, SEEDS, SIGNS, NumpyThreads(params.width, 1))
    assert [make(index) for index in range(4)] == on_cpu(M)


def test_chunks_show_nothing_of_the_vector():
    assert "redacted" in repr(on_device(M))
