"""peers.cli: what a person types, and what the command answers."""

import contextlib
import json
import re
import socket
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import secagg
from peers import passphrase
from peers.cli import app
from peers.config import load_aggregator, load_hospital
from peers.enrolment import read_card
from secagg.crypto import passphrase as sealing
from secagg.crypto.passphrase import Passphrase
from secagg.drivers.aggregator.journal import Journal
from secagg.identity import Identity
from secagg.names import PeerId

RUNNER = CliRunner()


def run(*arguments, **kwargs):
    """Run the command and return its result; an unexpected error is raised."""
    result = RUNNER.invoke(app, [str(argument) for argument in arguments], **kwargs)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def succeed(*arguments, **kwargs):
    result = run(*arguments, **kwargs)
    assert result.exit_code == 0, result.output
    return result


def refused(*arguments, **kwargs):
    """The one line with which the command fails."""
    result = run(*arguments, **kwargs)
    assert result.exit_code == 2, result.output
    lines = [line for line in result.stderr.splitlines() if "error:" in line]
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.output
    return lines[0]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder that is the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def enrolled(folder):
    """A consortium's key and roster with an aggregator and one hospital."""
    for peer in ("consortium", "agg", "bern"):
        succeed("identity", "new", peer, "--name", peer.title())
    accept("agg", "--role", "aggregator", "--consortium", "Cardio")
    accept("bern")
    return folder


def accept(peer, *options, roster="roster.json"):
    card = read_card_of(peer)
    return succeed(
        "roster", "accept", f"{peer}.card.json", "--roster", roster,
        "--key", "consortium.identity.json", "--fingerprint", card.fingerprint,
        *options,
    )  # fmt: skip


def read_card_of(peer):
    return read_card(Path(f"{peer}.card.json"))


def key_of_consortium():
    return read_card_of("consortium").key.hex()


def test_the_version_is_printed() -> None:
    assert secagg.__version__ in succeed("--version").stdout


def test_no_arguments_show_the_help() -> None:
    assert "identity" in run().output


# --- identity


def test_a_new_identity_is_for_its_owner_alone(folder) -> None:
    succeed("identity", "new", "bern")
    assert (folder / "bern.identity.json").stat().st_mode & 0o077 == 0
    assert "seed" not in (folder / "bern.card.json").read_text()


def test_a_new_identity_can_be_read_by_machines(folder) -> None:
    value = json.loads(succeed("identity", "new", "bern", "--json").stdout)
    assert value["fingerprint"] == read_card_of("bern").fingerprint


def test_an_identity_is_never_overwritten(folder) -> None:
    succeed("identity", "new", "bern")
    assert "exists" in refused("identity", "new", "bern")


def test_an_ill_formed_id_is_refused(folder) -> None:
    assert "a-z, 0-9 and -" in refused("identity", "new", "Bern Hospital")


def test_an_identity_is_shown_without_its_secret(folder) -> None:
    succeed("identity", "new", "bern")
    seed = json.loads((folder / "bern.identity.json").read_text())["seed"]
    for options in ([], ["--json"]):
        shown = succeed("identity", "show", "bern.identity.json", *options).stdout
        assert read_card_of("bern").fingerprint in shown
        assert seed not in shown


def test_a_card_is_written_again_with_a_name(folder) -> None:
    succeed("identity", "new", "bern")
    succeed(
        "identity", "show", "bern.identity.json", "--card", "again.json", "--name", "B"
    )
    assert json.loads((folder / "again.json").read_text())["name"] == "B"


def test_an_identity_that_others_may_read_is_refused(folder) -> None:
    succeed("identity", "new", "bern")
    (folder / "bern.identity.json").chmod(0o644)
    assert "chmod 600" in refused("identity", "show", "bern.identity.json")


def test_a_mistyped_path_says_where_it_looked(folder) -> None:
    line = refused("identity", "show", "brn.identity.json")
    assert "check the path" in line


WORDS = "correct horse battery"


def encrypted(folder):
    """Whether the identity of bern is, as its file says."""
    return "encrypted" in (folder / "bern.identity.json").read_text()


@pytest.fixture
def cheap(monkeypatch):
    """Let scrypt cost next to nothing."""
    monkeypatch.setattr(sealing, "_N", 2)


