import asyncio

from secagg.drivers import progress
from secagg.drivers.aggregator.gathering import Gathering
from secagg.messages import Ready
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
