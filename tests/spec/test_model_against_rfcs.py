"""The model's building blocks against published answers and against `cryptography`."""

import hashlib

import msgpack
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.x25519 import (
    X25519PrivateKey,
    X25519PublicKey,
)
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from protocol_spec.model import aead, ed25519, encoding, shamir, x25519
from protocol_spec.model.field import GAPS, WIDTHS, Q, prime
from protocol_spec.model.keystream import PAIR, word
from protocol_spec.model.refusal import RefusedError

KEYS = [hashlib.sha256(bytes([i])).digest() for i in range(6)]


def unhex(text):
    return bytes.fromhex(text)


def judged(run, *args):
    """What a run gives, or the rule that refuses it."""
    try:
        return run(*args)
    except RefusedError as refused:
        return refused.rule


# --- RFC 7748, 5.2 -----------------------------------------------------


@pytest.mark.parametrize(
    ("k", "u", "out"),
    [
        (
            "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
            "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
        ),
        (
            "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
            "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
            "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
        ),
    ],
)
def test_x25519_gives_the_answers_of_rfc_7748(k, u, out):
    assert x25519.x25519(unhex(k), unhex(u)).hex() == out


@pytest.mark.parametrize("sk", KEYS)
def test_x25519_agrees_with_cryptography(sk):
    private = X25519PrivateKey.from_private_bytes(sk)
    other = x25519.public_key(KEYS[0])
    assert private.public_key().public_bytes_raw() == x25519.public_key(sk)
    theirs = private.exchange(X25519PublicKey.from_public_bytes(other))
    assert theirs == x25519.agree(sk, other)


# --- RFC 8032, 7.1 -------------------------------------------------------------


@pytest.mark.parametrize(
    ("secret", "public", "message", "signature"),
    [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
    ],
)
def test_ed25519_gives_the_answers_of_rfc_8032(secret, public, message, signature):
    assert ed25519.public_key(unhex(secret)).hex() == public
    assert ed25519.sign(unhex(secret), unhex(message)).hex() == signature
    assert ed25519.verify(unhex(public), unhex(message), unhex(signature))


@pytest.mark.parametrize("secret", KEYS)
def test_ed25519_agrees_with_cryptography(secret):
    private = Ed25519PrivateKey.from_private_bytes(secret)
    assert private.public_key().public_bytes_raw() == ed25519.public_key(secret)
    assert private.sign(secret) == ed25519.sign(secret, secret)


@given(place=st.integers(0, 63), bit=st.integers(0, 7))
def test_a_flipped_bit_is_judged_as_cryptography_judges_it(place, bit):
    signature = bytearray(ed25519.sign(KEYS[1], b"message"))
    signature[place] ^= 1 << bit
    public = ed25519.public_key(KEYS[1])
    with pytest.raises(InvalidSignature):
        Ed25519PublicKey.from_public_bytes(public).verify(bytes(signature), b"message")
    assert judged(ed25519.verify, public, b"message", bytes(signature)) in {
        False,
        "3.1-1",
    }


# --- RFC 8439, 2.3.2, 2.5.2, 2.8.2 ---------------------------------------------


def test_the_chacha20_block_is_that_of_rfc_8439():
    nonce = (0x09000000, 0x4A000000, 0)
    block = aead.chacha20_block(bytes(range(32)), (1, *nonce))
    first = [0xE4E7F110, 0x15593BD1, 0x1FDD0F50, 0xC47120A3]
    last = [0xD19C12B5, 0xB94E16DE, 0xE883D0CB, 0x4E3C50A2]
    assert (block[:4], block[12:]) == (first, last)


def test_poly1305_is_that_of_rfc_8439():
    key = unhex("85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b")
    tag = aead.poly1305(key, b"Cryptographic Forum Research Group")
    assert tag.hex() == "a8061dc1305136c6c22b8baf0c0127a9"


