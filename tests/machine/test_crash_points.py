"""Either side dies between any two effects, comes back, and is lied to.

Whatever was carried out before, no invariant of `tests.invariants` breaks over all
lives of a hospital together: never both kinds of share, never two masked inputs under
one mask, never two votes. And the aggregator's session goes on to the exact sum.
"""

import functools
from dataclasses import replace

import pytest

from secagg import errors, events
from secagg import messages as msg
from secagg.alike import carried_out_by
from secagg.client_state import Released, TaskMemory, transcript_of
from secagg.cohort import Carried
from secagg.simulation.meter import SharedWork
from tests.helpers import AGGREGATOR, assert_exact, scene, silo
from tests.invariants import check_all
from tests.machine.crashes import ME, ClientCrash, ServerCrash
from tests.machine.moves import SPARSE
from tests.samples import blob

WORLDS = {"complete": {"n": 4, "c": 1}, "regular": {**SPARSE, "m": 1}}
CORRUPT = silo(4)


def cuts(counts):
    """Every place between two effects: the event, and how many effects happened."""
    return [(k, j) for k, count in enumerate(counts) for j in range(count + 1)]


# --- a client


def without_results(carried):
    """An aggregator that keeps every Result: its chain does not grow, for anybody."""
    return () if carried.envelope.type == "Result" else (carried,)


def lied_to(world, **crash):
    """A session in which ME dies, and then all that a malicious aggregator can try."""
    crashed = ClientCrash(scene(**WORLDS[world], network=without_results), **crash)
    first = crashed.world
    with carried_out_by(SharedWork()):
        first.run()
        crashed.repeat_all()
        for round_no, attempt in ((1, 1), (1, 2), (2, 1)):
            give_up(first)
            crashed.get_ready(round_no)
            crashed.repeat_all()
            offer(crashed, round_no, attempt)
    return crashed


def give_up(world):
    """Let the others wait no longer for a Result: they are free for the next round."""
    waiting = [c for c in world.clients.values() if c.phase == "released"]
    for client in waiting:
        client.handle(events.Stopped(code="0-1", reason="no result came"))


def offer(crashed, round_no, attempt):
    """A further session, of all that are ready; it may come to nothing."""
    try:
        following = crashed.world.next_session(round_no=round_no, attempt=attempt)
    except errors.SecaggError:
        return
    crashed.follow(following).run()
    crashed.repeat_all()


def harm(crashed):
    """Check I1 to I8 over all lives."""
    consortium = crashed.world.consortium
    check_all(
        crashed.witnesses(), consortium.roster, crashed.world.task.corruption_bound
    )


@functools.cache
def client_cuts(world):
    """Where a client can die in the first session of a run."""
    crashed = ClientCrash(scene(**WORLDS[world], network=without_results))
    crashed.world.run()
    return cuts(crashed.counts)


CLIENT_CUTS = [(w, *cut) for w in WORLDS for cut in client_cuts(w)]


@pytest.mark.parametrize(("world", "event", "effect"), CLIENT_CUTS)
def test_a_client_that_dies_anywhere_does_no_harm_in_its_next_life(
    world, event, effect
) -> None:
    """Rules 4.1-6, 4.1-8, 4.1-9, 9-1 and 9-2."""
    crashed = lied_to(world, event=event, effect=effect)
    assert crashed.world.clients[ME].drawn is crashed.lives.drawn
    harm(crashed)


def test_the_client_is_killed_in_every_phase_of_a_session() -> None:
    kinds = {
        "complete": [3, 1, 1, 1, 2, 2, 2],
        "regular": [3, 1, 1, 1, 1, 2, 2, 2],
    }
    for world, counts in kinds.items():
        assert client_cuts(world) == cuts(counts)


def test_a_client_that_comes_back_takes_part_in_the_next_round() -> None:
    """So the invariants are not kept by silence."""
    crashed = lied_to("complete", event=3, effect=1)
    joined = [
        e.round_no
        for _, done in crashed.lives.log
        for e in done
        if isinstance(e, events.PersistJoined)
    ]
    assert joined == [1, 1, 2]


def found(world, **crash):
    """Whether a client that is made wrong does harm at some cut."""
    for event, effect in client_cuts(world):
        try:
            harm(lied_to(world, event=event, effect=effect, **crash))
        except AssertionError as error:
            return str(error)
    return ""


