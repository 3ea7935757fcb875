import itertools

import pytest

from secagg import errors
from secagg.drivers.silo.agenda import Agenda, is_missed, is_over
from secagg.messages import Declined, Missed, RoundOpen


def opened(task_id: str, round_no: int) -> RoundOpen:
    return RoundOpen(
        task_id=task_id,
        round_no=round_no,
        model_hash=bytes(32),
        model_size=0,
        previous_link=bytes(32),
    )


def test_without_a_round_there_is_nothing_to_take_up() -> None:
    assert Agenda().take_up() is None


def test_a_round_is_taken_up_once_however_often_it_is_announced() -> None:
    agenda = Agenda()
    agenda.opened = opened("a", 3)
    assert agenda.take_up() == opened("a", 3)
    agenda.opened = opened("a", 3)
    assert agenda.take_up() is None
    assert agenda.claimed == opened("a", 3)


def test_a_round_waits_until_it_has_its_contribution() -> None:
    agenda = Agenda()
    seen = [agenda.waits]
    agenda.opened = opened("a", 1)
    seen.append(agenda.waits)
    agenda.take_up()
    seen.append(agenda.waits)
    agenda.claimed = None
    seen.append(agenda.waits)
    assert seen == [False, True, True, False]


@pytest.mark.parametrize(
    "rounds", list(itertools.permutations([("a", 1), ("a", 2), ("b", 1), ("b", 2)]))
)
def test_numbers_go_forward_within_each_task_alone(rounds) -> None:
    agenda = Agenda()
    for place, (task_id, number) in enumerate(rounds):
        agenda.opened = opened(task_id, number)
        before = [n for task, n in rounds[:place] if task == task_id]
        assert (agenda.take_up() is None) is (number < max(before, default=0))


@pytest.mark.parametrize(
    ("now", "over"),
    [(("a", 2), False), (("a", 1), False), (("a", 3), True), (("b", 1), True)],
)
def test_a_round_is_over_once_a_later_one_or_another_task_is_open(now, over) -> None:
    assert is_over(opened("a", 2), opened(*now)) is over


@pytest.mark.parametrize(
    ("task_id", "number", "ended"),
    [("a", 1, False), ("a", 2, True), ("a", 3, True), ("b", 1, True)],
)
def test_a_round_is_missed_with_its_number_a_later_one_or_another_task(
    task_id, number, ended
) -> None:
    missed = Missed(task_id=task_id, round_no=number, reason="over")
    assert is_missed(opened("a", 2), missed) is ended


def test_the_size_that_is_known_is_that_of_the_claimed_or_the_open_rounds_model() -> (
    None
):
    agenda = Agenda()
    agenda.opened = RoundOpen(
        task_id="a",
        round_no=1,
        model_hash=bytes(32),
        model_size=5,
        previous_link=bytes(32),
    )
    assert agenda.model_size(bytes(32)) == 5
    with pytest.raises(errors.LocalProtocolError, match="give its size"):
        agenda.model_size(b"\1" * 32)
    agenda.take_up()
    agenda.opened = None
    assert agenda.model_size(bytes(32)) == 5


def test_8_10_a_round_that_is_declined_waits_no_longer_and_stays_declined() -> None:
    agenda = Agenda()
    agenda.opened = opened("a", 3)
    agenda.take_up()
    said = agenda.decline("4.1-5", "why")
    assert said == Declined(task_id="a", round_no=3, rule="4.1-5", detail="why")
    assert not agenda.waits
    assert agenda.declined(opened("a", 3)) is said
    for other in (opened("a", 4), opened("b", 3)):
        assert agenda.declined(other) is None


def test_8_10_only_a_round_that_was_taken_up_can_be_declined() -> None:
    agenda = Agenda()
    agenda.opened = opened("a", 3)
    with pytest.raises(errors.LocalProtocolError, match="nothing to decline"):
        agenda.decline("4.1-5", "why")
    assert agenda.declined(opened("a", 3)) is None
