"""`secagg simulate` reports one session, or plays a scenario."""

import csv
import json

import pytest
from typer.testing import CliRunner

from peers.cli import app

PROMISED = [
    "silos",
    "params",
    "drop",
    "u1",
    "u2",
    "u3",
    "u4",
    "u5",
    "exact",
    "max_abs_error",
    "client_seconds_median",
    "server_seconds",
    "bytes_up_per_client",
    "bytes_down_per_client",
    "peak_rss_mib",
]
SMALL = ["simulate", "--silos", "5", "--params", "40", "--seed", "7"]


def run(*args):
    return CliRunner().invoke(app, [*args])


def test_a_rotation_takes_the_vector_in_whole_blocks():
    row = json.loads(run(*SMALL, "--rotation", "--bits", "11", "--json").stdout)
    plain = json.loads(run(*SMALL, "--bits", "11", "--json").stdout)
    assert row["exact"] is True
    # 64 places in place of 40, and the count of those that saturate; 2 bytes each.
    more = row["bytes_up_per_client"] - plain["bytes_up_per_client"]
    assert 48 <= more <= 52


def test_json_has_every_promised_field():
    result = run(*SMALL, "--drop", "masked_input=1", "--json")
    row = json.loads(result.stdout)
    assert result.exit_code == 0
    assert set(PROMISED) <= set(row)
    assert row["exact"] is True
    assert (row["u2"], row["u3"]) == (5, 4)


def test_csv_rows_share_one_header(tmp_path):
    path = tmp_path / "costs.csv"
    for _ in range(2):
        assert run(*SMALL, "--csv", str(path)).exit_code == 0
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [row["silos"] for row in rows] == ["5", "5"]


def test_an_aborted_session_ends_with_code_one_and_names_who_is_missing():
    result = run(*SMALL, "--drop", "share_ack=3")
    assert result.exit_code == 1
    assert "aborted by rule 4.4-3" in result.stdout
    assert "silo-00" in result.stdout


def test_a_scenario_prints_a_row_a_round(tmp_path):
    path = tmp_path / "two.toml"
    path.write_text(
        "silos = 5\nparams = 10\n[[round]]\n[[round]]\naway = ['silo-002']\n"
    )
    rows = json.loads(run("simulate", "--scenario", str(path), "--json").stdout)
    assert [row["outcome"] for row in rows] == ["exact sum", "exact sum"]
    assert "silo-002" not in rows[1]["u0"]


MISTAKES = {
    'silos = "6"\nparams = 10\n': "silos must be a whole number",
    "silos = true\nparams = 10\n": "silos must be a whole number",
    "silos = 6\nparams = 1.5\n": "params must be a whole number",
    "silos = 6\n": "the key 'params' is missing",
    "silos = 6\nparams = 10\nround = [1]\n": "[[round]]",
    "silos = 6\nparams = 10\nrounds = 2\n": "unknown key 'rounds'",
    "silos = 6\nparams = 10\n[[round]]\ndrop = { masked_input = 3 }\n": "round 1: drop",
    'silos = 6\nparams = 10\n[[round]]\naway = "silo-003"\n': "round 1: away must be",
    "silos = 6\nparams = 10\n[[round]]\nslow = [3]\n": "round 1: slow must be",
    "silos = 6\nparams = 10\n[[round]]\nmalice = { silo-003 = 1 }\n": "malice must be",
    'silos = 6\nparams = 10\n[[round]]\nmalice = { silo-999 = "garbage" }\n': (
        "no party 'silo-999'"
    ),
    'silos = 6\nparams = 10\n[[round]]\nmalice = { silo-003 = "dance" }\n': "garbage",
    "silos = 6\nparams = 10\n[[round]]\naway = ['silo-999']\n": "no silo 'silo-999'",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_in_a_scenario_is_one_line_and_code_two(tmp_path, text) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    result = run("simulate", "--scenario", str(path))
    assert result.exit_code == 2
    assert MISTAKES[text] in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["--drop", "masked_input"], "ROUND=K"),
        (["--drop", "lunch=1"], "lunch"),
        (["--silos", "2"], "need 3 silos"),
        (["--scenario", "none.toml"], "none.toml"),
        (["--silos", "7", "-c", "3"], "2.2-1"),
    ],
)
def test_a_mistake_is_one_line_and_code_two(args, named):
    result = run("simulate", "--params", "10", *args)
    assert result.exit_code == 2
    assert named in result.stderr
    assert "Traceback" not in result.output
