"""Rows: what a value is, whether it reaches its goal, and how it is written."""

import pytest

from tests.benchmarks import table
from tests.benchmarks.interleaved import clocked, interleaved
from tests.benchmarks.machine import Machine
from tests.benchmarks.results import GroupResult
from tests.benchmarks.rows import Figure, Row, at_least, at_most, short, shown

MACHINE = Machine(
    cpu="A CPU", cores=2, memory_gib=4, system="Linux", python="3.11", libraries={}
)


def row(**changes):
    given = {
        "group": "g",
        "name": "a",
        "ours": Figure.exact(2.0),
        "reference": Figure.exact(3.0),
        **changes,
    }
    return Row(**given)


def result(*rows):
    return GroupResult(
        machine=MACHINE,
        commit="0123",
        day="2026-01-01",
        command="make bench ONLY=g",
        seconds=1.0,
        rows=rows,
    )


def test_a_figure_is_the_median_with_its_extremes():
    assert Figure.of([5.0, 1.0, 2.0]) == Figure(2.0, 1.0, 5.0, 3)


@pytest.mark.parametrize(
    ("compare", "value"), [("speed", 1.5), ("share", 2 / 3), ("figure", 2.0)]
)
def test_a_value_is_the_ratio_that_the_row_asks_for(compare, value):
    assert row(compare=compare).value == pytest.approx(value)


@pytest.mark.parametrize(
    ("goal", "falls_short"),
    [
        (at_least(1.5), False),
        (at_least(1.51), True),
        (at_most(1.5), False),
        (None, False),
    ],
)
def test_a_row_falls_short_where_its_value_misses_the_goal(goal, falls_short):
    assert row(goal=goal).short_by is falls_short


def test_a_row_that_falls_short_is_marked_in_the_table():
    bad, good = (
        row(goal=at_least(2), headline=True),
        row(goal=at_most(2), headline=True),
    )
    text = table.markdown({"g": result(bad, good)})
    assert "| a | 2 s | 3 s | **1.5x** | ≥ 2 |" in text
    assert "| a | 2 s | 3 s | 1.5x | ≤ 2 |" in text
    assert "1 of the 2 rows" in text


def test_a_figure_beside_a_published_one_is_held_to_a_goal_in_its_unit():
    one = row(compare="figure", goal=at_most(0.4), headline=True)
    assert "| a | 2 s | 3 s | **2 s** | ≤ 400 ms |" in table.markdown(
        {"g": result(one)}
    )


def test_the_readme_has_the_headlines_and_the_page_has_every_row():
    found = {"g": result(row(name="seen", headline=True), row(name="left out"))}
    assert "left out" not in table.markdown(found)
    assert "left out" in table.full_markdown(found)


def test_the_table_names_the_machine_the_commit_and_the_command():
    text = table.markdown({"g": result(row(headline=True))})
    assert "A CPU, 2 cores, 4 GiB" in text
    assert "`0123`" in text
    assert "make bench ONLY=" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1234.5, "1,234"),
        (12.34, "12.3"),
        (0.1234, "0.123"),
        (1e-5, "1.0e-05"),
    ],
)
def test_numbers_are_written_in_three_digits(value, text):
    assert short(value) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(0.0123, "s", "12.3 ms"), (2.4e6, "bytes", "2.4 MB"), (19, "bits", "19 bits")],
)
def test_a_value_is_shown_in_the_scale_that_suits_it(value, unit, text):
    assert shown(value, unit) == text


def test_turns_are_interleaved_and_the_first_of_each_is_not_measured():
    order: list[str] = []

    def turn(name):
        def work():
            order.append(name)
            return {name: float(len(order))}

        return work

    found = interleaved(turn("a"), turn("b"), repeats=2)
    assert order == ["a", "b"] * 3
    assert found == {"a": Figure.of([3.0, 5.0]), "b": Figure.of([4.0, 6.0])}


def test_a_clocked_turn_measures_its_own_work():
    ran = []
    measured = clocked("a", lambda: ran.append(1))()
    assert ran == [1]
    assert measured["a"] >= 0
