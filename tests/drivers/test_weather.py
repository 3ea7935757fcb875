"""Each frame of a session hit once: nobody is lost, and the sum is exact.

The four silos of a session have the four weathers at the same place: for one the line
is cut with the frame, for one right after it, for one the frame comes twice, and for
one late.
"""

import asyncio
import functools

import pytest

from secagg import errors
from secagg.drivers import progress
from tests.drivers.weather import DOWN, UP, Act, Weather, Weathered
from tests.drivers.world import World, error_of, is_mean_of, record_of

SAID = {
    UP: (
        *("Hello", "Ready", "AdvertiseKeys", "ShareKeys", "ShareAck"),
        *("ChunkFrame", "ChunkFrame", "ChunkFrame", "ChunkFrame"),
        *("MaskedInput", "Consistency", "Unmasking", "Fetch"),
    ),
    DOWN: (
        *("Challenge", "Welcome", "RoundOpen", "Manifest", "KeyList", "DealtShares"),
        *("DealerList", "InputList", "Certificate", "Result", "BlobFrame"),
    ),
}
"""The frames of one hospital's session, in order."""

PLACES = [(way, place) for way in SAID for place in range(len(SAID[way]))]

LAST_CHUNK = (UP, SAID[UP].index("MaskedInput") - 1)

BREACHES = {(Act.TWICE, (DOWN, 0)), (Act.LATE, LAST_CHUNK)}
"""A second Challenge, and a root before its last chunk: rules 8-1 and 4.5-1."""


def weathered(world, weathers):
    """Put the lines of a world's silos into a weather each."""
    for peer, weather in zip(world.peers, weathers, strict=True):
        world.line(peer).around = functools.partial(Weathered, weather=weather)


async def session(weathers):
    """One round of four in these weathers; what came of it."""
    world = World(4, "memory")
    weathered(world, weathers)
    async with world.serve() as aggregator, world.silos() as silos:
        outcome, means = await world.round(aggregator, silos)
        records = [record_of(silo) for silo in silos.values()]
    return world, outcome, means, records


async def test_a_session_says_what_these_tests_think_it_says() -> None:
    weathers = [Weather() for _ in range(4)]
    await session(weathers)
    for weather in weathers:
        assert {way: tuple(weather.seen[way]) for way in SAID} == SAID


@pytest.mark.parametrize(
    "place", PLACES, ids=[f"{way}-{at}-{SAID[way][at]}" for way, at in PLACES]
)
async def test_weather_at_any_frame_loses_nobody(place) -> None:
    way, at = place
    acts = [act if (act, place) not in BREACHES else Act.LOST for act in Act]
    weathers = [Weather(way, at, act) for act in acts]
    world, outcome, means, records = await session(weathers)
    assert all(weather.struck for weather in weathers)
    assert not outcome.lost
    assert outcome.attempts == ()
    assert outcome.sets["u5"] == tuple(world.peers)
    assert error_of(outcome, world.plain_mean(world.peers)) < 1
    for peer, record in zip(world.peers, records, strict=True):
        assert record.included
        assert is_mean_of(outcome, means[peer])


async def test_a_root_that_overtakes_its_last_chunk_costs_its_own_silo_alone() -> None:
    """Rule 4.5-1: chunks and root have one order, whatever the transport did."""
    world = World(4, "memory")
    bold = world.peers[0]
    world.lost = {bold}
    way, at = LAST_CHUNK
    weather = Weather(way, at, Act.LATE)
    weathered(world, [weather, *(Weather() for _ in range(3))])
    async with world.serve() as aggregator, world.silos() as silos:
        outcome, _ = await world.round(aggregator, silos)
    [dropped] = [e for e in world.events if isinstance(e, progress.PeerDropped)]
    assert (dropped.peer, dropped.rule) == (bold, "4.5-1")
    stayed = world.peers[1:]
    assert outcome.sets["u3"] == tuple(stayed)
    assert error_of(outcome, world.plain_mean(stayed)) < 1


async def test_a_second_challenge_is_no_handshake() -> None:
    """Rule 8-1."""
    world = World(4, "memory")
    peer = world.peers[0]
    weathered(world, [Weather(DOWN, 0, Act.TWICE), *(Weather() for _ in range(3))])
    async with world.serve(), asyncio.timeout(6):
        with pytest.raises(errors.ConnectionRefused, match="8-1"):
            async with world.silo(peer):
                raise AssertionError("it took a second Challenge")
