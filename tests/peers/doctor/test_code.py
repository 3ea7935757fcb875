"""peers.doctor.code: packages, trainer and model are loaded, and not run."""

import importlib.util

import pytest

from peers.config import load_aggregator, load_hospital
from peers.doctor import code
from peers.doctor.findings import Level, Report
from tests.peers.doctor.sites import AGGREGATOR_FILE, HOSPITAL_FILE, WARD, fields, found


@pytest.mark.parametrize(
    ("given", "packages"),
    [
        ("", []),
        ('engine = "triton"\n', ["torch", "triton"]),
        ('engine = "numba-threads"\n', ["numba"]),
    ],
)
def test_what_the_configuration_asks_for_is_known(consortium, given, packages) -> None:
    consortium.write("infirmary.py", WARD)
    text = given + fields(HOSPITAL_FILE, consortium)
    config = load_hospital(consortium.write("bern.toml", text))
    assert [row[0] for row in code.hospital_packages(config)] == packages


def test_torch_is_asked_for_by_the_framework(consortium) -> None:
    text = fields(HOSPITAL_FILE, consortium).replace('"numpy"', '"torch"')
    config = load_hospital(consortium.write("bern.toml", text))
    assert code.hospital_packages(config)[0][:2] == ("torch", "torch")


def test_noise_and_a_cluster_ask_for_their_packages(consortium) -> None:
    text = fields(AGGREGATOR_FILE, consortium) + (
        "[privacy]\nnoise_multiplier = 1.0\nepsilon = 8.0\ndelta = 1e-5\n"
        '[unmasking]\ndask = "tls://x:1"\n'
        '[journal]\nurl = "postgresql:///x?host=/nowhere"\n'
    )
    config = load_aggregator(consortium.write("agg.toml", text))
    assert [row[0] for row in code.aggregator_packages(config)] == [
        "dp_accounting",
        "psycopg",
        "distributed",
    ]


def test_a_package_that_is_missing_fails_with_its_extra(monkeypatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    report = Report()
    code.check_packages(report, [("numba", "fast", "engine")])
    level, said = found(report, "packages")
    assert level is Level.FAILED
    assert "pip install 'secagg[fast]'" in said


@pytest.mark.parametrize(
    ("trainer", "level", "said"),
    [
        ("infirmary:train", Level.OK, "takes (state_dict, round_info)"),
        ("infirmary:alone", Level.FAILED, "two positional parameters"),
        ("infirmary:trian", Level.FAILED, "it has:"),
        ("infirmery:train", Level.FAILED, "did you mean 'infirmary'"),
    ],
)
def test_the_trainer_is_loaded_and_not_run(
    consortium, bern, trainer, level, said
) -> None:
    bern.write_text(bern.read_text().replace("infirmary:train", trainer))
    report = Report()
    code.check_trainer(report, load_hospital(bern), consortium.folder)
    assert found(report, "trainer")[0] is level
    assert said in found(report, "trainer")[1]


def test_the_model_is_made_and_not_stored(consortium, agg) -> None:
    report = Report()
    task = code.check_model(report, load_aggregator(agg), consortium.folder)
    assert task is not None
    assert task.length == 500
    assert not (consortium.folder / "state").exists()


def test_a_factory_that_does_not_load_fails(consortium, agg) -> None:
    agg.write_text(agg.read_text().replace("infirmary:first", "infirmary:last"))
    report = Report()
    assert code.check_model(report, load_aggregator(agg), consortium.folder) is None
    assert found(report, "model")[0] is Level.FAILED
