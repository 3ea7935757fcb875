"""secagg.drivers.wire.doorkeeper: few stand at the door, and not for long (8-7)."""

import asyncio
import contextlib
import socket

import pytest

from secagg.drivers.wire import doorkeeper
from secagg.drivers.wire.doorkeeper import PER_TURN, Doorkeeper, GuardedSocket, bound
from tests.drivers.fake_clock import until


@pytest.fixture
def pairs():
    """Makes connected pairs of sockets, and closes them."""
    with contextlib.ExitStack() as stack:

        def make() -> tuple[socket.socket, socket.socket]:
            ours, theirs = socket.socketpair()
            theirs.setblocking(False)
            return stack.enter_context(ours), stack.enter_context(theirs)

        yield make


def is_cut(theirs: socket.socket) -> bool:
    try:
        return theirs.recv(1) == b""
    except BlockingIOError:
        return False


async def test_beyond_the_places_the_oldest_of_an_address_makes_room(pairs) -> None:
    keeper = Doorkeeper(3)
    ends = []
    for port in range(5):
        ours, theirs = pairs()
        keeper.took(ours, ("10.0.0.1", port))
        ends.append(theirs)
    assert [is_cut(end) for end in ends] == [True, True, False, False, False]
    assert (keeper.unproved, keeper.turned_away) == (3, 2)
    keeper.close()


async def test_a_flood_from_one_address_pushes_out_its_own(pairs) -> None:
    keeper = Doorkeeper(4)
    ours, honest = pairs()
    keeper.took(ours, ("10.0.0.2", 1))
    flood = []
    for port in range(20):
        ours, theirs = pairs()
        keeper.took(ours, ("10.0.0.1", port))
        flood.append(theirs)
    assert not is_cut(honest)
    assert sum(map(is_cut, flood)) == 17
    keeper.close()


async def test_who_showed_a_certificate_stays_where_strangers_of_its_address_flood(
    pairs,
) -> None:
    keeper = Doorkeeper(2)
    ours, hospital = pairs()
    keeper.took(ours, ("10.0.0.1", 1))
    keeper.showed(("10.0.0.1", 1), "bern")
    flood = []
    for port in range(2, 22):
        ours, theirs = pairs()
        keeper.took(ours, ("10.0.0.1", port))
        flood.append(theirs)
    assert not is_cut(hospital)
    assert [is_cut(end) for end in flood] == [True] * 19 + [False]
    keeper.close()


async def test_an_issuer_keeps_one_place_and_its_newest_connection_has_it(
    pairs,
) -> None:
    """So one captured key does not take the places of those who have to greet yet."""
    keeper = Doorkeeper(3)
    ends = []
    for port in range(3):
        ours, theirs = pairs()
        keeper.took(ours, ("10.0.0.1", port))
        keeper.showed(("10.0.0.1", port), "bern")
        ends.append(theirs)
    for port in range(3, 6):
        ours, theirs = pairs()
        keeper.took(ours, ("10.0.0.1", port))
        ends.append(theirs)
    assert [is_cut(end) for end in ends] == [True, True, False, True, False, False]
    keeper.close()


async def test_where_all_have_shown_one_the_oldest_makes_room(pairs) -> None:
    """Nobody is kept out, not even by all the others of the roster."""
    keeper = Doorkeeper(2)
    ends = []
    for port, issuer in enumerate(("bern", "zug")):
        ours, theirs = pairs()
        keeper.took(ours, ("10.0.0.1", port))
        keeper.showed(("10.0.0.1", port), issuer)
        ends.append(theirs)
    ours, theirs = pairs()
    keeper.took(ours, ("10.0.0.1", 2))
    assert [is_cut(end) for end in [*ends, theirs]] == [True, False, False]
    keeper.close()


async def test_who_showed_a_certificate_after_it_was_cut_has_no_place(pairs) -> None:
    keeper = Doorkeeper(1)
    keeper.showed(("10.0.0.1", 1), "bern")
    assert keeper.unproved == 0


async def test_who_has_proved_itself_is_not_counted_and_not_cut(pairs) -> None:
    keeper = Doorkeeper(1, seconds=0.0)
    ours, theirs = pairs()
    keeper.took(ours, ("10.0.0.1", 1))
    keeper.proved(("10.0.0.1", 1))
    other, late = pairs()
    keeper.took(other, ("10.0.0.1", 2))
    await until(lambda: is_cut(late))
    assert not is_cut(theirs)
    assert keeper.unproved == 0


async def test_who_is_not_proved_in_time_is_cut(pairs) -> None:
    keeper = Doorkeeper(2, seconds=0.0)
    ours, theirs = pairs()
    keeper.took(ours, ("10.0.0.1", 1))
    await until(lambda: is_cut(theirs))
    assert keeper.turned_away == 1


async def test_one_that_left_holds_no_place(pairs) -> None:
    keeper = Doorkeeper(1)
    ours, _ = pairs()
    keeper.took(ours, ("10.0.0.1", 1))
    ours.close()
    assert keeper.unproved == 0
    assert keeper.turned_away == 0


async def test_a_turn_of_the_loop_takes_so_many_and_the_next_one_more() -> None:
    keeper = Doorkeeper()
    assert [keeper.may_take() for _ in range(PER_TURN + 2)] == (
        [True] * PER_TURN + [False] * 2
    )
    await asyncio.sleep(0)
    assert keeper.may_take()


async def test_what_is_not_taken_waits_in_the_kernel(monkeypatch) -> None:
    monkeypatch.setattr(doorkeeper, "PER_TURN", 1)
    keeper = Doorkeeper()
    with contextlib.ExitStack() as stack:
        [listening] = stack.enter_context(bound("127.0.0.1", 0, keeper))
        assert isinstance(listening, GuardedSocket)
        for _ in range(2):
            stack.enter_context(socket.create_connection(listening.getsockname()))
        stack.enter_context(listening.accept()[0])
        with pytest.raises(BlockingIOError):
            listening.accept()
        await asyncio.sleep(0)
        stack.enter_context(listening.accept()[0])
        assert keeper.unproved == 2
    keeper.close()


async def test_every_address_of_a_host_has_the_same_port() -> None:
    with bound("localhost", 0, Doorkeeper()) as sockets:
        assert len({one.getsockname()[1] for one in sockets}) == 1


async def test_a_port_that_is_taken_is_an_error_of_the_system() -> None:
    with (
        bound("127.0.0.1", 0, Doorkeeper()) as [one],
        pytest.raises(OSError, match="in use"),
        bound("127.0.0.1", one.getsockname()[1], Doorkeeper()),
    ):
        pass
