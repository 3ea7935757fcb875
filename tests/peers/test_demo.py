"""`secagg demo`: one short run with every kind of loss, and what it leaves behind."""

import csv
import dataclasses
import io
import json

import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from peers.cli import app
from peers.demo import figure, report, show, workplace
from peers.demo.plan import Point
from peers.demo.show import Wish

ROUNDS = 5


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The outcome of a run, what it printed, and its folders."""
    folder = tmp_path_factory.mktemp("demo")
    screen = io.StringIO()
    console = Console(file=screen, width=200, highlight=False)
    wish = Wish(
        kind="wdbc",
        data_folder=None,
        rounds=ROUNDS,
        epsilon=None,
        out=folder / "report",
        keep=folder / "kept",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workplace, "PHASE_SECONDS", 2.5)
        patch.setattr(workplace, "LINGER_SECONDS", 1.0)
        outcome = show.run(wish, console)
    return outcome, screen.getvalue(), folder


def test_every_check_holds(run) -> None:
    outcome, printed, _ = run
    assert [check.name for check in outcome.checks if not check.passed] == []
    assert "FAILS" not in printed


def test_hospitals_were_killed_at_every_point_and_two_at_once(run) -> None:
    outcome, _, _ = run
    assert {death.point for death in outcome.killed} == set(Point)
    assert len(outcome.killed) == 5
    assert len({death.round_no for death in outcome.killed}) == 4


def test_the_model_learned_what_averaging_in_the_clear_learns(run) -> None:
    outcome, _, _ = run
    assert outcome.accuracy[-1] > outcome.accuracy[0] + 0.1
    assert abs(outcome.accuracy[-1] - outcome.clear[-1]) < 0.02
    assert outcome.distance < 1e-3


def test_the_table_says_who_was_lost_where(run) -> None:
    outcome, printed, _ = run
    for death in outcome.killed:
        assert f"{death.hospital}: " in printed
    assert "before sharing keys" in printed
    assert "KiB of a hospital" in printed


def test_the_tables_fit_eighty_columns(run) -> None:
    outcome, _, _ = run
    screen = io.StringIO()
    report.show(outcome, Console(file=screen, width=80))
    rows = [line for line in screen.getvalue().splitlines() if " of 6 " in line]
    assert len(rows) == ROUNDS
    assert not any("…" in line for line in screen.getvalue().splitlines())


def test_the_json_report_is_complete(run) -> None:
    outcome, _, folder = run
    value = json.loads((folder / "report" / "report.json").read_text())
    assert value["passed"] is True
    assert len(value["rounds"]) == ROUNDS
    assert len(value["accuracy"]) == ROUNDS + 1
    assert value["terms"]["length"] >= 100_000
    assert value["rounds"][-1]["sets"]["u3"] == list(outcome.terms.hospitals)


def test_the_csv_has_a_row_a_round(run) -> None:
    outcome, _, folder = run
    with (folder / "report" / "rounds.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["round"]) for row in rows] == list(range(1, ROUNDS + 1))
    upload = outcome.terms.length * 19 / 8
    assert all(int(row["bytes_up_coast"]) > upload for row in rows)


def test_the_figure_is_a_picture_that_shows_the_losses(run, tmp_path) -> None:
    outcome, _, folder = run
    picture = Image.open(folder / "report" / "figure.png")
    assert picture.size == (1840, 1344)
    calm = [dataclasses.replace(one, lost={}) for one in outcome.reports]
    other = dataclasses.replace(outcome, reports=tuple(calm))
    drawn = Image.open(figure.write(other, tmp_path))
    assert drawn.convert("RGB").tobytes() != picture.convert("RGB").tobytes()


def test_an_upload_is_the_packed_vector_and_little_more(run) -> None:
    outcome, _, _ = run
    packed = outcome.terms.length * 19 / 8
    assert packed < report.bytes_up(outcome.reports[0]) < 1.1 * packed


def test_no_process_is_left(run) -> None:
    _, _, folder = run
    text = (folder / "kept" / "aggregator.log").read_text()
    assert "task_done" in text
    for silo in ("coast", "valley"):
        assert (folder / "kept" / f"{silo}.out").read_text() == ""


def test_a_failed_check_is_shown_and_titled(run, tmp_path) -> None:
    outcome, _, _ = run
    bad = dataclasses.replace(outcome.checks[0], passed=False)
    failed = dataclasses.replace(outcome, checks=(bad, *outcome.checks[1:]))
    screen = io.StringIO()
    report.show(failed, Console(file=screen, width=200))
    assert "FAILS" in screen.getvalue()
    assert figure._title(failed).endswith("a check failed")


def refused(*arguments):
    result = CliRunner().invoke(app, ["demo", *arguments])
    assert result.exit_code == 2
    return result.stderr


def test_too_few_rounds_are_refused_at_once() -> None:
    assert "--rounds 3 is below 5" in refused("--rounds", "3")


def test_an_unknown_data_set_is_refused_at_once() -> None:
    assert "wdbc, heart-disease" in refused("--data", "cifar")


def test_a_budget_below_zero_is_refused_at_once() -> None:
    assert "must be above 0" in refused("--epsilon", "-1")


def test_a_folder_that_exists_is_not_filled(tmp_path) -> None:
    assert "exists" in refused("--keep", str(tmp_path))
