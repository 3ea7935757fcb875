"""Sealing: the known answer of RFC 8439, and everything that must not open."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import errors
from secagg.crypto import aead

KEY = bytes(range(0x80, 0xA0))
NONCE = bytes.fromhex("070000004041424344454647")
AD = bytes.fromhex("50515253c0c1c2c3c4c5c6c7")
TEXT = (
    b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for"
    b" the future, sunscreen would be it."
)


def assert_refused(key, sealed, ad):
    with pytest.raises(errors.RemoteProtocolError) as caught:
        aead.open_sealed(key, sealed, ad)
    assert caught.value.rule == "4.3-4"


def test_seal_gives_the_known_answer_of_rfc_8439_behind_its_nonce():
    sealed = aead.seal(KEY, NONCE, TEXT, AD)
    assert sealed[:12] == NONCE
    assert sealed[12:28].hex() == "d31a8d34648e60db7b86afbc53ef7ec2"
    assert sealed[-16:].hex() == "1ae10b594f09e26a7e902ecbd0600691"
    assert len(sealed) == len(TEXT) + aead.NONCE_SIZE + aead.TAG_SIZE


@given(plaintext=st.binary(max_size=100), ad=st.binary(max_size=40))
def test_open_sealed_inverts_seal(plaintext, ad):
    sealed = aead.seal(KEY, NONCE, plaintext, ad)
    assert aead.open_sealed(KEY, sealed, ad) == plaintext


def test_every_flipped_bit_is_refused():
    sealed = aead.seal(KEY, NONCE, b"share", AD)
    for bit in range(8 * len(sealed)):
        flipped = bytearray(sealed)
        flipped[bit // 8] ^= 1 << bit % 8
        assert_refused(KEY, bytes(flipped), AD)


def test_another_key_or_binding_is_refused():
    sealed = aead.seal(KEY, NONCE, b"share", AD)
    assert_refused(bytes(32), sealed, AD)
    assert_refused(KEY, sealed, AD + b"\0")


@pytest.mark.parametrize("size", range(28))
def test_what_is_too_short_for_nonce_and_tag_is_refused(size):
    assert_refused(KEY, bytes(size), b"")


def test_a_refusal_leaks_no_plaintext():
    sealed = aead.seal(KEY, NONCE, b"very secret", AD)
    with pytest.raises(errors.RemoteProtocolError) as caught:
        aead.open_sealed(KEY, sealed[:-1] + b"\0", AD)
    assert "very secret" not in str(caught.value)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_key_of_another_length_is_refused(size):
    with pytest.raises(errors.ParameterError, match=f"not {size}"):
        aead.seal(bytes(size), NONCE, b"", b"")
    with pytest.raises(errors.ParameterError, match=f"not {size}"):
        aead.open_sealed(bytes(size), bytes(40), b"")


@pytest.mark.parametrize("size", [0, 11, 13, 24])
def test_a_nonce_of_another_length_is_refused(size):
    with pytest.raises(errors.ParameterError, match=f"not {size}"):
        aead.seal(KEY, bytes(size), b"", b"")
