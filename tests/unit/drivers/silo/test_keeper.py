import hashlib
from dataclasses import replace
from unittest import mock

import pytest

from secagg import codec, errors, events
from secagg.client_state import TaskMemory
from secagg.consortium import Consortium
from secagg.differences import SummedSet
from secagg.drivers.silo.keeper import Keeper
from secagg.drivers.silo.store import MemoryStore
from secagg.messages import NoiseTerms, Result
from secagg.names import SessionId
from secagg.task import Task
from tests.drivers.fake_clock import FakeClock
from tests.samples import first_manifest

CONSORTIUM = Consortium.of(4, b"keeper")
PEERS = tuple(sorted(CONSORTIUM.silos))
NOISE = NoiseTerms(
    mechanism="discrete-gaussian",
    noise_multiplier=2.0,
    adjacency="zero-out",
    delta=1e-5,
)


def keeper():
    store = MemoryStore()
    return Keeper(store, FakeClock(now_ms=1234)), store


def test_a_new_silo_remembers_nothing() -> None:
    one, _ = keeper()
    assert one.remembered("demo", 1) == TaskMemory()


def test_marks_are_remembered_by_the_next_machine() -> None:
    """Rule 9-2."""
    one, _ = keeper()
    one.persist(events.PersistJoined(task_id="demo", round_no=3, attempt=2))
    one.persist(events.PersistSpent(task_id="demo", round_no=3))
    one.persist(events.PersistHead(task_id="demo", head=bytes([1]) * 32))
    assert one.remembered("demo", 3) == TaskMemory(
        last_joined=(3, 2), head=bytes([1]) * 32, spent_round=3
    )


def test_an_update_spent_in_one_round_is_not_in_another() -> None:
    one, _ = keeper()
    one.persist(events.PersistSpent(task_id="demo", round_no=3))
    assert one.remembered("demo", 4).spent_round == 0


@pytest.mark.parametrize("dp", [None, NOISE])
def test_a_receipt_says_what_the_data_went_into_and_a_cost_if_there_was_noise(
    dp,
) -> None:
    """Whatever the aggregator writes: by the cost the account is judged later."""
    one, store = keeper()
    result = Result(
        status="discarded",
        u3=PEERS[:3],
        verdicts=(),
        dp=None,
        extras=(),
        vector=None,
        next_model_hash=None,
        epsilon=0.25,
    )
    manifest = first_manifest(
        CONSORTIUM, Task(task_id="demo", length=5, clip=1.0, dp=dp), round_no=2
    )
    sid = SessionId(bytes([5]) * 32)
    one.record(
        events.Completed(
            sid=sid, manifest=manifest, result=result, link=bytes(32), sets={}
        )
    )
    (receipt,) = store.receipts("demo")
    assert (receipt.round_no, receipt.sid, receipt.at_ms) == (2, sid, 1234)
    assert receipt.u3 == PEERS[:3]
    assert receipt.epsilon == (None if dp is None else 0.25)
    assert receipt.result_hash == hashlib.sha256(codec.encode_body(result)).digest()


def test_a_charge_and_a_set_are_remembered_by_the_next_machine() -> None:
    """Rules 4.5-8 and 4.1-5: both outlive the process."""
    one, store = keeper()
    summed = SummedSet(frozenset(PEERS), bytes(32), constants=True)
    one.persist(events.PersistSpent(task_id="demo", round_no=3, noise=NOISE))
    one.persist(events.PersistSummed(task_id="demo", summed=summed))
    for task in ("demo", "another-name-for-it"):
        after = Keeper(store, FakeClock()).remembered(task, 4)
        assert (after.charges, after.sums) == ((NOISE,), (summed,))


def test_a_charge_is_never_left_without_the_mark_that_ends_the_round() -> None:
    """It would stand for the release of a later attempt that has less noise."""
    one, store = keeper()
    spent = events.PersistSpent(task_id="demo", round_no=3, noise=NOISE)
    with (
        mock.patch.object(store, "record_spent", side_effect=errors.StateError("cut")),
        pytest.raises(errors.StateError),
    ):
        one.persist(spent)
    assert store.past.charges() == ()
    one.persist(replace(spent, noise=replace(NOISE, noise_multiplier=0.5)))
    assert [noise.noise_multiplier for noise in store.past.charges()] == [0.5]
