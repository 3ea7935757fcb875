"""peers.commands.roster: members accepted, rotated, revoked; rosters installed."""

import json
import re
from pathlib import Path

import pytest

from peers.card import read_card
from tests.peers.commands.typed import (
    key_of_consortium,
    read_card_of,
    refused,
    run,
    succeed,
)


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
    card = f"{peer}.2.card.json"
    return card, read_card(Path(card)).fingerprint


def listed():
    return json.loads(succeed("roster", "show", "roster.json", "--json").stdout)


def test_a_member_gets_the_key_whose_card_its_old_key_signed(enrolled) -> None:
    (enrolled / "old.json").write_bytes((enrolled / "roster.json").read_bytes())
    card, read_out = rotated("bern")
    said = succeed(*signing("rotate", card, "--fingerprint", read_out)).stdout
    (line,) = said.splitlines()
    assert read_out in line
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


def test_a_consortium_key_is_taken_in_capitals_too(enrolled) -> None:
    key = key_of_consortium().upper()
    succeed("roster", "check", "roster.json", "--consortium-key", key)
