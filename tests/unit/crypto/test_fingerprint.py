"""secagg.crypto.fingerprint: what people read to each other."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from secagg.crypto import fingerprint as fp


def by_hand(key):
    """The last 30 digits of SHA-256 written out in decimal."""
    digits = str(int(hashlib.sha256(key).hexdigest(), 16)).zfill(30)[-30:]
    return "-".join(digits[i : i + 5] for i in range(0, 30, 5))


@given(st.binary(min_size=32, max_size=32))
def test_a_fingerprint_is_30_digits_of_sha_256_in_six_groups(key) -> None:
    assert fp.fingerprint(key) == by_hand(key)


def test_every_bit_of_the_key_changes_the_fingerprint() -> None:
    keys = [bytes(32), *((1 << bit).to_bytes(32, "little") for bit in range(256))]
    assert len({fp.fingerprint(key) for key in keys}) == 257
