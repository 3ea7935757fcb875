"""The roster goes on while an aggregator runs, or between two of its runs. Spec 2.1, 8.

A session ends under the version it began with, and the next one names the newest.
"""

import asyncio
import dataclasses

import pytest

from secagg import errors
from secagg.crypto.sign import SigningKey
from secagg.drivers import progress
from secagg.drivers.roster_book import RosterBook
from secagg.entropy import SeededEntropy
from secagg.identity import Identity
from secagg.roster_chain import RosterChain
from tests.drivers.test_restarts import STOPS, reaches, started, stopped_at
from tests.drivers.world import PATIENCE_SECONDS, World, error_of

KEY = SigningKey(bytes([4]) * 32)


class RosterWorld(World):
    """A world in which everybody keeps a book of the roster.

    Attributes:
        one: the first version: everybody but the last hospital.
        keys: the identities that are used instead of the consortium's.
    """

    def __init__(self, count: int) -> None:
        super().__init__(count, "memory")
        self.members = {m.id: m for m in self.consortium.roster.members}
        self.newcomer = self.peers[-1]
        first = [m for m in self.members.values() if m.id != self.newcomer]
        self.one = RosterChain.founded("rosters", first, KEY)
        self.book = RosterBook(self.one)
        self.books: dict[str, RosterBook] = {}

    def settings(self, **changes):
        return super().settings(**{"roster": self.book, **changes})

    def silo(self, peer, **changes):
        book = self.books.setdefault(peer, RosterBook(self.one))
        return super().silo(peer, **{"roster": book, **changes})

    def after(self, chain, *, add=(), gone=(), key_of=None):
        """The chain with a version more."""
        members = {m.id: m for m in chain.newest.members if m.id not in gone}
        members |= {peer: self.members[peer] for peer in add}
        if key_of is not None:
            old, public = members[key_of.id], key_of.key.public
            members[key_of.id] = dataclasses.replace(old, key=public)
        return chain.followed_by(members.values(), KEY)

    def pinned(self, version):
        """How many clients were told of a version."""
        return {
            peer
            for peer, seen in self.silo_events.items()
            for event in seen
            if isinstance(event, progress.RosterPinned) and event.version == version
        }


def next_identity(world) -> Identity:
    """The aggregator's identity with another key."""
    return Identity.generate(world.consortium.aggregator.id, SeededEntropy(b"next"))


def once(matches, action):
    """Do something at the first event that matches."""
    left = [action]

    def watch(event) -> None:
        if left and matches(event):
            left.pop()()

    return watch


@pytest.mark.parametrize(
    "phase", ["share_keys", "masked_input", "consistency", "unmasking"]
)
async def test_a_session_ends_under_its_own_roster_and_the_next_has_the_new(
    phase,
) -> None:
    world = RosterWorld(6)
    *stay, leaves, enters = world.peers
    two = world.after(world.one, add=[enters], gone=[leaves])
    taken: list[bool] = []
    async with world.serve() as aggregator, world.silos(*stay, leaves) as silos:
        take = aggregator.take_roster
        world.watchers.append(
            once(reaches(phase), lambda: taken.append(take(two.versions)))
        )
        first, _ = await world.round(aggregator, silos)
        assert taken == [True]
        assert first.sets["u5"] == (*stay, leaves)
        assert error_of(first, world.plain_mean((*stay, leaves))) < 1
        del silos[leaves]
        async with world.silos(enters) as more:
            second, _ = await world.round(aggregator, silos | more)
    assert second.sets["u5"] == (*stay, enters)
    assert error_of(second, world.plain_mean((*stay, enters))) < 1
    assert world.pinned(2) >= {*stay, enters}


async def test_a_roster_of_before_a_session_is_that_sessions() -> None:
    world = RosterWorld(5)
    async with world.serve() as aggregator:
        two = world.after(world.one, add=[world.newcomer])
        assert aggregator.take_roster(two.versions)
        assert not aggregator.take_roster(two.versions)
        assert not aggregator.take_roster(world.one.versions)
        async with world.silos() as silos:
            outcome, _ = await world.round(aggregator, silos)
    assert outcome.sets["u5"] == tuple(world.peers)


async def test_8_9_who_is_taken_out_while_ready_learns_it_and_holds_nobody_up() -> None:
    world = RosterWorld(6)
    *stay, leaves, enters = world.peers
    two = world.after(world.one, gone=[leaves])
    async with world.serve() as aggregator, world.silos(*stay, leaves) as silos:
        ready = lambda event: (  # noqa: E731
            isinstance(event, progress.PeerReady) and event.peer == leaves
        )
        take = aggregator.take_roster
        world.watchers.append(once(ready, lambda: take(two.versions)))
        world.away = {leaves}
        outcome, means = await world.round(aggregator, silos)
    assert enters not in outcome.sets["u0"]
    assert outcome.sets["u5"] == tuple(stay)
    assert isinstance(means[leaves], errors.NotEnrolled)
    assert "revoked it after version 1" in str(means[leaves])


