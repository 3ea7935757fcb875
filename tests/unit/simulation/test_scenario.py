"""Scenarios script losses, returns, slow members and malice, round by round."""

import pytest

from secagg import errors
from secagg.simulation.scenario import RoundScript, Scenario, play

TOML = """
silos = 6
params = 30
seed = 7

[[round]]
drop = { masked_input = ["silo-002"] }

[[round]]
away = ["silo-003"]
slow = ["silo-004"]

[[round]]
malice = { silo-005 = "garbage" }
"""


def outcomes(*rounds, silos=6):
    return list(play(Scenario(silos=silos, params=30, seed=7, rounds=rounds)))


def test_a_scenario_file_plays_its_rounds(tmp_path):
    path = tmp_path / "scenario.toml"
    path.write_text(TOML)
    first, second, third = play(Scenario.load(path))
    assert "silo-002" not in first.sets["u3"]
    assert "silo-003" not in second.sets["u0"]
    assert "silo-004" not in second.sets["u3"]
    assert "silo-004" in second.sets["u4"]
    assert "silo-002" in second.sets["u3"]
    assert third.result.status == "discarded"
    assert not third.released
    with pytest.raises(errors.ReleaseRefused, match="discarded"):
        assert third.mean.size


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("silos = 4\nparams = 3\nspeed = 2", "speed"),
        ("silos = 4", "params"),
        ("silos =", "scenario.toml"),
        ("silos = 4\nparams = 3\n[[round]]\ndorp = {}", "dorp"),
        ("silos = 4\nparams = 3\nround = 5", "round"),
        (f"silos = {'[' * 9999}", "scenario.toml"),
        (f"silos = {'9' * 9999}", "scenario.toml"),
    ],
)
def test_a_scenario_file_with_a_mistake_is_refused_by_name(tmp_path, text, named):
    path = tmp_path / "scenario.toml"
    path.write_text(text)
    with pytest.raises(errors.ParameterError, match=named):
        Scenario.load(path)


def test_a_scenario_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(errors.ParameterError, match="No such file"):
        Scenario.load(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("script", "named"),
    [
        (RoundScript(away=("silo-009",)), "silo-009"),
        (RoundScript(drop={"lunch": ("silo-001",)}), "lunch"),
        (RoundScript(malice={"silo-001": "charm"}), "charm"),
        (RoundScript(malice={"aggregator": "garbage"}), "garbage"),
    ],
)
def test_a_script_that_names_what_is_not_there_is_refused(script, named):
    with pytest.raises(errors.ParameterError, match=named):
        outcomes(script)
