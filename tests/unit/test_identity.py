"""secagg.identity: made once, kept for its owner alone, never shown."""

import dataclasses
import json
import stat

import pytest

from secagg import errors
from secagg.crypto import passphrase as sealing
from secagg.crypto import sign
from secagg.crypto.fingerprint import fingerprint
from secagg.crypto.passphrase import Passphrase
from secagg.entropy import SeededEntropy
from secagg.identity import Identity, public_half
from secagg.names import PeerId

BERN = Identity.generate(PeerId("bern"), SeededEntropy(b"bern"))


@pytest.fixture
def path(tmp_path):
    """A file that holds BERN."""
    BERN.save(tmp_path / "identity.json")
    return tmp_path / "identity.json"


def edit(path, **changes):
    value = json.loads(path.read_text())
    path.write_text(json.dumps({**value, **changes}))


def refusal(path):
    """What `load` says."""
    with pytest.raises(errors.StateError) as caught:
        Identity.load(path)
    return str(caught.value)


def test_a_new_identity_is_the_draw_named_identity() -> None:
    assert BERN.seed == SeededEntropy(b"bern").draw("identity", 32)


def test_two_draws_make_two_identities() -> None:
    entropy = SeededEntropy(b"bern")
    made = [Identity.generate(PeerId("bern"), entropy).key.public for _ in range(2)]
    assert made[0] != made[1]


def test_its_key_is_that_of_its_seed() -> None:
    signature = sign.SigningKey(BERN.seed).sign(b"message")
    assert sign.verify(BERN.key.public, signature, b"message")


@pytest.mark.parametrize("peer", ["", "Bern", "b n", "a" * 65])
def test_an_ill_formed_id_is_refused(peer) -> None:
    with pytest.raises(errors.ParameterError, match="a-z"):
        Identity(PeerId(peer), BERN.seed)


def test_a_seed_of_another_length_is_refused() -> None:
    with pytest.raises(errors.ParameterError, match="31"):
        Identity(PeerId("bern"), bytes(31))


def test_it_is_shown_without_its_seed() -> None:
    shown = repr(BERN) + str(BERN) + f"{BERN}"
    assert "bern" in shown
    assert fingerprint(BERN.key.public) in shown
    assert BERN.seed.hex() not in shown
    assert repr(BERN.seed) not in shown


def test_it_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        BERN.seed = bytes(32)  # type: ignore[misc] # that is the test


def test_identities_are_not_compared_by_their_secrets() -> None:
    assert Identity(PeerId("bern"), BERN.seed) != BERN


def test_a_saved_identity_is_loaded(path) -> None:
    loaded = Identity.load(path)
    assert (loaded.id, loaded.seed) == ("bern", BERN.seed)
    assert loaded.key.public == BERN.key.public


def test_its_file_is_for_its_owner_alone(path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_identity_is_never_overwritten(path) -> None:
    before = path.read_bytes()
    with pytest.raises(errors.StateError, match="never overwritten"):
        Identity.generate(PeerId("bern"), SeededEntropy(b"other")).save(path)
    assert path.read_bytes() == before


def test_a_folder_that_is_missing_is_named(tmp_path) -> None:
    with pytest.raises(errors.StateError, match="none/identity"):
        BERN.save(tmp_path / "none" / "identity.json")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o610, 0o602, 0o644, 0o666])
def test_a_file_that_others_may_use_is_refused_with_the_remedy(path, mode) -> None:
    path.chmod(mode)
    assert f"chmod 600 {path}" in refusal(path)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_of_its_owner_alone_is_accepted(path, mode) -> None:
    path.chmod(mode)
    assert Identity.load(path).id == "bern"


def test_a_missing_file_is_refused_with_the_remedy(tmp_path) -> None:
    said = refusal(tmp_path / "typo.json")
    assert "typo.json" in said
    assert "secagg identity new" in said


def test_a_folder_in_its_place_is_refused(tmp_path) -> None:
    assert str(tmp_path) in refusal(tmp_path)


