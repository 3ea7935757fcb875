import dataclasses
import math

import numpy as np
import pytest

from secagg import field, packing, pipeline
from secagg.consortium import Consortium
from secagg.drivers.aggregator.blobs import BlobStore
from secagg.drivers.aggregator.opening import Opening
from secagg.engine import engine
from secagg.events import OpenSum
from secagg.masked_chunks import chunks_of
from secagg.messages import NoiseTerms
from secagg.names import Mean, SessionId
from secagg.params import Parameters
from secagg.privacy.ledger import Budget, BudgetLedger, MemoryLedgerStore
from secagg.released import ReleasedVector
from secagg.robust.check import Verdict
from secagg.task import Task
from tests.memory_spool import MemorySpool
from tests.samples import first_manifest

CONSORTIUM = Consortium.of(4, b"opening")
PEERS = tuple(sorted(CONSORTIUM.silos))
LENGTH = 4096 + 3
SID = SessionId(bytes([2]) * 32)
PARAMS = Parameters.of(
    first_manifest(
        CONSORTIUM, Task(task_id="demo", length=LENGTH, clip=1.0, chunk_log2=12)
    )
)
EFFECT = OpenSum(u3=PEERS, seeds=(), signs=())


def vectors():
    rng = np.random.default_rng(4)
    return {u: rng.integers(-50, 50, LENGTH) for u in PEERS}


def opening(tmp_path, inputs, **changes) -> Opening:
    chunks = chunks_of(PARAMS)
    spool = MemorySpool(SID, chunks)
    for peer, x_u in inputs.items():
        encoded = field.to_field(x_u.astype(np.int64), PARAMS.p)
        for index in range(chunks.count):
            start, stop = chunks.span(index)
            spool.append(peer, index, packing.pack(encoded[start:stop], PARAMS.width))
    budget = Budget(epsilon=math.inf, delta=1e-5)
    given = Opening(
        params=PARAMS,
        task_id="demo",
        sid=SID,
        model_hash=bytes([8]) * 32,
        spool=spool,
        engine=engine("numpy-threads", PARAMS.width),
        noise_seed=bytes(32),
        ledger=BudgetLedger(MemoryLedgerStore(), {"demo": budget}),
        blobs=BlobStore(tmp_path),
    )
    return dataclasses.replace(given, **changes)


def test_the_total_is_the_plain_sum(tmp_path) -> None:
    inputs = vectors()
    total = opening(tmp_path, inputs).total(EFFECT)
    assert np.array_equal(total, sum(inputs.values()))


def test_a_result_names_the_released_vector_which_is_in_the_store(tmp_path) -> None:
    inputs = vectors()
    one = opening(tmp_path, inputs)
    result = one.open(EFFECT)
    assert (result.status, result.u3) == ("released", PEERS)
    assert result.vector is not None
    blob = one.blobs.read(result.vector.hash, 0, result.vector.size)
    width = result.vector.width
    total = ReleasedVector.of(blob, width=width, length=LENGTH).sum()
    assert np.array_equal(total, sum(inputs.values()))


def test_without_noise_there_is_no_epsilon_to_say(tmp_path) -> None:
    result = opening(tmp_path, vectors()).open(EFFECT)
    assert result.epsilon is None
    assert result.dp is None


def test_opening_again_gives_the_same_result(tmp_path) -> None:
    one = opening(tmp_path, vectors())
    assert one.open(EFFECT) == one.open(EFFECT)


def test_the_next_model_is_made_of_the_mean_and_its_hash_is_said(tmp_path) -> None:
    means: list[Mean] = []

    def next_model(mean: Mean) -> bytes:
        means.append(mean)
        return b"the next model"

    one = opening(tmp_path, vectors(), next_model=next_model)
    result = one.open(EFFECT)
    assert result.next_model_hash is not None
    assert one.blobs.read(result.next_model_hash, 0, 100) == b"the next model"
    assert means[0].shape == (LENGTH,)


def test_a_sum_that_no_honest_cohort_has_is_discarded_by_rule_10_1(tmp_path) -> None:
    inputs = vectors()
    # Each within the field, all four together far beyond |U3| delta_int.
    for peer in PEERS:
        inputs[peer] = np.full(LENGTH, PARAMS.scale.x_max)
    result = opening(tmp_path, inputs).open(EFFECT)
    assert (result.status, result.vector) == ("discarded", None)
    assert not all(verdict.passed for verdict in result.verdicts)


def test_a_discarded_sum_leaves_the_model_as_it_is(tmp_path, monkeypatch) -> None:
    refused = Verdict(check="test", passed=False, detail="no", fatal=True)

    def refuse(*args, **kwargs):
        raise pipeline.SumRefusedError((refused,))

    monkeypatch.setattr(pipeline, "release", refuse)
    one = opening(tmp_path, vectors(), next_model=lambda mean: pytest.fail("made"))
    result = one.open(EFFECT)
    assert result.next_model_hash == one.model_hash
    assert result.vector is None


def test_the_mean_before_is_asked_for_when_the_sum_is_opened(tmp_path) -> None:
    asked: list[bool] = []

    def previous() -> Mean | None:
        asked.append(True)
        return None

    one = opening(tmp_path, vectors(), previous=previous)
    assert asked == []
    one.open(EFFECT)
    assert asked == [True]


def test_the_total_takes_4_bytes_a_coordinate_and_8_where_noise_comes(
    tmp_path,
) -> None:
    terms = NoiseTerms(
        mechanism="discrete-gaussian",
        noise_multiplier=1.0,
        adjacency="zero-out",
        delta=1e-5,
    )
    plain = opening(tmp_path, vectors())
    noised = dataclasses.replace(plain, params=dataclasses.replace(PARAMS, dp=terms))
    assert plain.total(EFFECT).dtype == np.int32
    assert noised.total(EFFECT).dtype == np.int64
    assert np.array_equal(plain.total(EFFECT), noised.total(EFFECT))


def test_a_noised_sum_is_released_as_its_seed_says(tmp_path) -> None:
    # In place in the opening, on a copy beside it: the same integers.
    terms = NoiseTerms(
        mechanism="discrete-gaussian",
        noise_multiplier=1.0,
        adjacency="zero-out",
        delta=1e-5,
    )
    params = dataclasses.replace(PARAMS, dp=terms)
    one = dataclasses.replace(opening(tmp_path, vectors()), params=params)
    result = one.open(EFFECT)
    view = pipeline.opened_sum(one.total(EFFECT), params, u3_count=len(PEERS))
    copied = pipeline.release(
        view, params, task_id="demo", sid=SID, seed=one.noise_seed, ledger=one.ledger
    )
    assert result.vector is not None
    blob = one.blobs.open(result.vector.hash)
    read = pipeline.released_vector(result, blob.read, params)
    assert np.array_equal(read.sum(), copied.vector)
    assert not np.array_equal(read.sum(), view.vector)
