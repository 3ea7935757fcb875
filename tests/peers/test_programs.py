"""peers.hospital and peers.aggregator, run together."""

import contextlib
import http.client
import itertools
import json
import sys
import threading

import numpy as np
import pytest

from peers import enrolment, model_file, records
from peers.aggregator import AggregatorProgram
from peers.card import EnrolmentError
from peers.demo.processes import free_port
from peers.model_guard import architecture
from peers.toml_file import ConfigError
from peers.training import TrainerError, TrainResult
from secagg import errors, tensors
from secagg.device.chunks import DeviceChunks
from secagg.drivers.aggregator.journal import Journal
from secagg.drivers.aggregator.settings import Settings
from secagg.names import PeerId
from secagg.roster_chain import RosterChain
from tests.peers.programs import (
    BITS,
    FIRST,
    HOSPITALS,
    METRIC,
    WEIGHTS,
    Programs,
    mean_step,
    step_of,
    train,
)


async def test_the_model_moves_by_the_weighted_mean_round_by_round(tmp_path) -> None:
    programs = Programs(tmp_path)
    await programs.run()
    moved, steps = programs.moved()
    bound = sum(report.error_bound or 0.0 for report in programs.reports) + 1e-6
    assert np.abs(moved - 2 * mean_step(HOSPITALS)).max() <= bound
    assert steps == 3


@pytest.mark.usefixtures("fast_interpreter")
async def test_a_hospital_with_a_gpu_takes_part_like_any_other(
    tmp_path, monkeypatch
) -> None:
    made = []
    chunk = DeviceChunks.chunk

    def noted(chunks, index):
        made.append(index)
        return chunk(chunks, index)

    here = []
    difference = tensors.difference

    def noted_here(*given):
        here.append(1)
        return difference(*given)

    monkeypatch.setattr(DeviceChunks, "chunk", noted)
    monkeypatch.setattr(tensors, "difference", noted_here)
    programs = Programs(tmp_path, rounds=1)
    programs.engines["bern"] = "triton"
    await programs.run()
    (done,) = programs.named("bern", "round_done")
    assert done["included"] is True
    assert made == [0]
    assert len(here) == len(HOSPITALS) - 1
    moved, _ = programs.moved()
    bound = sum(report.error_bound or 0.0 for report in programs.reports) + 1e-6
    assert np.abs(moved - mean_step(HOSPITALS)).max() <= bound


async def test_a_report_says_who_was_in_the_sum_and_what_it_cost(tmp_path) -> None:
    programs = Programs(tmp_path, rounds=1)
    await programs.run()
    (report,) = records.read(tmp_path / "agg-state")
    assert report == programs.reports[0]
    assert report.status == "released"
    assert report.sets["u3"] == list(HOSPITALS)
    assert report.lost == {}
    assert report.absent == {}
    assert report.weight == sum(WEIGHTS.values())
    steps = [step_of(silo) for silo in HOSPITALS]
    assert report.metrics["loss"] == pytest.approx(-np.mean(steps))
    assert report.epsilon is None
    assert set(report.bytes) == set(HOSPITALS)
    assert report.seconds["masked_input"] > 0
    assert report.model_after == model_file.model_hash(programs.store.read()).hex()


async def test_both_sides_log_names_and_numbers(tmp_path) -> None:
    programs = Programs(tmp_path, rounds=1)
    await programs.run()
    (done,) = programs.named("bern", "round_done")
    assert done["included"] is True
    assert done["in_the_sum"] == list(HOSPITALS)
    (over,) = programs.named("agg", "round_done")
    assert over["session"] == done["session"]
    (training,) = programs.named("bern", "training_done")
    assert training["metrics"] == ["loss"]
    assert not any("weight" in event for event in programs.events("bern"))


async def test_a_restarted_aggregator_goes_on_with_its_model(tmp_path) -> None:
    await Programs(tmp_path, rounds=1).run()
    again = Programs(tmp_path, rounds=3)
    await again.run()
    assert [report.round for report in again.reports] == [2, 3]
    moved, _ = again.moved()
    assert np.abs(moved - 3 * mean_step(HOSPITALS)).max() < 0.01
    assert [report.round for report in records.read(tmp_path / "agg-state")] == [
        1,
        2,
        3,
    ]


async def test_a_disk_that_fails_ends_the_program_and_a_restart_goes_on(
    tmp_path, monkeypatch
) -> None:
    really, failures = Journal.add_link, [errors.StateError("the disk is full")]

    def add_link(self, task_id, link, past):
        if failures:
            raise failures.pop()
        really(self, task_id, link, past)

    monkeypatch.setattr(Journal, "add_link", add_link)
    programs = Programs(tmp_path, rounds=1)
    with pytest.raises(errors.StateError, match="the disk is full"):
        await programs.run()
    assert programs.reports == []
    again = Programs(tmp_path, rounds=1)
    # The sum was opened: nobody has to come back for it.
    await again.run(silos=())
    assert [report.status for report in again.reports] == ["released"]