@pytest.mark.usefixtures("cheap")
def test_a_passphrase_is_set_changed_and_removed(folder) -> None:
    succeed("identity", "new", "bern")
    before = succeed("identity", "show", "bern.identity.json").stdout
    change = ("identity", "passphrase", "bern.identity.json")
    said = succeed(*change, input=f"{WORDS}\n{WORDS}\n")
    assert encrypted(folder)
    assert WORDS not in said.output
    other = "another long passphrase"
    succeed(*change, input=f"{WORDS}\n{other}\n{other}\n")
    assert "check the passphrase" in refused(*change, "--remove", input=f"{WORDS}\n")
    assert encrypted(folder)
    assert succeed("identity", "show", "bern.identity.json").stdout == before
    succeed(*change, "--remove", input=f"{other}\n")
    assert not encrypted(folder)


@pytest.mark.usefixtures("cheap")
def test_passphrases_are_taken_from_files(folder) -> None:
    for name in ("old", "new"):
        (folder / name).write_text(f"{name} {WORDS}\n")
        (folder / name).chmod(0o600)
    succeed("identity", "new", "bern", "--passphrase-file", "old")
    assert encrypted(folder)
    change = ("identity", "passphrase", "bern.identity.json", "--old-file", "old")
    succeed(*change, "--new-file", "new")
    assert "check the passphrase" in refused(*change, "--remove")


def test_a_short_passphrase_is_refused(folder) -> None:
    succeed("identity", "new", "bern")
    change = ("identity", "passphrase", "bern.identity.json")
    assert "12 or more" in refused(*change, input="short\nshort\n")
    assert not encrypted(folder)


def test_a_passphrase_is_removed_or_set(folder) -> None:
    succeed("identity", "new", "bern")
    change = ("identity", "passphrase", "bern.identity.json")
    assert "not both" in refused(*change, "--remove", "--new-file", "new")


@pytest.mark.usefixtures("cheap")
def test_an_identity_is_encrypted_from_the_first_moment(folder) -> None:
    succeed("identity", "new", "bern", "--encrypt", input=f"{WORDS}\n{WORDS}\n")
    assert encrypted(folder)
    assert read_card_of("bern").id == "bern"


@pytest.mark.usefixtures("cheap")
def test_the_next_key_of_an_encrypted_identity_has_its_passphrase(
    folder, monkeypatch
) -> None:
    succeed("identity", "new", "bern", "--encrypt", input=f"{WORDS}\n{WORDS}\n")
    known = Passphrase(WORDS)
    monkeypatch.setattr(passphrase, "asking", lambda path: lambda: known)
    succeed("identity", "rotate", "bern.identity.json")
    new = Identity.load(Path("bern.next.identity.json"), lambda: known)
    assert new.seed.hex() not in Path("bern.next.identity.json").read_text()
    assert read_card(Path("bern.next.card.json")).key == new.key.public


# --- roster


def test_a_roster_grows_by_accepting_cards(enrolled) -> None:
    listed = json.loads(succeed("roster", "show", "roster.json", "--json").stdout)
    assert listed["version"] == 2
    assert [member["id"] for member in listed["members"]] == ["agg", "bern"]


def test_the_first_roster_needs_a_name(folder) -> None:
    for peer in ("consortium", "bern"):
        succeed("identity", "new", peer)
    line = refused(
        "roster", "accept", "bern.card.json", "--roster", "roster.json", "--key",
        "consortium.identity.json", "--fingerprint", read_card_of("bern").fingerprint,
    )  # fmt: skip
    assert "--consortium NAME" in line


def test_a_card_with_another_fingerprint_is_refused(enrolled) -> None:
    succeed("identity", "new", "zug")
    line = refused(
        "roster", "accept", "zug.card.json", "--roster", "roster.json", "--key",
        "consortium.identity.json", "--fingerprint", read_card_of("bern").fingerprint,
    )  # fmt: skip
    assert "not the member's card" in line