DAMAGE: dict[str, dict[str, object]] = {
    "another seed": {"seed": "11" * 32},
    "another public key": {"public": "11" * 32},
    "an ill-formed id": {"id": "Bern"},
    "an id that is a number": {"id": 7},
    "a short seed": {"seed": "5ec2e7"},
    "a seed that is no text": {"seed": None},
    "another format": {"format": "secagg-roster/1"},
    "one field more": {"note": ""},
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_refused_with_the_remedy(path, damage) -> None:
    edit(path, **DAMAGE[damage])
    said = refusal(path)
    assert str(path) in said
    assert "backup" in said


@pytest.mark.parametrize("keep", [0, 1, 40, -3])
def test_a_torn_file_is_refused_without_its_seed(path, keep) -> None:
    path.write_text(path.read_text()[:keep])
    said = refusal(path)
    assert "not JSON" in said
    assert BERN.seed.hex()[:8] not in said


def test_a_file_that_is_no_text_is_refused(path) -> None:
    path.write_bytes(b"\xff\xfe\x00")
    assert "not text" in refusal(path)


# --- with a passphrase

WORDS = Passphrase("correct horse battery")


@pytest.fixture
def sealed(tmp_path, monkeypatch):
    """A file that holds BERN under WORDS; scrypt costs next to nothing."""
    monkeypatch.setattr(sealing, "_N", 2)
    path = tmp_path / "identity.json"
    BERN.save(path, BERN.encrypted(WORDS, SeededEntropy(b"salt")))
    return path


def test_an_encrypted_identity_opens_with_its_passphrase(sealed) -> None:
    loaded = Identity.load(sealed, lambda: WORDS)
    assert (loaded.id, loaded.seed) == ("bern", BERN.seed)


def test_an_encrypted_file_does_not_hold_the_seed(sealed) -> None:
    assert BERN.seed.hex() not in sealed.read_text()
    assert stat.S_IMODE(sealed.stat().st_mode) == 0o600


def test_each_encryption_has_a_salt_of_its_own(sealed) -> None:
    entropy = SeededEntropy(b"salts")
    salts = {json.loads(BERN.encrypted(WORDS, entropy))["salt"] for _ in range(2)}
    assert len(salts) == 2


def test_without_a_passphrase_it_is_refused(sealed) -> None:
    assert "none was given" in refusal(sealed)


def test_another_passphrase_is_refused_and_not_said(sealed) -> None:
    with pytest.raises(errors.StateError) as caught:
        Identity.load(sealed, lambda: Passphrase("a wrong staple"))
    assert "check the passphrase" in str(caught.value)
    assert "staple" not in str(caught.value)


def test_nobody_is_asked_for_a_file_in_clear(path) -> None:
    def ask():
        raise AssertionError

    assert Identity.load(path, ask).id == "bern"


def test_the_public_half_needs_no_passphrase(sealed) -> None:
    assert public_half(sealed) == ("bern", BERN.key.public)


def test_the_public_half_of_a_file_in_clear_is_the_same(path) -> None:
    assert public_half(path) == ("bern", BERN.key.public)


ENCRYPTED_DAMAGE: dict[str, dict[str, object]] = {
    "another public key": {"public": "11" * 32},
    "a short salt": {"salt": "11"},
    "a key that is a number": {"key": 7},
    "one field more": {"seed": "11" * 32},
}


@pytest.mark.parametrize("damage", ENCRYPTED_DAMAGE)
def test_a_damaged_encrypted_file_is_refused(sealed, damage) -> None:
    edit(sealed, **ENCRYPTED_DAMAGE[damage])
    with pytest.raises(errors.StateError, match="no usable identity"):
        Identity.load(sealed, lambda: WORDS)


def test_a_file_is_rewritten_with_a_passphrase_and_without(path, monkeypatch) -> None:
    monkeypatch.setattr(sealing, "_N", 2)
    BERN.rewrite(path, BERN.encrypted(WORDS, SeededEntropy(b"salt")))
    assert Identity.load(path, lambda: WORDS).seed == BERN.seed
    BERN.rewrite(path, BERN.clear())
    assert Identity.load(path).seed == BERN.seed


def test_the_file_of_another_identity_is_not_rewritten(path) -> None:
    before = path.read_bytes()
    other = Identity.generate(PeerId("bern"), SeededEntropy(b"other"))
    with pytest.raises(errors.StateError, match="another identity"):
        other.rewrite(path, other.clear())
    assert path.read_bytes() == before


def test_a_file_that_cannot_be_rewritten_is_named(path) -> None:
    path.with_name(path.name + ".part").mkdir()
    with pytest.raises(errors.StateError, match="cannot write the identity"):
        BERN.rewrite(path, BERN.clear())