async def test_a_finished_task_stays_finished(tmp_path) -> None:
    await Programs(tmp_path, rounds=1).run()
    again = Programs(tmp_path, rounds=1)
    await again.run(silos=())
    assert again.reports == []


async def test_another_task_does_not_take_over_a_state_directory(tmp_path) -> None:
    first = Programs(tmp_path, rounds=1)
    await first.run()
    again = Programs(tmp_path, rounds=1, task="cardio-2")
    with pytest.raises(errors.StateError, match="its own state directory"):
        await again.run(silos=())
    assert [report.task for report in records.read(tmp_path / "agg-state")] == [
        "cardio-1"
    ]


async def test_another_first_model_does_not_go_unnoticed(tmp_path) -> None:
    await Programs(tmp_path, rounds=1).run()
    other = {**FIRST, "b": np.ones(4)}
    (tmp_path / "first.safetensors").write_bytes(model_file.save(other))
    with pytest.raises(errors.StateError, match="began with a file of SHA-256"):
        await Programs(tmp_path, rounds=2).run(silos=())


async def test_a_slow_hospital_is_told_and_trains_on_the_next_model(tmp_path) -> None:
    programs = Programs(tmp_path, rounds=2, ready_deadline=1.0)
    first_is_over = threading.Event()

    def slow(state, info):
        if info.round_no == 1:
            first_is_over.wait(30)
        return train(state, info)

    def watching(state, info):
        if info.round_no == 2:
            first_is_over.set()
        return train(state, info)

    programs.trainers |= {"zug": slow, "bern": watching}
    await programs.run()
    first, second = programs.reports
    assert "zug" not in first.sets["u0"]
    assert "zug" in first.absent
    assert "zug" in second.sets["u3"] or "zug" in second.absent
    assert programs.named("zug", "round_missed")


async def test_a_round_does_not_wait_for_who_is_not_expected(tmp_path) -> None:
    here = HOSPITALS[:-1]
    programs = Programs(tmp_path, rounds=1, expected=f"expected = {list(here)}")
    await programs.run(silos=here)
    (report,) = programs.reports
    assert report.sets["u3"] == list(here)
    assert report.absent == {"zug": records.NOT_CONNECTED}


async def test_a_stranger_cannot_be_expected(tmp_path) -> None:
    programs = Programs(tmp_path, expected='expected = ["lausanne"]')
    with pytest.raises(ConfigError, match=r"lausanne.*which has basel, bern"):
        await programs.run(silos=())


async def test_a_trainer_that_keeps_failing_ends_its_program_alone(tmp_path) -> None:
    programs = Programs(tmp_path, rounds=4, ready_deadline=0.5)

    def broken(state, info):
        raise KeyError("patients")

    programs.trainers["zug"] = broken
    done = await programs.run()
    assert done["zug"]
    assert isinstance(programs.ended["zug"], TrainerError)
    assert "KeyError (test_programs.py, line" in str(programs.ended["zug"])
    assert "patients" not in str(programs.ended["zug"])
    event = programs.named("zug", "trainer_failed")[0]
    assert event["error"] == "KeyError"
    assert "in broken" in event["place"]
    assert all(report.status == "released" for report in programs.reports)


async def test_what_a_trainer_said_is_shown_and_not_logged(tmp_path) -> None:
    programs = Programs(tmp_path, rounds=1, ready_deadline=0.5)

    def broken(state, info):
        raise ValueError("patient 4711 has no age")

    programs.trainers["zug"] = broken
    await programs.run()
    assert any("patient 4711" in text for text in programs.shown)
    assert "4711" not in (tmp_path / "zug.log").read_text()


async def test_a_trainer_that_exits_ends_its_program_alone(tmp_path) -> None:
    programs = Programs(tmp_path, rounds=4, ready_deadline=0.5)

    def leaving(state, info):
        sys.exit("no GPU")

    programs.trainers["zug"] = leaving
    await programs.run()
    assert isinstance(programs.ended["zug"], TrainerError)
    assert "last with SystemExit" in str(programs.ended["zug"])


def refusing(kind: str) -> tuple[dict[str, str], str]:
    """The terms by which a hospital declines the task, and what it says of them."""
    other = bytes(32).hex()
    model = model_file.save(FIRST)
    found = {
        "tasks": "task cardio-1",
        "models": f"model {model_file.model_hash(model).hex()}",
        "architectures": f"architecture {architecture(model).hex()}",
    }[kind]
    terms = {
        "tasks": {"tasks": 'tasks = ["kidney"]'},
        "models": {"min_bits": f'8\nmodels = ["{other}"]'},
        "architectures": {"metrics": f'{METRIC}]\narchitectures = ["{other}"'},
    }[kind]
    return terms, f"{found} is not among the 1 of {kind} (this hospital's policy)"