@pytest.mark.parametrize(("answer", "version"), [("y\n", 3), ("n\n", 2)])
def test_a_person_is_asked_about_the_fingerprint(enrolled, answer, version) -> None:
    succeed("identity", "new", "zug")
    result = run(
        "roster", "accept", "zug.card.json", "--roster", "roster.json", "--key",
        "consortium.identity.json", input=answer,
    )  # fmt: skip
    assert (result.exit_code == 0) == (answer == "y\n")
    listed = json.loads(succeed("roster", "show", "roster.json", "--json").stdout)
    assert listed["version"] == version


def test_a_roster_of_another_consortium_is_not_signed_over(enrolled) -> None:
    succeed("identity", "new", "mallory")
    succeed("identity", "new", "zug")
    line = refused(
        "roster", "accept", "zug.card.json", "--roster", "roster.json", "--key",
        "mallory.identity.json", "--fingerprint", read_card_of("zug").fingerprint,
    )  # fmt: skip
    assert "2.1-2" in line
    assert "not signed by mallory, whose identity --key names" in line


def test_a_good_roster_is_confirmed(enrolled) -> None:
    shown = succeed(
        "roster", "check", "roster.json", "--consortium-key", key_of_consortium()
    )
    assert "signed by the consortium" in shown.stdout


def test_an_edited_roster_is_refused(enrolled) -> None:
    text = (enrolled / "roster.json").read_text()
    (enrolled / "roster.json").write_text(text.replace('"Bern"', '"Brn"'))
    line = refused(
        "roster", "check", "roster.json", "--consortium-key", key_of_consortium()
    )
    assert "2.1-2" in line


def signing(action, *options):
    return (
        "roster", action, *options, "--roster", "roster.json",
        "--key", "consortium.identity.json",
    )  # fmt: skip


def rotated(peer):
    succeed("identity", "rotate", f"{peer}.identity.json")
    card = f"{peer}.next.card.json"
    return card, read_card(Path(card)).fingerprint


def listed():
    return json.loads(succeed("roster", "show", "roster.json", "--json").stdout)


def test_a_member_gets_the_key_whose_card_its_old_key_signed(enrolled) -> None:
    (enrolled / "old.json").write_bytes((enrolled / "roster.json").read_bytes())
    card, read_out = rotated("bern")
    said = succeed(*signing("rotate", card, "--fingerprint", read_out)).stdout
    assert read_out in said.replace("\n", "")
    assert listed()["members"][1]["fingerprint"] == read_out
    line = refused(
        "roster", "check", "old.json", "roster.json", "--consortium-key",
        key_of_consortium(),
    )  # fmt: skip
    assert "bern: key" in line
    assert line.endswith("Use the newest on both sides: roster.json")


def test_2_1_7_a_new_key_that_the_old_one_did_not_sign_needs_a_word(enrolled) -> None:
    (enrolled / "bern.identity.json").unlink()
    succeed("identity", "new", "bern")
    read_out = read_card_of("bern").fingerprint
    command = signing("rotate", "bern.card.json", "--fingerprint", read_out)
    assert "2.1-7" in refused(*command)
    assert listed()["version"] == 2
    succeed(*command, "--old-key-lost")
    assert listed()["members"][1]["fingerprint"] == read_out


def test_accepting_another_key_of_a_member_names_the_right_command(enrolled) -> None:
    card, read_out = rotated("bern")
    line = refused(*signing("accept", card, "--fingerprint", read_out))
    assert "secagg roster rotate" in line


@pytest.mark.parametrize(("answer", "version"), [("y\n", 3), ("n\n", 2)])
def test_a_person_is_asked_before_a_member_is_revoked(enrolled, answer, version):
    result = run(*signing("revoke", "bern"), input=answer)
    assert read_card_of("bern").fingerprint in result.output
    assert listed()["version"] == version


def test_a_revoked_member_is_gone(enrolled) -> None:
    succeed(*signing("revoke", "bern", "--yes"))
    assert [member["id"] for member in listed()["members"]] == ["agg"]
    line = refused(*signing("revoke", "bern", "--yes"))
    assert "'bern' is not in version 3" in line


def test_an_identity_is_shown_with_the_digits_that_are_read_aloud(enrolled) -> None:
    shown = succeed("identity", "show", "bern.identity.json").stdout
    assert re.search(r"fingerprint +(\d{5}-){5}\d{5}", shown)


