"""secagg.consortium: a whole consortium from a seed."""

import numpy as np
import pytest

from secagg import events
from secagg.cohort import Cohort
from secagg.consortium import Consortium, open_session
from secagg.contribution import contribution
from secagg.policy import Policy
from secagg.task import Task
from tests.helpers import AGGREGATOR, ReferenceEngine, silos

TASK = Task(task_id="t", length=2, clip=1.0, chunk_log2=12)


def test_it_is_the_same_from_the_same_seed_and_another_from_another() -> None:
    one, again, other = (Consortium.of(4, seed) for seed in (b"1", b"1", b"2"))
    assert one.roster == again.roster
    assert not set(keys(one)) & set(keys(other))


def keys(consortium):
    return [member.key for member in consortium.roster.members]


@pytest.mark.parametrize(
    ("count", "first", "last"),
    [
        (4, "silo-001", "silo-004"),
        (200, "silo-001", "silo-200"),
        (1500, "silo-0001", "silo-1500"),
    ],
)
def test_the_silos_are_numbered_in_the_order_of_their_ids(count, first, last) -> None:
    made = Consortium.of(count, b"x")
    names = list(made.silos)
    assert (names[0], names[-1]) == (first, last)
    assert names == sorted(made.silos) == list(made.roster.hospitals)
    assert made.roster.aggregators == (AGGREGATOR,)


def test_everyone_has_draws_of_its_own() -> None:
    made = Consortium.of(5, b"x")
    drawn = {entropy.draw("b_u", 32) for entropy in made.entropy.values()}
    assert len(drawn) == 6
    assert len(set(keys(made))) == 6


def test_a_session_opens_over_the_clients_given_and_runs() -> None:
    made = Consortium.of(6, b"x")
    some = silos(1, 2, 4, 6)
    clients = {u: made.client(u, Policy(), {}) for u in some}
    server = open_session(made, TASK, clients, round_no=3)
    assert server.params.members == some
    assert server.manifest.round_no == 3
    update = np.array([0.25, -0.5])
    cohort = Cohort(
        server=server,
        clients=clients,
        engine=ReferenceEngine(server.params.width),
        contribute=lambda u, sid: contribution(
            update,
            weight=1,
            values={},
            params=server.params,
            sid=sid,
            entropy=made.entropy[u],
        ),
    )
    assert isinstance(cohort.run(), events.Completed)
