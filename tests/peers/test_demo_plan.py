"""peers.demo.plan: who is killed where."""

import pytest

from peers.demo import plan
from peers.demo.plan import Point
from peers.toml_file import ConfigError

SIX = ("a", "b", "c", "d", "e", "f")
FOUR = ("a", "b", "c", "d")


@pytest.mark.parametrize("rounds", [5, 6, 7, 8, 9, 10, 20])
@pytest.mark.parametrize(("hospitals", "tolerated"), [(SIX, 2), (FOUR, 1)])
def test_every_point_occurs_in_a_round_of_its_own(hospitals, tolerated, rounds) -> None:
    script = plan.deaths(hospitals, rounds, tolerated)
    first = {
        point: next(death.round_no for death in script if death.point is point)
        for point in Point
    }
    assert len(set(first.values())) == 3
    assert all(1 <= death.round_no < rounds for death in script)


def test_two_die_at_once_where_the_protocol_allows_it() -> None:
    script = plan.deaths(SIX, 10, 2)
    last = [death for death in script if death.round_no == script[-1].round_no]
    assert len({death.hospital for death in last}) == 2
    assert len(plan.deaths(FOUR, 10, 1)) == 4


@pytest.mark.parametrize(("hospitals", "tolerated"), [(SIX, 2), (FOUR, 1)])
def test_no_round_loses_more_than_the_protocol_tolerates(hospitals, tolerated) -> None:
    script = plan.deaths(hospitals, 10, tolerated)
    for round_no in range(1, 11):
        dying = [death.hospital for death in script if death.round_no == round_no]
        assert len(dying) == len(set(dying)) <= tolerated


def test_no_hospital_dies_twice() -> None:
    hospitals = [death.hospital for death in plan.deaths(SIX, 10, 2)]
    assert len(set(hospitals)) == len(hospitals)


def test_too_few_rounds_are_refused() -> None:
    with pytest.raises(ConfigError, match="--rounds 4 is below 5"):
        plan.deaths(SIX, 4, 2)


def test_the_deaths_of_one_hospital_are_found() -> None:
    script = plan.deaths(SIX, 10, 2)
    assert plan.of_hospital(script, script[0].hospital) == script[:1]
