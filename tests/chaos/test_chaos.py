"""A few sessions of chaos, as `make chaos` runs hundreds; the judge; the figures."""

import collections
import dataclasses

import pytest

from secagg import events, messages
from secagg.drivers.postgres import DatabaseUrl
from secagg.messages import Envelope
from secagg.names import SessionId
from tests import postgres
from tests.chaos import __main__ as chaos
from tests.chaos import figures, plan
from tests.chaos.judge import Judge
from tests.chaos.run import no_database, run, worlds
from tests.chaos.stage import ChaosError
from tests.chaos.testimony import Aggregator, Hospital

SEED = 7
SESSIONS = 2
SID = SessionId(bytes([7]) * 32)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request):
    """What makes the journal of a world."""
    if request.param == "sqlite":
        return no_database
    server = request.getfixturevalue("postgres_server")
    return lambda: DatabaseUrl(server.database())


def test_every_session_of_a_short_run_ends_exactly_or_cleanly(
    tmp_path, database
) -> None:
    found = run(
        SEED,
        SESSIONS,
        tmp_path,
        database=database,
        limit_seconds=120.0,
        journal=figures.SQLITE,
    )
    assert found.sessions >= SESSIONS
    assert found.exact + sum(found.aborted.values()) == found.sessions
    assert found.exact
    [terms] = worlds(SEED, SESSIONS, tmp_path)
    fired = {path.name for path in terms.fired().glob("*")}
    rounds = range(1, 10 * SESSIONS)
    assert {key.split(".")[1][:4] for key in fired} == {"aggr", "silo"}
    assert fired <= {
        kill.key for number in rounds for kill in plan.kills(terms, number)
    }


@pytest.fixture
def judge(tmp_path):
    """The judge of a world of one session, in which all is well."""
    [terms] = worlds(SEED, SESSIONS, tmp_path)
    u3 = terms.peers[1:]
    aggregator = Aggregator(began={SID: 1})
    account = {
        "sid": SID,
        "round_no": 1,
        "u3": u3,
        "sum": terms.sum(u3, 1).tolist(),
        "mean": b"digest",
        "link": bytes(32),
    }
    aggregator.outcomes[SID].append(account)
    return Judge(terms, aggregator, [])


def heard(judge, peer, body, type_="InputList"):
    """A hospital that was told a list."""
    envelope = Envelope(
        type=type_,
        sid=SID,
        sender=judge.terms.consortium.aggregator.id,
        receiver=messages.EVERYONE,
        body=body,
        signature=bytes(64),
    )
    event = events.Received(peer=envelope.sender, envelope=envelope)
    return Hospital(peer, [(event, [])], collections.defaultdict(list), [], [])


def test_the_judge_lets_a_good_session_pass(judge) -> None:
    judge.check()


def test_the_judge_tells_a_sum_that_is_off_by_one(judge) -> None:
    judge.aggregator.outcomes[SID][0]["sum"][0] += 1
    with pytest.raises(AssertionError, match="another sum"):
        judge.check()


def test_the_judge_tells_a_session_that_has_no_end(judge) -> None:
    judge.aggregator.began[bytes(32)] = 2
    with pytest.raises(AssertionError, match="without an end"):
        judge.check()


def test_the_judge_tells_a_session_that_ends_twice(judge) -> None:
    judge.aggregator.aborted[SID] = "4.6-4"
    with pytest.raises(AssertionError, match="both completed and aborted"):
        judge.check()


def test_the_judge_tells_two_lives_with_two_outcomes(judge) -> None:
    other = {**judge.aggregator.outcomes[SID][0], "mean": b"another"}
    judge.aggregator.outcomes[SID].append(other)
    with pytest.raises(AssertionError, match="two outcomes"):
        judge.check()


def test_the_judge_tells_a_mean_that_is_not_that_of_all(judge) -> None:
    peer = judge.terms.peers[0]
    u3 = judge.aggregator.outcomes[SID][0]["u3"]
    hospital = Hospital(peer, [], collections.defaultdict(list), [], [])
    hospital.means.append((SID, False, u3, b"another digest"))
    judge.hospitals = [hospital]
    with pytest.raises(AssertionError, match="another mean"):
        judge.check()


def test_the_judge_tells_two_lists_for_one_session(judge) -> None:
    one, other, *_ = judge.terms.peers
    judge.hospitals = [heard(judge, one, b"one"), heard(judge, other, b"other")]
    with pytest.raises(AssertionError, match="2 of InputList"):
        judge._check_one_story()


def test_the_judge_tells_a_second_vote(judge) -> None:
    judge.aggregator.accepted[SID, judge.terms.peers[0], "Consistency"] = {b"1", b"2"}
    with pytest.raises(AssertionError, match="two Consistency"):
        judge.check()


def test_the_judge_tells_a_vote_that_nobody_sent(judge) -> None:
    judge.aggregator.accepted[SID, judge.terms.peers[0], "Consistency"] = {b"1"}
    with pytest.raises(AssertionError, match="never sent"):
        judge.check()


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
