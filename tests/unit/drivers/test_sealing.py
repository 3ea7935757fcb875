"""secagg.drivers.sealing: rows that SQLite did not write do not add up."""

import itertools
import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.drivers import sealing

TABLES = (
    "CREATE TABLE marks (number INTEGER PRIMARY KEY, mark INTEGER, name TEXT) STRICT",
    "CREATE TABLE heads (task TEXT PRIMARY KEY, link BLOB, share REAL) STRICT",
)
FIRST = (
    "INSERT INTO marks (mark, name) VALUES (1, 'a'), (2, 'b'), (3, NULL)",
    "INSERT INTO heads VALUES ('t', x'0011', 0.5), ('u', x'', 3)",
)


def new():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for statement in (*TABLES, *sealing.SCHEMA):
        connection.execute(statement)
    sealing.keep(connection)
    return connection


@pytest.fixture
def sealed():
    connection = new()
    for statement in FIRST:
        connection.execute(statement)
    yield connection
    connection.close()


def without_triggers(connection, statement):
    """Change rows as damage does: the sum knows nothing of it."""
    names = connection.execute("SELECT name FROM temp.sqlite_master").fetchall()
    for (name,) in names:
        connection.execute(f'DROP TRIGGER "{name}"')
    connection.execute(statement)


CHANGES = [
    "INSERT INTO marks (mark) VALUES (9)",
    "INSERT OR IGNORE INTO heads VALUES ('t', x'22', 1.0)",
    "INSERT OR REPLACE INTO heads VALUES ('t', x'22', 1.0)",
    "INSERT INTO heads VALUES ('t', x'33', 0) ON CONFLICT DO NOTHING",
    "INSERT INTO heads VALUES ('t', x'33', 0) ON CONFLICT (task) DO UPDATE"
    " SET link = excluded.link",
    "UPDATE marks SET mark = mark + 1 WHERE mark > 1",
    "UPDATE marks SET number = 7 WHERE mark = 2",
    "DELETE FROM marks WHERE mark < 3",
    "DELETE FROM heads",
]


@pytest.mark.parametrize(("first", "second"), [*itertools.product(CHANGES, repeat=2)])
def test_whatever_statements_change_rows_the_sum_follows(sealed, first, second) -> None:
    sealed.execute(first)
    sealed.execute(second)
    assert sealing.holds(sealed)


def test_a_statement_that_fails_leaves_rows_and_sum(sealed) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        sealed.execute("INSERT INTO heads VALUES ('v', x'', 1), ('t', x'', 1)")
    assert sealing.holds(sealed)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE marks SET mark = 8 WHERE number = 1",
        "UPDATE marks SET name = '2' WHERE number = 2",
        "UPDATE marks SET name = '' WHERE name IS NULL",
        "UPDATE heads SET link = x'0012' WHERE task = 't'",
        "UPDATE heads SET share = 0.25 WHERE task = 't'",
        "DELETE FROM marks WHERE number = 3",
        "INSERT INTO marks (mark) VALUES (1)",
        "UPDATE seal SET total = zeroblob(32)",
        "DELETE FROM seal",
        "ALTER TABLE heads RENAME TO tails",
    ],
)
def test_rows_that_changed_behind_its_back_do_not_add_up(sealed, damage) -> None:
    assert sealing.holds(sealed)
    without_triggers(sealed, damage)
    assert not sealing.holds(sealed)


def test_two_rows_that_exchange_a_value_do_not_add_up(sealed) -> None:
    without_triggers(
        sealed,
        "UPDATE marks SET name = CASE mark WHEN 1 THEN 'b'"
        " WHEN 2 THEN 'a' END WHERE mark < 3",
    )
    assert not sealing.holds(sealed)


def test_a_new_connection_goes_on_with_the_sum(tmp_path) -> None:
    path = tmp_path / "sealed.sqlite3"
    for number in range(3):
        connection = sqlite3.connect(path, isolation_level=None)
        if number == 0:
            for statement in (*TABLES, *sealing.SCHEMA):
                connection.execute(statement)
        sealing.keep(connection)
        assert sealing.holds(connection)
        connection.execute("INSERT INTO marks (mark) VALUES (?)", (number,))
        connection.close()


ROWS = st.lists(st.tuples(st.integers(-9, 9), st.text(max_size=2)), max_size=6)


def total_of(rows):
    connection = new()
    for number, (mark, name) in rows:
        connection.execute("INSERT INTO marks VALUES (?, ?, ?)", (number, mark, name))
    [(total,)] = connection.execute("SELECT total FROM seal").fetchall()
    connection.close()
    return total


@settings(max_examples=20)
@given(ROWS)
def test_the_sum_is_that_of_the_rows_in_any_order(rows) -> None:
    numbered = list(enumerate(rows))
    assert total_of(numbered) == total_of(numbered[::-1])
    assert total_of(numbered) != total_of([*numbered, (99, (0, ""))])
