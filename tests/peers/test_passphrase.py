"""peers.passphrase: from a file, a variable or a person."""

import pytest

from peers import passphrase
from peers.membership import Membership
from secagg import errors
from secagg.crypto import passphrase as sealing
from secagg.crypto.passphrase import Passphrase
from secagg.entropy import SeededEntropy
from secagg.identity import Identity
from tests.peers.test_membership import member_config

WORDS = "correct horse battery"
VARIABLE = {"passphrase_env": "OUR_PASSPHRASE"}


@pytest.fixture
def sealed(consortium, monkeypatch):
    """The consortium, with the identity of bern under WORDS."""
    monkeypatch.setattr(sealing, "_N", 2)
    path = consortium.folder / "bern.identity.json"
    identity = Identity.load(path)
    text = identity.encrypted(Passphrase(WORDS), SeededEntropy(b"salt"))
    identity.rewrite(path, text)
    return consortium


def written(folder, text, mode=0o600):
    path = folder / "passphrase"
    path.write_text(text)
    path.chmod(mode)
    return path


def member(consortium, **changes):
    return Membership.of(member_config(consortium).model_copy(update=changes))


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\na comment\n"])
def test_a_file_gives_its_first_line(sealed, end) -> None:
    path = written(sealed.folder, WORDS + end)
    assert member(sealed, passphrase_file=path).identity.id == "bern"


def test_a_variable_gives_it(sealed, monkeypatch) -> None:
    monkeypatch.setenv("OUR_PASSPHRASE", WORDS)
    assert member(sealed, **VARIABLE).identity.id == "bern"


def test_a_variable_that_is_not_set_is_named(sealed, monkeypatch) -> None:
    monkeypatch.delenv("OUR_PASSPHRASE", raising=False)
    with pytest.raises(errors.StateError, match="OUR_PASSPHRASE"):
        member(sealed, **VARIABLE)


def test_where_no_person_is_the_remedy_is_said(sealed) -> None:
    with pytest.raises(errors.StateError, match=r"passphrase_file.*passphrase_env"):
        member(sealed)


def test_a_person_at_a_terminal_is_asked(sealed, monkeypatch) -> None:
    asked = []

    def typed(prompt):
        asked.append(prompt)
        return Passphrase(WORDS)

    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr(passphrase, "typed", typed)
    assert member(sealed).identity.id == "bern"
    assert len(asked) == 1
    assert "bern.identity.json" in asked[0]


def test_a_file_that_others_may_read_is_refused_and_not_shown(sealed) -> None:
    path = written(sealed.folder, WORDS, mode=0o640)
    with pytest.raises(errors.StateError, match="chmod 600") as caught:
        member(sealed, passphrase_file=path)
    assert WORDS not in str(caught.value)


def test_an_empty_first_line_is_refused(sealed) -> None:
    with pytest.raises(errors.StateError, match="empty"):
        member(sealed, passphrase_file=written(sealed.folder, "\n" + WORDS))


def test_a_file_in_clear_needs_none_of_them(consortium) -> None:
    assert member(consortium, **VARIABLE).identity.id == "bern"
