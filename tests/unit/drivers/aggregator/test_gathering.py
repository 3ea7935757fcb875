import asyncio

import pytest

from secagg import errors
from secagg.drivers import progress
from secagg.drivers.aggregator.gathering import Gathering
from secagg.messages import Declined, Ready
from secagg.names import PeerId
from tests.drivers.fake_clock import FakeClock

A, B, C, D = (PeerId(name) for name in "abcd")


def ready(nonce: int = 1) -> Ready:
    return Ready(
        task_id="demo",
        round_no=1,
        model_hash=bytes(32),
        ready_nonce=bytes([nonce]) * 32,
    )


def gathering():
    events: list[progress.Progress] = []
    clock = FakeClock()
    return Gathering(events.append), clock, events


def wait(one, clock, *, patient=True, least=2):
    return asyncio.create_task(
        one.wait(
            expected=frozenset({A, B, C}),
            least=least,
            clock=clock,
            seconds=60,
            patient=patient,
        )
    )


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_the_wait_ends_once_all_expected_are_ready() -> None:
    one, clock, _ = gathering()
    waiting = wait(one, clock)
    for peer in (A, B):
        one.add(peer, ready())
    await settle()
    assert not waiting.done()
    one.add(C, ready())
    assert await waiting


@pytest.mark.parametrize("late", [False, True])
async def test_a_disk_that_fails_ends_the_wait(late) -> None:
    one, clock, _ = gathering()
    waiting = wait(one, clock)
    await settle()
    if late:
        clock.expire()
        await settle()
    one.fail(errors.StateError("the disk is full"))
    with pytest.raises(errors.StateError, match="the disk is full"):
        await waiting


async def test_at_the_deadline_enough_may_go_on() -> None:
    one, clock, _ = gathering()
    waiting = wait(one, clock)
    for peer in (A, D):
        one.add(peer, ready())
    await settle()
    clock.expire()
    assert await waiting


async def test_with_too_few_at_the_deadline_a_patient_wait_goes_on() -> None:
    one, clock, events = gathering()
    waiting = wait(one, clock)
    one.add(A, ready())
    await settle()
    clock.expire()
    await settle()
    assert not waiting.done()
    assert events[-1] == progress.RoundLate(ready=(A,), needed=1)
    one.add(B, ready())
    assert await waiting


async def test_with_too_few_at_the_deadline_another_wait_gives_up() -> None:
    one, clock, _ = gathering()
    waiting = wait(one, clock, patient=False)
    one.add(A, ready())
    await settle()
    clock.expire()
    assert not await waiting


async def test_another_wait_gives_up_at_once_if_nobody_is_expected() -> None:
    one, clock, _ = gathering()
    one.add(A, ready())
    ended = await one.wait(
        expected=frozenset(), least=2, clock=clock, seconds=60, patient=False
    )
    assert not ended


async def test_a_new_process_of_a_silo_replaces_its_nonce() -> None:
    one, _, _ = gathering()
    one.add(A, ready(1))
    one.add(A, ready(2))
    assert one.ready == {A: bytes([2]) * 32}


async def test_who_was_silent_is_forgotten_until_it_is_ready_again() -> None:
    one, _, _ = gathering()
    one.add(A, ready())
    one.remove([A, B])
    assert not one.ready


async def test_who_kept_its_coin_is_out_of_the_round_whatever_it_says() -> None:
    one, _, events = gathering()
    one.add(A, ready())
    one.add(B, ready())
    one.bar([B])
    seen = len(events)
    one.add(B, ready(2))
    assert set(one.ready) == {A}
    assert one.barred == {B}
    assert len(events) == seen


async def test_who_is_waited_for_is_said_with_every_ready() -> None:
    one, clock, events = gathering()
    waiting = wait(one, clock)
    await settle()
    one.add(B, ready())
    assert events == [progress.PeerReady(peer=B, waiting_for=(A, C))]
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


def declined(detail="n = 4 is below min_members 5") -> Declined:
    return Declined(task_id="demo", round_no=1, rule="4.1-5", detail=detail)


async def test_8_10_who_declines_is_waited_for_no_longer() -> None:
    one, clock, events = gathering()
    waiting = wait(one, clock)
    one.add(A, ready())
    one.add(B, ready())
    await settle()
    assert not waiting.done()
    one.decline(C, declined())
    assert await waiting
    assert events[-1] == progress.PeerDeclined(
        peer=C,
        round_no=1,
        rule="4.1-5",
        detail="n = 4 is below min_members 5",
        waiting_for=(),
    )


async def test_8_10_who_declines_again_is_not_told_of_again() -> None:
    one, _, events = gathering()
    for number in range(50):
        one.decline(A, declined(f"detail {number}"))
    assert len(events) == 1


async def test_8_10_a_ready_after_a_declined_counts_and_the_other_way_round() -> None:
    one, clock, events = gathering()
    waiting = wait(one, clock)
    await settle()
    one.decline(A, declined())
    one.add(A, ready())
    assert set(one.ready) == {A}
    assert events[-1] == progress.PeerReady(peer=A, waiting_for=(B, C))
    one.decline(A, declined())
    assert not one.ready
    for peer in (B, C):
        one.add(peer, ready())
    assert await waiting


async def test_8_10_with_all_declined_another_wait_gives_up_at_once() -> None:
    one, clock, _ = gathering()
    waiting = wait(one, clock, patient=False)
    await settle()
    for peer in (A, B, C):
        one.decline(peer, declined())
    assert not await waiting


async def test_8_10_with_too_few_left_a_patient_wait_goes_on() -> None:
    """A person has to mend something, and the hospital comes back by itself."""
    one, clock, _ = gathering()
    waiting = wait(one, clock)
    for peer in (A, B):
        one.decline(peer, declined())
    one.add(C, ready())
    await settle()
    assert not waiting.done()
    one.add(A, ready())
    assert await waiting


async def test_who_is_barred_is_not_waited_for_though_it_is_expected() -> None:
    one, clock, _ = gathering()
    one.bar([C])
    waiting = wait(one, clock)
    for peer in (A, B):
        one.add(peer, ready())
    assert await waiting
