"""secagg.cohort: the machines joined by a queue; a run is a function of its script."""

import contextlib
from dataclasses import replace

import pytest

from secagg import codec, events
from secagg.cohort import LOSS_ROUNDS, SPOKEN_IN, Carried, NoMeter, faithful
from secagg.messages import HEADERS
from secagg.names import Round
from tests.helpers import (
    AGGREGATOR,
    assert_aborted,
    assert_completed,
    assert_exact,
    scene,
    silo,
    silos,
)

ALL = silos(1, 2, 3, 4)


def test_every_type_a_client_speaks_in_a_session_has_its_round() -> None:
    spoken = {
        kind.__name__
        for kind, header in HEADERS.items()
        if not header.from_aggregator and header.transcript in {"sid", "h1", "h2", "h3"}
    }
    assert set(SPOKEN_IN) == spoken - {"Refusal"}
    assert [*LOSS_ROUNDS] == [*Round][1:8]


def test_without_a_script_all_are_in_the_sum() -> None:
    world = scene()
    world.run()
    assert_exact(world, ALL)
    assert_completed(world, ALL)


@pytest.mark.parametrize("since", range(6))
def test_a_silo_falls_silent_from_its_round_on_and_says_all_before(since) -> None:
    world = scene(silent={3: since})
    world.run()
    assert_exact(world, ALL if since > 3 else silos(1, 2, 4))
    heard = {
        effect.event.envelope.type
        for effect in world.effects[AGGREGATOR]
        if isinstance(effect, events.Journal)
        and isinstance(effect.event, events.Received)
        and effect.event.peer == silo(3)
    }
    spoken = [type_ for type_ in SPOKEN_IN if type_ != "Coin"]
    assert heard == set(spoken[:since])


def test_a_silo_silent_at_masked_input_makes_no_vector() -> None:
    world = scene(silent={3: "masked_input"})
    world.run()
    assert set(world.inputs) == set(silos(1, 2, 4))


def test_the_same_script_gives_the_same_run() -> None:
    one, again = (scene(silent={2: 4}) for _ in range(2))
    assert one.run() == again.run()
    assert one.effects == again.effects


def test_another_seed_gives_another_run() -> None:
    one, other = scene(seed=b"1"), scene(seed=b"2")
    one.run()
    other.run()
    assert one.server.sid != other.server.sid
    assert_exact(other, ALL)


def test_the_network_may_lose_copy_and_replace_what_is_on_its_way() -> None:
    def lossy(carried):
        if carried.sender == silo(1) and carried.envelope.type == "MaskedInput":
            return ()
        if carried.sender == silo(2) and carried.envelope.type == "Consistency":
            bent = replace(carried.envelope, signature=bytes(64))
            return (Carried(carried.sender, carried.receiver, bent),)
        return (carried, carried)

    world = scene(5, network=lossy)
    world.run()
    assert_exact(world, silos(2, 3, 4, 5))
    assert world.drops() == {silo(2): "3.4-3"}


def test_a_cohort_too_small_aborts() -> None:
    world = scene(silent={1: 0, 2: 0})
    world.run()
    assert_aborted(world, "4.2-4", silos(1, 2))


class Counting(NoMeter):
    """Notes who was at work, and what was carried."""

    def __init__(self):
        self.worked = []
        self.carried = {}

    def at(self, party):
        self.worked.append(party)
        return contextlib.nullcontext()

    def carry(self, sender, receiver, kind, size):
        key = (sender, receiver, kind)
        self.carried[key] = self.carried.get(key, 0) + size


def test_the_meter_sees_every_byte_and_whose_work_it_was() -> None:
    meter = Counting()
    world = scene(m=5000)
    world.meter = meter
    world.run()
    assert set(meter.worked) == {AGGREGATOR, *ALL}
    sent = world.clients[silo(1)].sent
    for envelope in sent:
        size = 1 + len(codec.encode_envelope(envelope))
        assert meter.carried[silo(1), AGGREGATOR, envelope.type] == size
    packed = (5000 * world.server.params.width + 7) // 8
    assert meter.carried[silo(1), AGGREGATOR, "Chunk"] == packed + 2 * 37


def test_a_faithful_network_delivers_what_was_sent() -> None:
    world = scene().started()
    carried = world.waiting("Manifest")[0]
    assert tuple(faithful(carried)) == (carried,)
