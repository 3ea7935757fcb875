"""peers.commands.identity: secret files, cards and passphrases."""

import json
from pathlib import Path

import pytest

from peers import passphrase
from peers.card import read_card
from secagg.crypto import passphrase as sealing
from secagg.crypto.passphrase import Passphrase
from secagg.identity import Identity
from tests.peers.commands.typed import read_card_of, refused, succeed


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
    new = Identity.load(Path("bern.2.identity.json"), lambda: known)
    assert new.seed.hex() not in Path("bern.2.identity.json").read_text()
    assert read_card(Path("bern.2.card.json")).key == new.key.public


def test_each_key_has_files_of_its_own(folder) -> None:
    succeed("identity", "new", "bern")
    succeed("identity", "rotate", "bern.identity.json")
    assert "exists" in refused("identity", "rotate", "bern.identity.json")
    succeed("identity", "rotate", "bern.2.identity.json")
    assert (
        read_card(Path("bern.3.card.json")).old_key
        == read_card(Path("bern.2.card.json")).key
    )


@pytest.mark.parametrize(
    "command", [("rotate",), ("passphrase",), ("show", "--card", "again.json")]
)
def test_a_card_in_the_place_of_the_secret_file_is_named(folder, command) -> None:
    succeed("identity", "new", "bern")
    line = refused("identity", command[0], "bern.card.json", *command[1:])
    assert "bern.card.json is a card" in line


def test_where_nobody_types_a_passphrase_the_file_stays(folder) -> None:
    succeed("identity", "new", "bern")
    change = ("identity", "passphrase", "bern.identity.json")
    assert "give the passphrase in a file" in refused(*change, input="")
    assert not encrypted(folder)