@pytest.mark.parametrize("kind", ["tasks", "models", "architectures"])
async def test_8_10_what_a_policy_declines_is_in_both_logs_and_nobody_waits_for_it(
    tmp_path, kind
) -> None:
    terms, detail = refusing(kind)
    # At the deadline the test would be over: the round must not wait for it.
    programs = Programs(tmp_path, rounds=1, ready_deadline=600.0)
    programs.own["zug"] = terms
    trained = []

    def noting(state, info):
        trained.append(info)
        return train(state, info)

    programs.trainers["zug"] = noting
    await programs.run()
    assert trained == []
    (report,) = programs.reports
    assert report.sets["u0"] == list(HOSPITALS[:4])
    assert report.absent == {"zug": f"{records.DECLINED} by rule 4.1-5: {detail}"}
    (here,) = programs.named("zug", "round_declined")
    (there,) = programs.named("agg", "peer_declined")
    for said in (here, there):
        assert (said["rule"], said["detail"]) == ("4.1-5", detail)
        assert (said["round"], said["level"]) == (1, "warning")
    assert (here["task"], there["peer"]) == ("cardio-1", "zug")
    assert bytes(32).hex() not in (tmp_path / "agg.log").read_text()


async def test_an_input_that_does_not_fit_is_refused_at_home(tmp_path) -> None:
    programs = Programs(tmp_path, rounds=1, ready_deadline=0.5)

    def diverged(state, info):
        result = train(state, info)
        state = dict(result.state_dict)
        state["w"] = state["w"] * np.nan
        return TrainResult(state, result.weight, result.metrics)

    programs.trainers["zug"] = diverged
    await programs.run()
    assert programs.named("zug", "input_refused")
    assert any("'w'" in text for text in programs.shown)
    assert programs.reports[0].sets["u3"] == list(HOSPITALS[:4])


async def test_a_weight_above_the_tasks_is_refused_at_home(tmp_path) -> None:
    programs = Programs(tmp_path, rounds=1)

    def heavy(state, info):
        return TrainResult(train(state, info).state_dict, 51, {"loss": 0})

    programs.trainers["zug"] = heavy
    await programs.run()
    assert "contribution.py" in programs.named("zug", "input_refused")[0]["place"]
    assert any("weight 51" in text for text in programs.shown)
    assert "weight 51" not in (tmp_path / "zug.log").read_text()
    assert programs.reports[0].sets["u3"] == list(HOSPITALS[:4])


async def test_the_task_stops_before_a_round_that_its_budget_cannot_pay(
    tmp_path,
) -> None:
    privacy = "[privacy]\nnoise_multiplier = 3.0\nepsilon = 2.5\ndelta = 1e-5\n"
    programs = Programs(
        tmp_path, rounds=5, weights="", extras="", metrics="", privacy=privacy
    )
    programs.trainers = dict.fromkeys(
        HOSPITALS, lambda state, info: TrainResult(train(state, info).state_dict)
    )
    with pytest.raises(errors.ReleaseRefused, match="2 releases have spent"):
        await programs.run()
    spent = [report.epsilon or 0.0 for report in programs.reports]
    assert len(spent) == programs.store.mark.completed == 2
    assert 0 < spent[0] < spent[1] <= 2.5


async def test_a_discarded_round_costs_nothing_of_the_budget(tmp_path) -> None:
    privacy = "[privacy]\nnoise_multiplier = 3.0\nepsilon = 2.5\ndelta = 1e-5\n"
    terms = {"weights": "", "extras": "", "metrics": "", "privacy": privacy}
    programs = Programs(tmp_path, rounds=1, **terms)
    programs.trainers = dict.fromkeys(
        HOSPITALS, lambda state, info: TrainResult(train(state, info).state_dict)
    )
    await programs.run()
    mark = tmp_path / "agg-state" / "model" / "mark.json"
    mark.write_text(mark.read_text().replace('"completed": 1', '"completed": 2'))
    again = Programs(tmp_path, rounds=3, **terms)
    again.trainers = programs.trainers
    await again.run()
    assert again.reports[-1].status == "released"
    assert again.store.mark.completed == 3


