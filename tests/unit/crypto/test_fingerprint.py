"""secagg.crypto.fingerprint: what people read to each other."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from secagg.crypto import fingerprint as fp

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def by_bits(key):
    """The fingerprint from the bits of SHA-256, five at a time."""
    bits = "".join(f"{byte:08b}" for byte in hashlib.sha256(key).digest())
    letters = "".join(ALPHABET[int(bits[5 * i : 5 * i + 5], 2)] for i in range(24))
    return "-".join(letters[i : i + 4] for i in range(0, 24, 4))


@given(st.binary(min_size=32, max_size=32))
def test_a_fingerprint_is_the_first_120_bits_of_sha_256_in_base32(key) -> None:
    assert fp.fingerprint(key) == by_bits(key)


def test_every_bit_of_the_key_changes_the_fingerprint() -> None:
    keys = [bytes(32), *((1 << bit).to_bytes(32, "little") for bit in range(256))]
    assert len({fp.fingerprint(key) for key in keys}) == 257
