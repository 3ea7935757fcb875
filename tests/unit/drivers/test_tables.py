"""secagg.drivers.tables: one dialect, in a file and in a database."""

import pytest

from secagg import errors
from secagg.drivers import tables
from secagg.drivers.database import Database
from secagg.drivers.postgres import DatabaseUrl, Postgres

SCHEMA = [
    "CREATE TABLE IF NOT EXISTS marks (number INTEGER PRIMARY KEY, mark INTEGER"
    " NOT NULL, name TEXT UNIQUE, data BLOB, share REAL) STRICT"
]
ROW = (1 << 53, "a name with ' and \\ and %", bytes(range(256)), 0.1)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request, tmp_path):
    """A file, and a database."""
    if request.param == "sqlite":
        return tmp_path / "marks.sqlite3"
    return DatabaseUrl(request.getfixturevalue("postgres_url"))


def open_at(place, *, version=1):
    return tables.opened(
        place, "marks", SCHEMA, version=version, if_damaged="do something"
    )


def test_a_path_is_a_file_and_a_url_a_database(place) -> None:
    opened = open_at(place)
    kind = Postgres if isinstance(place, DatabaseUrl) else Database
    assert isinstance(opened, kind)
    opened.close()


def test_a_row_comes_back_as_it_was_also_after_a_restart(place) -> None:
    insert = "INSERT INTO marks (mark, name, data, share) VALUES (?, ?, ?, ?)"
    select = "SELECT mark, name, data, share FROM marks WHERE name <> '%s'"
    first = open_at(place)
    assert first.execute(insert, *ROW) == []
    assert first.execute(select) == [ROW]
    first.close()
    second = open_at(place)
    assert second.execute(select) == [ROW]
    second.empty_log()
    second.close()


def test_rows_are_numbered_in_the_order_they_came(place) -> None:
    opened = open_at(place)
    for name in ("b", "a", "c"):
        opened.execute(
            "INSERT INTO marks (mark, name) VALUES (?, ?) ON CONFLICT DO NOTHING",
            1,
            name,
        )
    rows = opened.execute("SELECT name, data FROM marks ORDER BY number")
    assert rows == [("b", None), ("a", None), ("c", None)]
    opened.close()


def test_a_statement_that_fails_changes_nothing_and_quotes_no_value(place) -> None:
    opened = open_at(place)
    opened.execute("INSERT INTO marks (mark, name) VALUES (1, ?)", "secret-name")
    with pytest.raises(errors.StateError) as caught:
        opened.execute("INSERT INTO marks (mark, name) VALUES (2, ?)", "secret-name")
    assert "secret-name" not in str(caught.value)
    assert opened.execute("SELECT mark FROM marks") == [(1,)]
    opened.close()


def test_another_version_is_refused(place) -> None:
    open_at(place, version=2).close()
    with pytest.raises(errors.StateError, match="format 2, this one has 1"):
        open_at(place)
