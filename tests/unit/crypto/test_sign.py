"""Strict Ed25519 against RFC 8032 and the curve in plain integers."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given
from hypothesis import strategies as st

from secagg import errors
from secagg.crypto import sign

SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
KEY = sign.SigningKey(SEED)
P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P


def add(a, b):
    (x1, y1), (x2, y2) = a, b
    k = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + k, -1, P)
    y = (y1 * y2 + x1 * x2) * pow(1 - k, -1, P)
    return x % P, y % P


def times(n, point):
    total = (0, 1)
    for bit in bin(n)[2:]:
        total = add(total, total)
        if bit == "1":
            total = add(total, point)
    return total


def lift(y):
    """Return a point of this y, or None."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    return (x, y) if (x * x - square) % P == 0 else None


def encode(point):
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")


def small_order_points():
    """Multiply points of the whole curve by the group order until all 8 are found."""
    found = set()
    for y in range(2, 200):
        point = lift(y)
        if point is not None:
            torsion = times(ORDER, point)
            found |= {times(k, torsion) for k in range(8)}
    return found


SMALL = sorted(encode(point) for point in small_order_points())
NOT_CANONICAL = [
    ((P + k) | sign_bit << 255).to_bytes(32, "little")
    for k in range(19)
    for sign_bit in (0, 1)
]
NEGATIVE_ZERO = [(y | 1 << 255).to_bytes(32, "little") for y in (1, P - 1)]


def test_the_known_answer_of_rfc_8032():
    assert KEY.public.hex() == (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    )
    assert KEY.sign(b"").hex() == (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )


@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=64))
def test_a_signature_verifies_under_its_key_and_message_alone(seed, message):
    key = sign.SigningKey(seed)
    signature = key.sign(message)
    assert sign.verify(key.public, signature, message)
    assert not sign.verify(key.public, signature, message + b"\0")
    assert not sign.verify(KEY.public, signature, message)


def test_every_flipped_bit_of_a_signature_is_refused():
    signature = KEY.sign(b"m")
    for bit in range(512):
        flipped = bytearray(signature)
        flipped[bit // 8] ^= 1 << bit % 8
        assert not sign.verify(KEY.public, bytes(flipped), b"m")


def test_a_scalar_not_below_the_group_order_is_refused():
    signature = KEY.sign(b"m")
    scalar = int.from_bytes(signature[32:], "little")
    for k in range(1, 16):
        twin = signature[:32] + (scalar + k * ORDER).to_bytes(32, "little")
        assert not sign.verify(KEY.public, twin, b"m")


def test_the_scalar_is_refused_before_the_library_is_asked(monkeypatch):
    monkeypatch.setattr(sign, "ed25519", None)
    twin = bytes(32) + ORDER.to_bytes(32, "little")
    assert not sign.verify(KEY.public, twin, b"m")


def test_there_are_eight_points_of_small_order():
    assert len(SMALL) == 8


@pytest.mark.parametrize("public", SMALL + NOT_CANONICAL + NEGATIVE_ZERO)
def test_a_weak_or_doubtful_key_is_refused(public):
    with pytest.raises(errors.RemoteProtocolError) as caught:
        sign.check_public_key(public)
    assert caught.value.rule == "3.1-1"
    assert not sign.verify(public, KEY.sign(b"m"), b"m")


def test_a_forgery_under_the_neutral_key_is_refused():
    # With A of order 1, S = 0 and R = A satisfy the equation for every message.
    neutral = (1).to_bytes(32, "little")
    forged = neutral + bytes(32)
    library = ed25519.Ed25519PublicKey.from_public_bytes(neutral)
    library.verify(forged, b"anything")
    assert not sign.verify(neutral, forged, b"anything")


@given(seed=st.binary(min_size=32, max_size=32))
def test_an_honest_key_passes_the_check(seed):
    sign.check_public_key(sign.SigningKey(seed).public)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_key_of_another_length_is_refused(size):
    assert not sign.verify(bytes([2]) * size, KEY.sign(b"m"), b"m")
    with pytest.raises(errors.RemoteProtocolError, match=r"3\.1-1"):
        sign.check_public_key(bytes([2]) * size)


@pytest.mark.parametrize("size", [0, 63, 65])
def test_a_signature_of_another_length_is_refused(size):
    assert not sign.verify(KEY.public, (KEY.sign(b"m") + b"\0")[:size], b"m")


def test_a_key_that_is_no_point_is_refused_by_verify():
    y = next(y for y in range(2, 99) if lift(y) is None)
    assert not sign.verify(y.to_bytes(32, "little"), KEY.sign(b"m"), b"m")


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_seed_of_another_length_is_refused(size):
    with pytest.raises(errors.ParameterError, match=f"not {size}"):
        sign.SigningKey(bytes(size))


def test_a_signing_key_never_shows_its_seed():
    shown = repr(KEY) + str(KEY)
    assert SEED.hex() not in shown
    assert "redacted" in shown
