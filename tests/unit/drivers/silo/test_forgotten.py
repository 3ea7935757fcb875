"""secagg.drivers.silo.forgotten: what is shown and not remembered stops a hospital."""

import itertools

import pytest

from secagg import errors
from secagg.drivers.silo.forgotten import (
    accept_loss,
    check_part,
    require_remembered,
)
from secagg.drivers.silo.store import MemoryStore, SqliteStore
from secagg.rounds.own_part import OwnPart


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    """A store of each kind."""
    if request.param == "memory":
        yield MemoryStore()
        return
    with SqliteStore(tmp_path) as made:
        yield made


PAIRS = list(itertools.product([1, 2, 3], [1, 2, 3]))


def finds_out(store, part, seen=0) -> bool:
    try:
        check_part(store, "icu", part, seen)
    except errors.StateRolledBack:
        return True
    return False


@pytest.mark.parametrize("last", PAIRS)
def test_a_vote_above_the_last_joined_pair_is_forgotten(last) -> None:
    for pair in PAIRS:
        store = MemoryStore()
        store.record_joined("icu", *last)
        part = OwnPart(round_no=pair[0], attempt=pair[1])
        assert finds_out(store, part) == (pair > last)


def test_an_input_in_the_sum_of_the_last_round_has_to_be_spent(store) -> None:
    store.record_joined("icu", 2, 1)
    assert not finds_out(store, OwnPart(round_no=1, attempt=1, included=True))
    assert finds_out(store, OwnPart(round_no=2, attempt=1, included=True))
    store.forgotten.accept("icu")
    store.record_spent("icu", 2)
    assert not finds_out(store, OwnPart(round_no=2, attempt=1, included=True))


def test_the_highest_round_that_was_shown_is_kept(store) -> None:
    part = OwnPart(round_no=3, attempt=1)
    for seen, kept in ((5, 5), (4, 5), (7, 7), (0, 7)):
        assert finds_out(store, part, seen)
        assert store.forgotten.of("icu") == kept
    assert store.forgotten.tasks() == ("icu",)
    assert store.forgotten.of("ward") == 0


def test_an_older_copy_is_one_of_all_tasks_until_each_loss_is_accepted(store) -> None:
    require_remembered(store)
    store.forgotten.note("icu", 4)
    store.forgotten.note("ward", 2)
    for task in ("icu", "ward"):
        told = f"task {task} .*`secagg accept-loss"
        with pytest.raises(errors.StateRolledBack, match=told):
            require_remembered(store)
        accept_loss(store, task)
    require_remembered(store)


def test_an_accepted_loss_sets_the_marks_above_all_that_was_shown(store) -> None:
    store.record_joined("icu", 2, 1)
    store.forgotten.note("icu", 4)
    assert accept_loss(store, "icu") == 4
    assert store.last_joined("icu") == (4, 3)
    assert store.spent("icu", 4)
    require_remembered(store)
    for pair in itertools.product(range(1, 5), range(1, 4)):
        part = OwnPart(round_no=pair[0], attempt=pair[1], included=True)
        assert not finds_out(store, part)


def test_marks_that_are_higher_already_stay(store) -> None:
    store.record_joined("icu", 6, 1)
    store.forgotten.note("icu", 4)
    accept_loss(store, "icu")
    assert store.last_joined("icu") == (6, 1)


def test_what_is_not_forgotten_cannot_be_accepted(store) -> None:
    with pytest.raises(errors.StateError, match="no loss"):
        accept_loss(store, "icu")
    assert store.last_joined("icu") == (0, 0)


def test_it_is_known_when_the_directory_is_opened_again(tmp_path) -> None:
    with SqliteStore(tmp_path) as store:
        store.forgotten.note("icu", 4)
    with (
        SqliteStore(tmp_path) as store,
        pytest.raises(errors.StateRolledBack, match="up to round 4"),
    ):
        require_remembered(store)