@pytest.fixture
def place(enrolled):
    """A program's file that names a roster of its own, and version 3 beside it."""
    key = key_of_consortium()
    path = enrolled / "program.toml"
    path.write_text(f'roster = "own.json"\nconsortium_key = "{key}"\nport = 1\n')
    (enrolled / "own.json").write_bytes((enrolled / "roster.json").read_bytes())
    succeed(*signing("revoke", "bern", "--yes"))
    return path


def test_a_newer_roster_is_installed_where_the_program_looks(place) -> None:
    succeed("roster", "install", "roster.json", "--config", str(place))
    own = json.loads(succeed("roster", "show", "own.json", "--json").stdout)
    assert own["version"] == 3


def test_2_1_6_an_older_roster_is_not_installed(place, enrolled) -> None:
    (enrolled / "old.json").write_bytes((enrolled / "own.json").read_bytes())
    succeed("roster", "install", "roster.json", "--config", str(place))
    line = refused("roster", "install", "old.json", "--config", str(place))
    assert "never goes back" in line


def test_2_1_5_a_forked_roster_is_not_installed(place, enrolled) -> None:
    succeed("roster", "install", "roster.json", "--config", str(place))
    (enrolled / "roster.json").write_bytes((enrolled / "own.json").read_bytes())
    fork = json.loads((enrolled / "roster.json").read_text())
    fork["versions"].pop()
    (enrolled / "roster.json").write_text(json.dumps(fork))
    succeed(*signing("revoke", "agg", "--yes"))
    line = refused("roster", "install", "roster.json", "--config", str(place))
    assert "2.1-5" in line
    assert "forked" in line


def test_two_rosters_that_agree_are_confirmed(enrolled) -> None:
    (enrolled / "copy.json").write_bytes((enrolled / "roster.json").read_bytes())
    shown = succeed(
        "roster", "check", "roster.json", "copy.json", "--consortium-key",
        key_of_consortium(), "--json",
    )  # fmt: skip
    assert json.loads(shown.stdout)["agree"] is True


def test_a_list_says_whether_the_signature_was_checked(enrolled) -> None:
    assert "not checked" in succeed("roster", "show", "roster.json").stdout
    checked = succeed(
        "roster", "show", "roster.json", "--consortium-key", key_of_consortium()
    )
    assert "signed by the consortium" in checked.stdout


def test_a_consortium_key_that_is_cut_is_refused(enrolled) -> None:
    line = refused("roster", "check", "roster.json", "--consortium-key", "abcd")
    assert "64 hexadecimal digits" in line


# --- the programs


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
    assert "there is no such file" in refused(program, "--config", "hopsital.toml")


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
    assert "fingerprint" in line


def test_an_identity_that_is_not_enrolled_is_one_line(hospital_file, enrolled) -> None:
    path = hospital_file()
    path.write_text(path.read_text() + '[policy]\nroster_updates = "pinned"\n')
    (enrolled / "bern.identity.json").unlink()
    succeed("identity", "new", "bern")
    line = refused("hospital", "--config", path)
    assert "rotate the key to ours" in line


AGGREGATOR = """
identity = "agg.identity.json"
roster = "roster.json"
consortium_key = "{key}"
state = "state"
[listen]
host = "127.0.0.1"
[task]
id = "cardio-1"
rounds = 1
clip = 1.0
[model]
{model}
"""
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


def test_a_hospital_that_was_left_out_is_readmitted(enrolled) -> None:
    text = AGGREGATOR.format(key=key_of_consortium(), model='factory = "ward:first"')
    (enrolled / "agg.toml").write_text(text)
    assert "no journal" in refused("readmit", "bern", "--config", "agg.toml")
    (enrolled / "state").mkdir()
    with contextlib.closing(Journal(enrolled / "state", members=2)) as journal:
        journal.blame("cardio-1", PeerId("bern"), "rule 4.7-6: bad shares")
        running = refused("readmit", "bern", "--config", "agg.toml")
    assert "stop that one first" in running
    told = succeed("readmit", "bern", "--config", "agg.toml").stdout
    assert "bern may take part in cardio-1 again" in told
    assert "rule 4.7-6: bad shares" in told
    assert "left out: nobody" in refused("readmit", "bern", "--config", "agg.toml")


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
