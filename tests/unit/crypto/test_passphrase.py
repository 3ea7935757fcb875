"""secagg.crypto.passphrase: scrypt over PKCS#8; opens with its passphrase alone."""

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from secagg import errors
from secagg.crypto import passphrase as sealing
from secagg.crypto.passphrase import Passphrase, seal, unseal

SEED = bytes(range(32))
SALT = bytes(16)
WORDS = Passphrase("correct horse battery")


@pytest.fixture
def cheap(monkeypatch):
    """Let scrypt cost next to nothing."""
    monkeypatch.setattr(sealing, "_N", 2)


def test_the_password_is_scrypt_of_the_passphrase_at_its_full_cost() -> None:
    expected = hashlib.scrypt(
        b"correct horse battery",
        salt=SALT,
        n=1 << 17,
        r=8,
        p=1,
        maxmem=1 << 28,
        dklen=32,
    )
    assert WORDS.stretched(SALT) == expected.hex().encode("ascii")


@pytest.mark.usefixtures("cheap")
def test_what_was_sealed_is_an_encrypted_key_in_pem() -> None:
    sealed = seal(SEED, WORDS, SALT)
    assert sealed.startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    key = load_pem_private_key(sealed.encode(), WORDS.stretched(SALT))
    assert isinstance(key, Ed25519PrivateKey)
    assert key.private_bytes_raw() == SEED


@pytest.mark.usefixtures("cheap")
def test_what_was_sealed_opens_with_its_passphrase() -> None:
    assert unseal(seal(SEED, WORDS, SALT), WORDS, SALT) == SEED


@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize(
    "text", ["", "correct horse batterY", "correct horse battery "]
)
def test_another_passphrase_is_refused_and_not_shown(text) -> None:
    with pytest.raises(errors.ParameterError) as caught:
        unseal(seal(SEED, WORDS, SALT), Passphrase(text), SALT)
    assert "horse" not in str(caught.value)


@pytest.mark.usefixtures("cheap")
def test_another_salt_does_not_open_it() -> None:
    with pytest.raises(errors.ParameterError):
        unseal(seal(SEED, WORDS, SALT), WORDS, bytes(15) + b"1")


@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize("sealed", ["", "junk", "-----BEGIN PRIVATE KEY-----"])
def test_what_is_no_key_is_refused(sealed) -> None:
    with pytest.raises(errors.ParameterError, match="damaged"):
        unseal(sealed, WORDS, SALT)


@pytest.mark.usefixtures("cheap")
def test_a_damaged_file_that_decrypts_to_an_unknown_kind_of_key_is_refused() -> None:
    """A byte of CBC's first vector bends that of the key's type, and no more."""
    begin, *lines, end = seal(SEED, WORDS, SALT).splitlines()
    der = bytearray(base64.b64decode("".join(lines)))
    aes_256_cbc = bytes.fromhex("60864801650304012a0410")
    vector = der.index(aes_256_cbc) + len(aes_256_cbc)
    der[vector + 10] ^= 1
    bent = "\n".join([begin, base64.b64encode(der).decode(), end])
    with pytest.raises(errors.ParameterError, match="damaged"):
        unseal(bent, WORDS, SALT)


@pytest.mark.usefixtures("cheap")
def test_a_key_in_clear_is_refused() -> None:
    from cryptography.hazmat.primitives.serialization import NoEncryption

    key = Ed25519PrivateKey.from_private_bytes(SEED)
    clear = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(errors.ParameterError):
        unseal(clear.decode(), WORDS, SALT)


@pytest.mark.usefixtures("cheap")
def test_a_key_of_another_kind_is_refused() -> None:
    encryption = BestAvailableEncryption(WORDS.stretched(SALT))
    other = X25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, encryption
    )
    with pytest.raises(errors.ParameterError, match="another kind"):
        unseal(other.decode(), WORDS, SALT)


@pytest.mark.usefixtures("cheap")
def test_one_accent_is_one_however_it_is_typed() -> None:
    assert Passphrase("caf\u00e9").stretched(SALT) == Passphrase(
        "cafe\u0301"
    ).stretched(SALT)


@pytest.mark.parametrize(("size", "good"), [(11, False), (12, True)])
def test_a_new_passphrase_has_twelve_characters(size, good) -> None:
    if good:
        Passphrase("x" * size).require_new()
        return
    with pytest.raises(errors.ParameterError, match="11 characters"):
        Passphrase("x" * size).require_new()


def test_a_short_passphrase_seals_nothing() -> None:
    with pytest.raises(errors.ParameterError, match="12 or more"):
        seal(SEED, Passphrase("short"), SALT)


def test_a_passphrase_is_not_shown() -> None:
    assert "horse" not in f"{WORDS!r} {WORDS}"


def test_passphrases_are_compared_by_what_they_say() -> None:
    assert Passphrase("a") == Passphrase("a")
    assert Passphrase("a") != Passphrase("b")
    assert Passphrase("a") != "a"


def test_a_passphrase_belongs_in_no_set() -> None:
    with pytest.raises(TypeError, match="not hashed"):
        hash(WORDS)


def test_bytes_that_are_not_utf_8_stay_as_they_are(cheap) -> None:
    """As a variable of the environment has them, set under another encoding."""
    raw = b"gr\xfcner tee am fluss"
    typed = Passphrase(raw.decode("utf-8", "surrogateescape"))
    expected = hashlib.scrypt(raw, salt=SALT, n=2, r=8, p=1, dklen=32)
    assert typed.stretched(SALT) == expected.hex().encode("ascii")