def test_the_aead_is_that_of_rfc_8439():
    key = bytes(range(0x80, 0xA0))
    nonce, ad = unhex("070000004041424344454647"), unhex("50515253c0c1c2c3c4c5c6c7")
    text = (
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip "
        b"for the future, sunscreen would be it."
    )
    sealed = aead.seal(key, nonce, text, ad)
    assert sealed[-16:].hex() == "1ae10b594f09e26a7e902ecbd0600691"
    assert aead.open_sealed(key, sealed, ad) == text


@given(text=st.binary(max_size=200), ad=st.binary(max_size=40))
def test_the_aead_agrees_with_cryptography(text, ad):
    nonce = KEYS[2][:12]
    theirs = ChaCha20Poly1305(KEYS[1]).encrypt(nonce, text, ad)
    assert aead.seal(KEYS[1], nonce, text, ad) == nonce + theirs


# --- RFC 5869, A.1 -------------------------------------------------------------


def test_hkdf_gives_the_first_answer_of_rfc_5869():
    ikm, salt, info = b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA))
    okm = (
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
        "34007208d5b887185865"
    )
    assert encoding.hkdf(ikm, info, salt, 42).hex() == okm


@given(ikm=st.binary(max_size=80), info=st.binary(max_size=80))
def test_hkdf_agrees_with_cryptography(ikm, info):
    theirs = HKDF(SHA256(), 32, KEYS[0], info).derive(ikm)
    assert encoding.hkdf(ikm, info, KEYS[0]) == theirs


# --- canonical msgpack ---------------------------------------------------------

LEAVES = (
    st.none()
    | st.integers(-(2**63), 2**64 - 1)
    | st.binary(max_size=300)
    | st.text(st.characters(max_codepoint=127), max_size=300)
)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=20), max_leaves=30)


def depth(value):
    inner = [depth(item) for item in value] if isinstance(value, list) else [0]
    return max(inner, default=0) + isinstance(value, list)


@given(VALUES.filter(lambda value: depth(value) <= encoding.MAX_DEPTH))
def test_the_encoding_is_what_msgpack_writes_and_comes_back(value):
    data = encoding.pack(value)
    assert data == msgpack.packb(value, use_bin_type=True)
    assert encoding.unpack(data, 1 << 24) == value


@given(st.binary(max_size=60))
def test_any_bytes_are_refused_by_a_rule_or_are_the_form_of_their_value(data):
    found = judged(lambda: [encoding.unpack(data, 1 << 24)])
    if isinstance(found, list):
        assert msgpack.packb(found[0], use_bin_type=True) == data
    else:
        assert found in {"3.3-2", "3.3-3", "3.3-4"}


# --- fields, shares, keystream -------------------------------------------------


def is_prime(number):
    """Miller and Rabin with the first primes as bases: exact below 3e24."""
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41):
        x = pow(base, odd, number)
        if x not in {1, number - 1} and not any(
            pow(x, 2**k, number) == number - 1 for k in range(twos)
        ):
            return False
    return True


@pytest.mark.parametrize(("w", "gap"), [*zip(WIDTHS, GAPS, strict=True)])
def test_p_w_is_the_largest_prime_below_2_to_the_w(w, gap):
    assert is_prime(prime(w))
    assert not any(is_prime(2**w - less) for less in range(1, gap))


def test_q_passes_as_a_prime():
    assert is_prime(Q)


@given(st.lists(st.integers(0, Q - 1), min_size=1, max_size=6), st.data())
def test_any_t_shares_give_the_secret(coefficients, data):
    secret, t = coefficients[0], len(coefficients)
    xs = data.draw(st.lists(st.integers(1, 40), min_size=t, max_size=t, unique=True))
    points = {x: shamir.share(secret, coefficients[1:], x) for x in xs}
    assert shamir.rebuild(points) == secret


def test_the_first_words_are_the_known_ones():
    words = [word(bytes(range(32)), PAIR, i) for i in range(4)]
    assert words == [1167438381, 2999101832, 1548542426, 3972046286]