def test_a_client_that_speaks_before_it_remembers_does_harm() -> None:
    """Rule 4.1-9: so the test above can fail."""
    late = (events.PersistJoined, events.PersistSpent, events.PersistSummed)

    def remembers_last(effects):
        return sorted(effects, key=lambda effect: isinstance(effect, late))

    assert "after it was sent" in found("complete", disorder=remembers_last)


@pytest.mark.parametrize(
    ("forgotten", "harmed"),
    [({"last_joined": (0, 0)}, "I7"), ({"spent_round": 0}, "I8")],
)
def test_a_client_whose_disk_forgets_does_harm(forgotten, harmed) -> None:
    """Rule 9-2."""

    def forget(memory: TaskMemory) -> TaskMemory:
        return replace(memory, **forgotten)

    assert harmed in found("complete", remember=forget)


# --- the aggregator


def equivocate(world) -> None:
    """A corrupt member says something else of all it said, before it says it again."""
    client = world.clients[CORRUPT]
    session = client._session
    if session is None:
        return
    for envelope in client.outbox:
        other = OTHERS.get(envelope.type)
        # Who released holds the last transcript alone.
        over = isinstance(session, Released) and envelope.type != "Unmasking"
        if other is None or over:
            continue
        h = transcript_of(session, msg.HEADERS[type(other)].transcript)
        sealed = client._moves.seal(other, session.sid, h)
        world._deliver(Carried(CORRUPT, AGGREGATOR, sealed))


OTHERS: dict[str, msg.Message] = {
    "ShareAck": msg.ShareAck(bitmap=b"\x08"),
    "MaskedInput": msg.MaskedInput(root=blob(4)),
    "Consistency": msg.Consistency(h3=blob(5)),
    "Unmasking": msg.Unmasking(shares=(None,) * 4),
}


@functools.cache
def server_cuts(world):
    """Where the aggregator can die in a session."""
    crashed = ServerCrash(scene(**WORLDS[world]))
    crashed.run()
    return cuts(crashed.counts)


SERVER_CUTS = [(w, *cut) for w in WORLDS for cut in server_cuts(w)]


def survived(world, event, effect, corrupted=lambda world: None):
    crashed = ServerCrash(
        scene(**WORLDS[world]), event=event, effect=effect, corrupted=corrupted
    )
    with carried_out_by(SharedWork()):
        crashed.run()
    told = {key: len(envelopes) for key, envelopes in crashed.sent.items()}
    assert set(told.values()) == {1}, "two different messages of one type to a member"
    clients = crashed.world.clients.values()
    bound = crashed.world.task.corruption_bound
    check_all(clients, crashed.world.consortium.roster, bound)
    return crashed


@pytest.mark.parametrize(("world", "event", "effect"), SERVER_CUTS)
def test_an_aggregator_that_dies_anywhere_opens_the_exact_sum_over_all(
    world, event, effect
) -> None:
    """Rule 9-3, and rule 8-5 for what was on its way."""
    crashed = survived(world, event, effect)
    assert_exact(crashed.world, crashed.world.clients)
    ends = {client.phase for client in crashed.world.clients.values()}
    assert ends == {"idle"}


COMPLETE_CUTS = [cut[1:] for cut in SERVER_CUTS if cut[0] == "complete"]


@pytest.mark.parametrize(("event", "effect"), COMPLETE_CUTS)
def test_a_member_that_says_otherwise_to_the_next_life_gains_nothing(
    event, effect
) -> None:
    """Rule 3.4-7 across lives: the first that was journaled counts."""
    crashed = survived("complete", event, effect, corrupted=equivocate)
    end = crashed.world.outcome(AGGREGATOR)
    if isinstance(end, events.Completed):
        assert_exact(crashed.world, end.sets["u3"])
        assert {*end.sets["u3"]} >= {*crashed.world.clients} - {CORRUPT}


def test_an_aggregator_that_journals_last_tells_two_stories() -> None:
    """So the tests above can fail: the journal before the deed (rule 9-3)."""

    class Hasty(ServerCrash):
        def _carry_out(self, effects):
            late = [e for e in effects if isinstance(e, events.Journal)]
            rest = [e for e in effects if not isinstance(e, events.Journal)]
            super()._carry_out([*rest, *late])

    def told_twice(event, effect):
        crashed = Hasty(
            scene(**WORLDS["complete"]),
            event=event,
            effect=effect,
            corrupted=equivocate,
        )
        crashed.run()
        return any(len(envelopes) > 1 for envelopes in crashed.sent.values())

    assert any(told_twice(*cut) for cut in COMPLETE_CUTS)
