"""Length prefixes, hashes and HKDF against RFC 5869 and the standard library."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import errors
from secagg.crypto import kdf

PARTS = st.lists(st.binary(max_size=12), max_size=4)


def test_lp_is_each_length_in_4_bytes_then_the_part():
    assert kdf.lp(b"ab", b"", b"c") == b"\2\0\0\0ab\0\0\0\0\1\0\0\0c"
    assert kdf.lp() == b""


@given(a=PARTS, b=PARTS)
def test_lp_of_two_lists_agrees_only_if_the_lists_do(a, b):
    assert (kdf.lp(*a) == kdf.lp(*b)) == (a == b)


class Long(bytes):
    """A part that says it has 2^32 bytes, without taking the memory."""

    def __len__(self):
        return 1 << 32


def test_lp_refuses_a_part_whose_length_has_no_4_bytes():
    with pytest.raises(errors.ParameterError, match="2\\^32 bytes"):
        kdf.lp(b"short", Long())


def test_digest_is_sha256_over_the_prefixed_label_and_parts():
    message = b"\x0b\0\0\0secagg/1/h1\2\0\0\0ab\0\0\0\0"
    assert kdf.digest("secagg/1/h1", b"ab", b"") == hashlib.sha256(message).digest()


def test_digest_refuses_a_label_that_is_not_ascii():
    with pytest.raises(UnicodeEncodeError):
        kdf.digest("sécagg")


def test_hkdf_gives_the_first_32_bytes_of_rfc_5869_case_1():
    okm = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
    found = kdf.hkdf(b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA)))
    assert found.hex() == okm


@given(ikm=st.binary(max_size=40), salt=st.binary(max_size=80), info=st.binary())
def test_hkdf_is_extract_then_one_block_of_expand(ikm, salt, info):
    prk = hmac.digest(salt, ikm, "sha256")
    assert kdf.hkdf(ikm, salt, info) == hmac.digest(prk, info + b"\1", "sha256")
