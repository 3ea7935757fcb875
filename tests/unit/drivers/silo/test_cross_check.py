"""secagg.drivers.silo.cross_check: an account that contradicts itself (9-5)."""

import pytest

from secagg import errors
from secagg.drivers.silo.cross_check import check_account
from secagg.drivers.silo.forgotten import accept_loss
from secagg.drivers.silo.store import MemoryStore, Receipt
from secagg.messages import NoiseTerms
from secagg.names import PeerId, SessionId
from secagg.privacy.ledger import Budget
from tests.drivers.world import World
from tests.samples import blob

ME, OTHER = PeerId("bern"), PeerId("zug")
NOISE = NoiseTerms(
    mechanism="discrete-gaussian",
    noise_multiplier=1.5,
    adjacency="zero-out",
    delta=1e-5,
)


def take_part(store, round_no, *, task="icu", u3=(ME, OTHER), epsilon=0.5, charge=True):
    """What is kept of a round whose update was spent."""
    store.record_joined(task, round_no, 1)
    store.record_spent(task, round_no)
    if charge and epsilon is not None:
        store.past.record_charge(task, round_no, NOISE)
    receipt = Receipt(
        task_id=task,
        round_no=round_no,
        sid=SessionId(blob(round_no)),
        u3=u3,
        result_hash=blob(1),
        epsilon=epsilon,
        at_ms=1,
    )
    store.record_receipt(receipt)


def test_9_5_what_rounds_leave_behind_is_sound(store) -> None:
    check_account(store, ME)
    take_part(store, 1)
    take_part(store, 2, epsilon=None)
    take_part(store, 3, task="ward", u3=(OTHER,), charge=False)
    check_account(store, ME)


def test_9_5_at_every_cut_of_a_round_the_account_is_sound(store) -> None:
    store.record_joined("icu", 1, 1)
    check_account(store, ME)
    store.record_spent("icu", 1)
    check_account(store, ME)
    store.past.record_charge("icu", 1, NOISE)
    check_account(store, ME)


def test_9_5_a_sum_that_was_not_charged_is_damage(store) -> None:
    take_part(store, 1)
    take_part(store, 7, task="ward", charge=False)
    with pytest.raises(errors.StateError) as caught:
        check_account(store, ME)
    assert "no charge for round 7 of task ward" in str(caught.value)
    assert "accept-loss" in str(caught.value)


def test_9_5_a_charge_of_a_round_that_was_not_joined_is_damage(store) -> None:
    take_part(store, 4)
    store.past.record_charge("icu", 5, NOISE)
    with pytest.raises(errors.StateError) as caught:
        check_account(store, ME)
    assert "a charge for round 5 of task icu" in str(caught.value)
    assert "joined is 4" in str(caught.value)


def test_9_5_charges_that_came_back_with_the_chain_are_sound(store) -> None:
    store.forgotten.note("icu", 6)
    accept_loss(store, "icu")
    for round_no in (2, 5, 6):
        store.past.record_charge("icu", round_no, NOISE)
    check_account(store, ME)


async def test_9_5_a_hospital_with_a_damaged_account_dials_nobody() -> None:
    world = World(4, "memory")
    peer = world.peers[0]
    damaged = MemoryStore()
    take_part(damaged, 1, u3=(peer,), charge=False)
    with pytest.raises(errors.StateError, match="privacy account in this process"):
        async with world.silo(peer, state=damaged):
            pass
    assert world.line(peer).dials == 0


async def test_9_5_after_rounds_with_noise_a_hospital_starts_again() -> None:
    world = World(4, "memory", dp=NOISE)
    budget = Budget(epsilon=50.0, delta=1e-5)
    async with world.serve(budget=budget) as aggregator, world.silos() as silos:
        await world.round(aggregator, silos)
    for peer in world.peers:
        assert world.stores[peer].past.charged() == {("demo", 1)}
        check_account(world.stores[peer], peer)