async def test_2_1_5_a_fork_is_refused_and_the_session_goes_on() -> None:
    world = RosterWorld(5)
    *stay, enters = world.peers
    two = world.after(world.one, add=[enters])
    fork = world.after(world.one, gone=[stay[0]])
    async with world.serve() as aggregator, world.silos(*stay) as silos:
        aggregator.take_roster(two.versions)
        refused: list[str] = []

        def take() -> None:
            with pytest.raises(errors.RemoteProtocolError) as caught:
                aggregator.take_roster(fork.versions)
            refused.append(caught.value.rule)

        world.watchers.append(once(reaches("masked_input"), take))
        async with world.silos(enters) as more:
            outcome, _ = await world.round(aggregator, silos | more)
    assert refused == ["2.1-5"]
    assert outcome.sets["u5"] == tuple(world.peers)
    assert world.book.newest == two.newest


async def test_a_roster_with_another_key_of_the_aggregator_waits_for_a_restart() -> (
    None
):
    world = RosterWorld(5)
    two = world.after(world.one, key_of=next_identity(world))
    aggregator_id = world.consortium.aggregator.id
    async with world.serve() as aggregator, world.silos(*world.peers[:4]) as silos:
        told = f"which has the key {two.newest.fingerprint(aggregator_id)} for it"
        with pytest.raises(errors.ConnectionRefused, match=told):
            aggregator.take_roster(two.versions)
        outcome, _ = await world.round(aggregator, silos)
    assert world.book.newest == world.one.newest
    assert outcome.sets["u5"] == tuple(world.peers[:4])


async def test_2_1_2_anothers_roster_is_told_from_one_without_this_aggregator() -> None:
    """Whatever it says of the aggregator, the consortium did not sign it."""
    world = RosterWorld(5)
    hospitals = [world.members[peer] for peer in world.peers]
    other = RosterChain.founded("another", hospitals, SigningKey(bytes([5]) * 32))
    async with world.serve() as aggregator:
        with pytest.raises(errors.RemoteProtocolError) as caught:
            aggregator.take_roster(other.versions)
    assert caught.value.rule == "2.1-2"


# --- a roster that went on between two runs of the aggregator


def begun(world):
    """The sessions that began, in order."""
    found = [e.sid for e in world.events if isinstance(e, progress.SessionBegan)]
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("stop", ["share_keys", "mid_upload", "unmasking"])
async def test_a_restart_with_a_newer_roster_ends_the_session_under_its_own(
    tmp_path, stop
) -> None:
    world = RosterWorld(5)
    silos = tuple(world.peers[:-1])
    async with stopped_at(world, STOPS[stop], tmp_path, world.peers[:-1]) as (_, work):
        sessions = begun(world)
        world.book.pin(world.after(world.one, add=[world.newcomer]).versions)
        async with world.serve(state=tmp_path) as second:
            async with asyncio.timeout(PATIENCE_SECONDS):
                outcome = await second.run_round()
                await asyncio.gather(*work.values())
    assert sessions == [outcome.sid]
    assert outcome.sets["u5"] == silos
    assert error_of(outcome, world.plain_mean(silos)) < 1


@pytest.mark.parametrize("stop", ["share_keys", "masked_input", "unmasking"])
async def test_4_7_6_a_restart_with_another_key_abandons_the_session(
    tmp_path, stop
) -> None:
    world, (*silos, _) = RosterWorld(5), World(5, "memory").peers
    identity = next_identity(world)
    async with stopped_at(world, STOPS[stop], tmp_path, world.peers[:-1]) as (
        here,
        work,
    ):
        world.book.pin(world.after(world.one, key_of=identity).versions)
        async with world.serve(state=tmp_path, identity=identity) as second:
            assert second.open_round is None
            async with asyncio.timeout(PATIENCE_SECONDS):
                ended = asyncio.gather(*work.values())
                running = asyncio.create_task(second.run_round())
                ends = await ended
                assert {type(end) for end in ends} == {errors.RoundMissed}
                again = started(world, here)
                outcome = await running
                await asyncio.gather(*again.values())
    assert outcome.round_no == 2
    assert outcome.sets["u5"] == tuple(silos)
    assert error_of(outcome, world.plain_mean(silos)) < 1


async def test_4_8_4_a_chain_that_spans_an_aggregators_keys_is_walked(tmp_path) -> None:
    """Who was away for the round of the old key, and has only the first roster."""
    world = RosterWorld(6)
    *stay, away, enters = world.peers
    async with world.serve(state=tmp_path) as aggregator, world.silos(*stay) as silos:
        world.away = {away}
        first, _ = await world.round(aggregator, silos)
    identity = next_identity(world)
    two = world.after(world.one, add=[enters], key_of=identity)
    world.book.pin(two.versions)
    world.away = set()
    async with world.serve(state=tmp_path, identity=identity) as second:
        assert second.last_outcome is not None
        assert second.last_outcome.link == first.link
        async with world.silos() as silos:
            outcome, _ = await world.round(second, silos)
    assert outcome.round_no == 2
    assert outcome.sets["u5"] == tuple(world.peers)
