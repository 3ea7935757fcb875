"""peers.commands.run: what keeps a program from starting, in one line."""

import socket
import sys

import pytest

from peers.config import load_aggregator, load_hospital
from secagg import errors
from secagg.drivers.aggregator.journal import Journal
from tests.peers.commands.typed import (
    AGGREGATOR,
    key_of_consortium,
    read_card_of,
    refused,
    succeed,
)


def test_an_example_is_written_for_each_program(enrolled) -> None:
    for program, identity in (("aggregator", "aggregator"), ("hospital", "bern")):
        text = succeed(program, "--example").stdout
        (enrolled / f"{program}.toml").write_text(
            text.replace("0" * 64, key_of_consortium())
        )
        (enrolled / f"{identity}.identity.json").touch()
    (enrolled / "first-model.safetensors").touch()
    assert load_aggregator(enrolled / "aggregator.toml").task.id == "cardio-1"
    hospital = load_hospital(enrolled / "hospital.toml")
    assert hospital.training.options == {"patients": "patients.npz"}


@pytest.mark.parametrize("program", ["aggregator", "hospital"])
def test_a_program_without_its_file_says_how_to_get_one(folder, program) -> None:
    assert f"secagg {program} --example" in refused(program)


@pytest.mark.parametrize("program", ["aggregator", "hospital"])
def test_a_mistyped_file_is_one_line(folder, program) -> None:
    assert "there is no file hopsital.toml" in refused(
        program, "--config", "hopsital.toml"
    )


HOSPITAL = """
aggregator = "wss://127.0.0.1:1"
identity = "bern.identity.json"
roster = "roster.json"
consortium_key = "{key}"
state = "state"
[training]
trainer = "{trainer}"
framework = "numpy"
"""


@pytest.fixture
def hospital_file(enrolled):
    """Write a hospital's file with this trainer and key; return its path."""

    def write(*, trainer="ward:train", key=None):
        (enrolled / "ward.py").write_text("def train(state, info): ...\n")
        text = HOSPITAL.format(key=key or key_of_consortium(), trainer=trainer)
        (enrolled / "hospital.toml").write_text(text)
        return enrolled / "hospital.toml"

    yield write
    sys.modules.pop("ward", None)


def test_a_mistyped_trainer_is_one_line(hospital_file) -> None:
    path = hospital_file(trainer="ward:trian")
    assert "it has: train" in refused("hospital", "--config", path)


def test_a_roster_of_another_consortium_is_one_line(hospital_file) -> None:
    path = hospital_file(key=read_card_of("agg").key.hex())
    line = refused("hospital", "--config", path)
    assert "2.1-2" in line
    assert "another fingerprint, correct `consortium_key`" in line


def test_an_identity_that_is_not_enrolled_is_one_line(hospital_file, enrolled) -> None:
    path = hospital_file()
    path.write_text(path.read_text() + '[policy]\nroster_updates = "pinned"\n')
    (enrolled / "bern.identity.json").unlink()
    succeed("identity", "new", "bern")
    line = refused("hospital", "--config", path)
    assert "rotate the key to ours" in line


MODELS = {
    'factory = "ward:one"': "returned a int, not a state_dict",
    'factory = "ward:counters"': "'steps' is int64",
    'path = "roster.json"': "not a safetensors file",
}


@pytest.mark.parametrize("model", MODELS)
def test_a_model_that_cannot_be_aggregated_is_one_line(enrolled, model) -> None:
    (enrolled / "ward.py").write_text(
        "import numpy as np\n"
        "def one(): return 1\n"
        "def counters(): return {'w': np.ones(2), 'steps': np.ones(2, np.int64)}\n"
    )
    text = AGGREGATOR.format(key=key_of_consortium(), model=model)
    (enrolled / "agg.toml").write_text(text)
    try:
        assert MODELS[model] in refused("aggregator", "--config", "agg.toml")
    finally:
        sys.modules.pop("ward", None)


def test_an_address_in_use_is_one_line(enrolled) -> None:
    (enrolled / "ward.py").write_text(
        "import numpy as np\ndef first(): return {'w': np.ones(2)}\n"
    )
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        text = AGGREGATOR.format(
            key=key_of_consortium(), model='factory = "ward:first"'
        ).replace("[task]", f"port = {port}\n[task]")
        (enrolled / "agg.toml").write_text(text)
        try:
            line = refused("aggregator", "--config", "agg.toml")
        finally:
            sys.modules.pop("ward", None)
    assert "in use" in line
    assert str(port) in line


def test_a_journal_that_cannot_be_written_ends_the_program_in_one_line(
    enrolled, monkeypatch
) -> None:
    """For a supervisor, who starts it again: the round goes on from the journal."""

    def full(self, *row):
        raise errors.StateError("the disk is full: free some space and start again")

    monkeypatch.setattr(Journal, "open_round", full)
    (enrolled / "ward.py").write_text(
        "import numpy as np\ndef first(): return {'w': np.ones(2)}\n"
    )
    text = AGGREGATOR.format(key=key_of_consortium(), model='factory = "ward:first"')
    text = text.replace("[task]", "port = 0\n[task]")
    (enrolled / "agg.toml").write_text(text)
    try:
        line = refused("aggregator", "--config", "agg.toml")
    finally:
        sys.modules.pop("ward", None)
    assert "the disk is full" in line


def test_the_other_programs_file_is_one_line(hospital_file, enrolled) -> None:
    text = AGGREGATOR.format(key=key_of_consortium(), model='factory = "ward:first"')
    (enrolled / "agg.toml").write_text(text)
    line = refused("hospital", "--config", "agg.toml")
    assert "agg.toml is an aggregator's file: give a hospital's" in line
    line = refused("aggregator", "--config", hospital_file())
    assert "hospital.toml is a hospital's file: give an aggregator's" in line
