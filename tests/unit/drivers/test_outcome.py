import dataclasses

import numpy as np
import pytest

from secagg import events, pipeline
from secagg.consortium import Consortium
from secagg.drivers import outcome
from secagg.drivers.outcome import LEFT_OUT, SILENT, Attempt, Loss, RoundRecord
from secagg.messages import BlobRef, Result
from secagg.names import Mean, PeerId, SessionId, VectorSum
from secagg.params import Parameters
from secagg.released import encoded
from secagg.task import Task
from tests.samples import first_manifest

CONSORTIUM = Consortium.of(4, b"outcome")
PEERS = tuple(sorted(CONSORTIUM.silos))


def manifest(**terms):
    return first_manifest(
        CONSORTIUM, Task(task_id="demo", **{"length": 3, "clip": 1.0, **terms})
    )


def result(**changes) -> Result:
    given = Result(
        status="released",
        u3=PEERS[:3],
        verdicts=(),
        dp=None,
        extras=(),
        vector=BlobRef(hash=bytes(32), size=12, width=4),
        next_model_hash=None,
        epsilon=None,
    )
    return dataclasses.replace(given, **changes)


def mean_of(said: Result, total: VectorSum, params: Parameters) -> Mean:
    data = b"".join(encoded(total, 4))

    def read(offset: int, size: int) -> bytes:
        return data[offset : offset + size]

    return pipeline.released_vector(said, read, params).mean()


def test_a_uniform_mean_divides_by_the_members_of_u3() -> None:
    params = Parameters.of(manifest())
    total = VectorSum(np.array([300, -300, 0], dtype=np.int64))
    mean = mean_of(result(), total, params)
    assert mean == pytest.approx(np.array([100, -100, 0]) / params.scale.s)


def test_a_weighted_mean_divides_by_the_sum_of_weights() -> None:
    params = Parameters.of(manifest(weighting="weighted", max_weight=10))
    total = VectorSum(np.array([50, 0, -50], dtype=np.int64))
    mean = mean_of(result(extras=(("weight", 5),)), total, params)
    assert mean == pytest.approx(np.array([100, 0, -100]) / params.scale.s)


@pytest.mark.parametrize("noised", [0, -7])
def test_a_weight_sum_that_noise_brought_to_nothing_counts_as_one(noised) -> None:
    params = Parameters.of(manifest(weighting="weighted", max_weight=10))
    total = VectorSum(np.array([1, 1, 1], dtype=np.int64))
    mean = mean_of(result(extras=(("weight", noised),)), total, params)
    assert mean == pytest.approx(np.full(3, 10) / params.scale.s)


def test_the_error_of_a_weighted_mean_is_stretched_by_w_max_over_the_mean_weight() -> (
    None
):
    uniform = Parameters.of(manifest())
    weighted = Parameters.of(manifest(weighting="weighted", max_weight=10))
    plain = outcome.error_of(result(), uniform)
    stretched = outcome.error_of(result(extras=(("weight", 15),)), weighted)
    assert stretched.worst == pytest.approx(2 * plain.worst)
    assert stretched.deviation == pytest.approx(2 * plain.deviation)


def test_a_member_is_lost_in_the_first_set_it_is_not_in() -> None:
    a, b, c, d = PEERS
    sets = {
        "u0": PEERS,
        "u1": (a, b, c),
        "u2": (a, b, c),
        "u3": (a, b),
        "u4": (a, b, c),
        "u5": (a,),
    }
    lost = outcome.losses(sets, {c: "rule 4.5-1: another root"})
    assert lost == {
        b: Loss(round="unmasking", reason=outcome.SILENT),
        c: Loss(round="masked_input", reason="rule 4.5-1: another root"),
        d: Loss(round="advertise_keys", reason=outcome.SILENT),
    }


def test_who_was_left_out_for_want_of_neighbours_was_not_silent() -> None:
    alone, silent = PeerId("a"), PeerId("b")
    sets = {"u0": (alone, silent), "u1": (alone, silent), "u3": (PeerId("c"),)}
    found = outcome.losses(sets, {}, {alone})
    assert found[alone] == Loss(round="masked_input", reason=LEFT_OUT)
    assert found[silent].reason == SILENT


def test_a_set_that_was_never_fixed_loses_nobody() -> None:
    sets = {"u0": PEERS, "u1": PEERS, "u2": (), "u3": (), "u4": (), "u5": ()}
    assert outcome.losses(sets, {}) == {}


def test_a_failed_attempt_keeps_who_was_missing() -> None:
    aborted = events.Aborted(
        sid=SessionId(bytes(32)),
        code="4.2-4",
        detail="too few",
        retry=True,
        missing=(PEERS[0],),
        culprits=(PEERS[1],),
    )
    sets, dropped = {"u0": PEERS, "u1": PEERS[1:]}, {PEERS[0]: "rule 4.1-5: no"}
    attempt = outcome.failed_attempt(aborted, manifest(), sets=sets, dropped=dropped)
    assert (attempt.sets, attempt.dropped) == (sets, dropped)
    assert (attempt.attempt, attempt.code) == (1, "4.2-4")
    assert (attempt.missing, attempt.culprits) == ((PEERS[0],), (PEERS[1],))


@pytest.mark.parametrize("released", [True, False])
def test_a_silos_record_has_an_error_bound_if_there_is_a_mean(released) -> None:
    terms = manifest()
    given = result() if released else result(status="discarded", vector=None)
    completed = events.Completed(
        sid=SessionId(bytes(32)),
        manifest=terms,
        result=given,
        link=bytes([1]) * 32,
        sets={"u0": PEERS},
        included=False,
    )
    attempts: tuple[Attempt, ...] = ()
    record = RoundRecord.of(completed, Parameters.of(terms), attempts)
    assert (record.round_no, record.included) == (1, False)
    assert (record.error is not None) is released
    assert record.link == bytes([1]) * 32


def test_an_outcome_says_whether_it_was_released_and_shows_no_vector() -> None:
    shown = {
        field.name for field in dataclasses.fields(outcome.RoundOutcome) if field.repr
    }
    assert not {"mean", "sum"} & shown
