"""X25519 against RFC 7748 and a ladder in plain integers; keys that must be refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import errors
from secagg.crypto import agree

P = 2**255 - 19
LOW_ORDER = (
    0,
    1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
    P - 1,
)
BYTES32 = st.binary(min_size=32, max_size=32)
PAIR = agree.KeyPair(bytes(range(32)))


def ladder(k, u):
    """RFC 7748 section 5: the u of k times the point of this u, 0 for infinity."""
    x2, z2, x3, z3 = 1, 0, u, 1
    for bit in bin(k)[2:]:
        if bit == "1":
            x2, z2, x3, z3 = x3, z3, x2, z2
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        da, cb = d * a, c * b
        x3, z3 = (da + cb) ** 2 % P, u * (da - cb) ** 2 % P
        aa, bb = a * a % P, b * b % P
        x2, z2 = aa * bb % P, (aa - bb) * (aa + 121665 * (aa - bb)) % P
        if bit == "1":
            x2, z2, x3, z3 = x3, z3, x2, z2
    return x2 * pow(z2, P - 2, P) % P


def clamped(secret):
    k = int.from_bytes(secret, "little")
    return (k & ~7 & ((1 << 255) - 1)) | 1 << 254


def as_key(value):
    return value.to_bytes(32, "little")


def assert_refused(rule, check, *arguments):
    with pytest.raises(errors.RemoteProtocolError) as caught:
        check(*arguments)
    assert caught.value.rule == rule


def test_the_known_answers_of_rfc_7748():
    k = u = as_key(9)
    seen = []
    for _ in range(1000):
        k, u = agree.shared_secret(agree.KeyPair(k), as_key_below_top(u)), k
        seen.append(k.hex())
    assert seen[0] == (
        "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"
    )
    assert seen[999] == (
        "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"
    )


def as_key_below_top(u):
    return u[:31] + bytes([u[31] & 127])


@given(secret=BYTES32, other=BYTES32)
def test_an_agreement_is_the_ladder_of_the_clamped_secret(secret, other):
    mine, peer = agree.KeyPair(secret), agree.KeyPair(other)
    assert mine.public == as_key(ladder(clamped(secret), 9))
    value = ladder(clamped(secret), int.from_bytes(peer.public, "little"))
    assert agree.shared_secret(mine, peer.public) == as_key(value)
    assert agree.shared_secret(peer, mine.public) == as_key(value)


@given(secret=BYTES32)
def test_an_honest_public_key_passes_the_check(secret):
    agree.check_public_key(agree.KeyPair(secret).public)


def test_a_pair_keeps_the_raw_secret_and_not_the_clamped_one():
    assert agree.KeyPair(b"\xff" * 32).secret == b"\xff" * 32


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_public_key_of_another_length_is_refused(size):
    assert_refused("3.2-1", agree.check_public_key, b"\x09" * size)


@pytest.mark.parametrize("value", [1 << 255, (1 << 255) + 9, (1 << 256) - 1])
def test_a_set_top_bit_is_refused(value):
    assert_refused("3.2-1", agree.check_public_key, as_key(value))


@pytest.mark.parametrize("value", range(P, 1 << 255))
def test_a_value_that_is_not_canonical_is_refused(value):
    assert_refused("3.2-2", agree.check_public_key, as_key(value))


@pytest.mark.parametrize("value", LOW_ORDER)
def test_a_point_of_low_order_is_refused(value):
    assert_refused("3.2-3", agree.check_public_key, as_key(value))


@pytest.mark.parametrize("value", LOW_ORDER)
def test_the_listed_points_have_an_order_that_divides_8(value):
    assert ladder(8, value) == 0


@given(value=st.integers(2, P - 2))
def test_a_value_is_refused_exactly_if_8_times_it_is_nothing(value):
    if ladder(8, value) == 0:
        assert_refused("3.2-3", agree.check_public_key, as_key(value))
    else:
        agree.check_public_key(as_key(value))


@pytest.mark.parametrize("value", LOW_ORDER)
def test_an_agreement_on_zero_is_refused(value):
    assert_refused("3.2-4", agree.shared_secret, PAIR, as_key(value))


def test_a_zero_that_the_library_lets_through_is_refused(monkeypatch):
    monkeypatch.setattr(agree.KeyPair, "exchange", lambda *_: bytes(32))
    assert_refused("3.2-4", agree.shared_secret, PAIR, as_key(9))


def test_an_unchecked_length_is_our_own_mistake():
    with pytest.raises(errors.ParameterError, match="not 31"):
        agree.shared_secret(PAIR, bytes(31))


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_secret_of_another_length_is_refused(size):
    with pytest.raises(errors.ParameterError, match=f"not {size}"):
        agree.KeyPair(bytes(size))


def test_a_pair_never_shows_its_secret():
    shown = repr(PAIR) + str(PAIR)
    assert PAIR.secret.hex() not in shown
    assert "redacted" in shown


def test_pairs_have_no_equality_on_their_secrets():
    assert agree.KeyPair(PAIR.secret) != PAIR


def test_a_pair_remembers_an_agreement_and_shows_none():
    pair = agree.KeyPair(bytes(range(32)))
    first = agree.shared_secret(pair, PAIR.public)
    assert first == agree.shared_secret(PAIR, pair.public)
    assert agree.shared_secret(pair, PAIR.public) == first
    other = agree.KeyPair(bytes(31) + b"\x01")
    assert agree.shared_secret(pair, other.public) != first
    assert first.hex() not in repr(pair)
    assert repr(first) not in repr(pair)
