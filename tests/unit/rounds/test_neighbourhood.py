"""secagg.rounds.neighbourhood: N[u] within a set, in the order of the ids."""

from secagg.graph import complete
from secagg.rounds.neighbourhood import neighbourhoods, place, within
from tests.helpers import silo
from tests.parties import Parties

SPARSE = Parties(12, 1, losses=2)
SOME = tuple(u for u in SPARSE.members if u not in {silo(2), silo(7)})


def test_within_keeps_the_order_and_drops_who_is_not_in_the_set() -> None:
    peers = (silo(3), silo(1), silo(2))
    assert within(peers, {silo(2), silo(3), silo(9)}) == (silo(3), silo(2))


def test_on_the_complete_graph_everyones_neighbourhood_is_all() -> None:
    near = neighbourhoods(complete(SPARSE.members), SOME)
    assert near == dict.fromkeys(SOME, SOME)


def test_on_the_regular_graph_it_is_the_neighbours_that_are_there_and_oneself() -> None:
    near = neighbourhoods(SPARSE.graph, SOME)
    assert set(near) == set(SOME)
    for u, peers in near.items():
        assert list(peers) == sorted(peers)
        assert set(peers) == {u, *SPARSE.graph.neighbours(u)} & set(SOME)


def test_a_place_is_the_index_among_the_sorted() -> None:
    for u in SPARSE.members:
        assert SPARSE.members[place(SPARSE.members, u)] == u
