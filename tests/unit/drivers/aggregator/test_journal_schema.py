"""secagg.drivers.aggregator.journal_schema: links that fit one message, in order."""

import sqlite3

import pytest

from secagg import codec
from secagg.drivers.aggregator.journal_schema import SCHEMA, fitting
from secagg.messages import History

ROWS = [(bytes(200 + i), bytes([i]) * 32, bytes(100), bytes(300)) for i in range(9)]
LIMITS = [1, 700, 1500, 3000, 6000, 10**6]


@pytest.mark.parametrize("limit", LIMITS)
def test_the_first_links_are_taken_in_order_and_at_least_one(limit) -> None:
    links = fitting(ROWS, limit)
    assert links
    assert [link.h3 for link in links] == [row[1] for row in ROWS[: len(links)]]


@pytest.mark.parametrize("limit", LIMITS[1:])
def test_their_history_is_no_longer_than_the_limit(limit) -> None:
    links = fitting(ROWS, limit)
    assert len(codec.encode_body(History(rounds=links))) <= limit


@pytest.mark.parametrize("limit", LIMITS[1:])
def test_one_link_more_would_not_have_fitted_by_more_than_its_headers(limit) -> None:
    links = fitting(ROWS, limit)
    more = fitting(ROWS[: len(links) + 1], 10**9)
    room = 8 + 4 * 8 * len(more)
    whole = len(links) == len(ROWS)
    assert whole or len(codec.encode_body(History(rounds=more))) + room > limit


def test_no_links_make_an_empty_history() -> None:
    assert fitting([], 1000) == ()


def test_the_tables_can_be_made_twice() -> None:
    database = sqlite3.connect(":memory:")
    for statement in (*SCHEMA, *SCHEMA):
        database.execute(statement)
    names = {row[0] for row in database.execute("SELECT name FROM sqlite_master")}
    database.close()
    assert {"rounds", "sessions", "events", "links", "blamed"} <= names