async def test_who_is_left_out_is_named_at_the_start_and_in_the_report(
    tmp_path,
) -> None:
    await Programs(tmp_path, rounds=1).run()
    with contextlib.closing(Journal(tmp_path / "agg-state", members=6)) as journal:
        journal.blame("cardio-1", PeerId("zug"), "rule 4.7-6: bad shares")
    again = Programs(tmp_path, rounds=2)
    await again.run()
    (named,) = again.named("agg", "left_out")
    assert (named["hospital"], named["reason"]) == ("zug", "rule 4.7-6: bad shares")
    assert "secagg readmit zug" in named["remedy"]
    (report,) = again.reports
    assert report.sets["u3"] == list(HOSPITALS[:4])
    assert report.absent["zug"].endswith("rule 4.7-6: bad shares")


async def test_a_round_that_failed_before_a_crash_is_reported_at_the_start(
    tmp_path, monkeypatch
) -> None:
    no_patience(monkeypatch)

    def crash(*_):
        raise errors.StateError("the power went")

    first = Programs(tmp_path, rounds=1, min_bits=20, ready_deadline=1.0)
    with monkeypatch.context() as patch:
        patch.setattr(AggregatorProgram, "_aborted", crash)
        with pytest.raises(errors.StateError, match="the power went"):
            await first.run()
    assert records.read(tmp_path / "agg-state") == []
    again = Programs(tmp_path, rounds=1)
    await again.run()
    lost, done = records.read(tmp_path / "agg-state")
    assert (lost.round, lost.status) == (1, "aborted")
    assert lost.sets["u0"] == list(HOSPITALS)
    assert "min_bits" in lost.lost["bern"]["reason"]
    assert (done.round, done.status) == (2, "released")


def no_patience(monkeypatch):
    """Let nobody wait for hospitals to come back: they are all here."""
    defaults = Settings.__init__.__kwdefaults__
    monkeypatch.setitem(defaults, "reconnect_seconds", 0.2)


async def test_rounds_that_no_hospital_joins_are_reported_and_end(
    tmp_path, monkeypatch
) -> None:
    no_patience(monkeypatch)
    programs = Programs(tmp_path, rounds=1, min_bits=20, ready_deadline=1.0)
    with pytest.raises(errors.SessionAborted):
        await programs.run()
    assert [report.status for report in programs.reports] == ["aborted"] * 3
    assert [report.round for report in programs.reports] == [1, 2, 3]
    for report in programs.reports:
        assert report.sets["u0"] == list(HOSPITALS)
        assert "min_bits" in report.lost["bern"]["reason"]
    assert programs.store.read() == (tmp_path / "first.safetensors").read_bytes()
    both_values = f"bits {BITS} is below min_bits 20"
    for silo in HOSPITALS:
        own = programs.named(silo, "session_aborted")
        assert {event["code"] for event in own} == {"4.1-5"}
        assert all(both_values in event["detail"] for event in own)
    told = programs.named("agg", "peer_dropped")
    assert {event["peer"] for event in told} == set(HOSPITALS)
    assert {event["rule"] for event in told} == {"4.1-5"}
    assert all(both_values in event["detail"] for event in told)


async def test_2_1_5_a_hospital_with_a_forked_roster_ends_with_the_remedy(
    tmp_path,
) -> None:
    programs = Programs(tmp_path, rounds=1, ready_deadline=0.5)
    await programs.run()
    chain = enrolment.verified(tmp_path / "roster.json", programs.signer.key.public)
    members = [one for one in chain.newest.members if one.id != "bern"]
    fork = RosterChain.founded("Cardio", members, programs.signer.key)
    enrolment.write_roster(tmp_path / "fork.json", fork)
    again = Programs(tmp_path, rounds=2, ready_deadline=0.5)
    again.rosters["zug"] = tmp_path / "fork.json"
    await again.run()
    ended = again.ended["zug"]
    assert isinstance(ended, EnrolmentError)
    assert "forked" in str(ended)


async def test_both_programs_tell_who_watches_them_how_they_are(tmp_path) -> None:
    programs = Programs(tmp_path, rounds=1)
    ports = {party: free_port() for party in ("agg", "bern")}
    programs.health = {party: f"127.0.0.1:{ports[party]}" for party in ports}
    said = {}

    def asking(state, info):
        """Ask as a supervisor would, from the trainer's thread."""
        for party, path in itertools.product(ports, ("/healthz", "/readyz")):
            line = http.client.HTTPConnection("127.0.0.1", ports[party], timeout=20)
            line.request("GET", path)
            answer = line.getresponse()
            said[party, path] = (answer.status, json.loads(answer.read()))
            line.close()
        return train(state, info)

    programs.trainers["bern"] = asking
    await programs.run()
    assert [report.status for report in programs.reports] == ["released"]
    assert {status for status, _ in said.values()} == {200}
    assert said["agg", "/healthz"][1]["journal"] == "ok"
    assert said["agg", "/readyz"][1]["hospitals"] == 5
    assert said["bern", "/readyz"][1]["connected"] is True
    assert not any(silo in str(said["agg", "/readyz"]) for silo in HOSPITALS)
