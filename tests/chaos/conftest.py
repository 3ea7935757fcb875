"""One short run of chaos, for what is asked of it."""

import copy
from dataclasses import dataclass

import pytest

from tests.chaos.figures import SQLITE, Figures
from tests.chaos.judge import Judge
from tests.chaos.run import Database, no_database, run, worlds
from tests.chaos.terms import Terms

SEED = 7
SESSIONS = 2


@dataclass
class Played:
    """A run that is over, of one world."""

    found: Figures
    terms: Terms


def play(folder, database: Database = no_database) -> Played:
    """Run, and judge."""
    found = run(
        SEED,
        SESSIONS,
        folder,
        database=database,
        limit_seconds=120.0,
        journal=SQLITE,
    )
    [terms] = worlds(SEED, SESSIONS, folder)
    return Played(found, terms)


@pytest.fixture(scope="session")
def played(tmp_path_factory):
    """A run with the journal in SQLite."""
    return play(tmp_path_factory.mktemp("chaos"))


@pytest.fixture(scope="session")
def testimony(played):
    """What the parties of a good run wrote."""
    return Judge.of(played.terms)


@pytest.fixture
def judge(testimony):
    """The judge of that run, before anything is bent."""
    return copy.deepcopy(testimony)
