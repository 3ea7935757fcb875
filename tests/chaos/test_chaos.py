"""A few sessions of chaos, as `make chaos` runs hundreds; the plan; the figures."""

import dataclasses

import pytest

from secagg.drivers.postgres import DatabaseUrl
from tests import postgres
from tests.chaos import __main__ as chaos
from tests.chaos import figures, plan
from tests.chaos.conftest import SESSIONS, play
from tests.chaos.run import worlds
from tests.chaos.stage import ChaosError


@pytest.fixture(params=["sqlite", "postgresql"])
def over(request, tmp_path):
    """A run that is over, with the journal in either place."""
    if request.param == "sqlite":
        return request.getfixturevalue("played")
    server = request.getfixturevalue("postgres_server")
    return play(tmp_path, lambda: DatabaseUrl(server.database()))


def test_every_session_of_a_short_run_ends_exactly_or_cleanly(over) -> None:
    found, terms = over.found, over.terms
    assert found.sessions >= SESSIONS
    assert found.exact + sum(found.aborted.values()) == found.sessions
    assert found.exact
    fired = {path.name for path in terms.fired().glob("*")}
    rounds = range(1, 10 * SESSIONS)
    assert {key.split(".")[1][:4] for key in fired} == {"aggr", "silo"}
    assert fired <= {
        kill.key for number in rounds for kill in plan.kills(terms, number)
    }


def test_the_plan_follows_from_the_seed_alone(tmp_path) -> None:
    one, *_ = worlds(7, 200, tmp_path)
    same, *_ = worlds(7, 200, tmp_path / "elsewhere")
    other, *_ = worlds(8, 200, tmp_path)
    rounds = range(1, 30)
    drawn = [[plan.kills(w, number) for number in rounds] for w in (one, same, other)]
    assert drawn[0] == drawn[1] != drawn[2]
    peer = one.peers[0]
    assert plan.strikes(one, peer) == plan.strikes(same, peer)


def test_security_shows_the_kept_figures_and_nothing_else() -> None:
    kept = figures.load(figures.KEPT)
    assert figures.shown(figures.SHOWN) == figures.markdown(kept)


@pytest.mark.parametrize("kept", figures.load(figures.KEPT), ids=lambda k: k.journal)
def test_a_kept_run_was_long_enough_and_left_nothing_open(kept) -> None:
    assert kept.sessions >= figures.ENOUGH
    assert kept.exact + sum(kept.aborted.values()) == kept.sessions
    assert set(kept.kills) == {"hospitals", "aggregator"}
    for side in kept.kills.values():
        assert set(side) == set(figures.PHASES)


def test_figures_are_kept_one_of_each_journal(tmp_path) -> None:
    path, first = tmp_path / "kept.json", figures.load(figures.KEPT)[0]
    other = dataclasses.replace(first, journal="postgresql")
    newer = dataclasses.replace(first, seed=first.seed + 1)
    for found in (other, first, newer):
        figures.save(path, found)
    assert figures.load(path) == [newer, other]


def test_the_figures_say_what_to_type_for_the_same_plan() -> None:
    assert figures.command(7, 200, "sqlite") == "make chaos SEED=7 SESSIONS=200"
    again = figures.command(11, 80, "postgresql")
    assert again == "make chaos SEED=11 SESSIONS=80 JOURNAL=postgresql"


def nobody(*_, **__):
    raise ChaosError("nothing ended")


def test_a_run_that_fails_says_how_to_run_it_again(
    monkeypatch, capsys, tmp_path
) -> None:
    monkeypatch.setattr(chaos, "run", nobody)
    with pytest.raises(ChaosError):
        chaos.main(["--seed", "5", "--sessions", "9", "--folder", str(tmp_path)])
    assert "make chaos SEED=5 SESSIONS=9\n" in capsys.readouterr().out


def test_without_a_server_a_run_with_its_journal_fails_in_one_line(
    monkeypatch, capsys
) -> None:
    monkeypatch.setattr(postgres, "programs", missing)
    with pytest.raises(SystemExit) as ended:
        chaos.main(["--journal", "postgresql"])
    assert ended.value.code == 1
    assert capsys.readouterr().err == "error: initdb is missing\n"


def missing():
    raise postgres.NoServerError("initdb is missing")


@pytest.mark.parametrize("sessions", [1, 7, 8, 40, 200, 1000])
def test_the_worlds_of_a_run_share_its_sessions(sessions, tmp_path) -> None:
    assert sum(w.sessions for w in worlds(1, sessions, tmp_path)) == sessions
