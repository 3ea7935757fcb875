"""secagg.codec: every message to bytes and back, in its one form."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg import codec, errors
from secagg import messages as msg
from secagg.names import PeerId, SessionId
from tests.helpers import refused_rule
from tests.samples import SAMPLES, A, blob, f64
from tests.unit.wire_forms import (
    KINDS,
    LONG_ID,
    NAMES,
    N,
    decode,
    leaves,
    packed,
    wire_with,
)

# --- the form


def test_every_message_has_a_shape_and_a_sample() -> None:
    assert set(codec.BODIES) == set(SAMPLES) == set(msg.HEADERS)
    assert {kind.__name__: kind for kind in KINDS} == codec.TYPES


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_a_body_is_the_msgpack_array_of_its_fields(kind) -> None:
    message, wire = SAMPLES[kind]
    assert codec.encode_body(message) == packed(wire)


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_a_body_comes_back_as_it_was(kind) -> None:
    message, wire = SAMPLES[kind]
    assert decode(kind, wire) == message


def test_a_discarded_result_has_nil_for_its_vector() -> None:
    wire = copy.deepcopy(SAMPLES[msg.Result][1])
    wire[0], wire[5:8] = "discarded", [None] * 3
    message = decode(msg.Result, wire)
    assert isinstance(message, msg.Result)
    assert message.vector is None
    assert codec.encode_body(message) == packed(wire)


@pytest.mark.parametrize("kind", [msg.Manifest, msg.Hello, msg.Welcome, msg.Result])
def test_what_may_be_nil_comes_back_as_none(kind) -> None:
    nils = {
        msg.Manifest: {19: None},
        msg.Hello: {5: None, 6: None},
        msg.Welcome: {1: None},
        msg.Result: {3: None, 8: None, 9: None},
    }[kind]
    wire = copy.deepcopy(SAMPLES[kind][1])
    for place, value in nils.items():
        wire[place] = value
    assert codec.encode_body(decode(kind, wire)) == packed(wire)


# --- the canonical form, seen through a message


@pytest.mark.parametrize(
    ("rule", "old", "new"),
    [
        ("3.3-2", b"\x94", b"\x94\x94"),
        ("3.3-4", b"\xc4\x20", b"\xc5\x00\x20"),
        ("3.3-4", b"\x94", b"\xdc\x00\x04"),
        ("3.3-3", b"\xc4\x20" + blob(1), b"\xcb" + bytes(8)),
        ("3.3-3", b"\xc4\x20" + blob(1), b"\xc3"),
        ("3.3-3", b"\xc4\x20" + blob(1), b"\x80"),
        ("3.3-3", b"\xc4\x20" + blob(1), b"\xd4\x01\x00"),
        ("3.3-3", b"\xc4\x20" + blob(1), b"\xa2\xc3\xa9"),
    ],
)
def test_another_form_of_a_body_is_refused(rule, old, new) -> None:
    data = codec.encode_body(SAMPLES[msg.AdvertiseKeys][0])
    bent = data.replace(old, new, 1)
    name = "AdvertiseKeys"
    assert refused_rule(codec.decode_body, name, bent, members=N) == rule


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), float("-inf"), -0.0], ids=str
)
def test_a_real_that_is_not_finite_or_is_minus_zero_is_refused_by_3_3_5(value) -> None:
    wire = wire_with(msg.Manifest, (10,), f64(value))
    assert refused_rule(decode, msg.Manifest, wire) == "3.3-5"


def test_a_byte_behind_the_body_is_refused_by_3_3_2() -> None:
    data = codec.encode_body(SAMPLES[msg.Consistency][0]) + b"\x00"
    assert refused_rule(codec.decode_body, "Consistency", data, members=N) == "3.3-2"


@pytest.mark.parametrize("name", ["", "consistency", "Vote", "Extra", "Envelope"])
def test_a_type_that_is_not_the_specs_is_refused_by_3_4_2(name) -> None:
    assert refused_rule(codec.message_type, name) == "3.4-2"
    assert refused_rule(codec.decode_body, name, b"\x90", members=N) == "3.4-2"


# --- envelopes


def envelope(**other):
    fields = {
        "type": "Consistency",
        "sid": SessionId(blob(1)),
        "sender": A,
        "receiver": PeerId(""),
        "body": packed([blob(8)]),
        "signature": blob(2, 64),
    }
    return msg.Envelope(**{**fields, **other})


ENVELOPE = [1, "Consistency", blob(1), "a", "", packed([blob(8)]), blob(2, 64)]


def test_an_envelope_is_the_msgpack_array_of_version_and_fields() -> None:
    assert codec.encode_envelope(envelope()) == packed(ENVELOPE)


@pytest.mark.parametrize("receiver", ["", "a", LONG_ID])
@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_an_envelope_comes_back_as_it_was(kind, receiver) -> None:
    body = codec.encode_body(SAMPLES[kind][0])
    sent = envelope(type=kind.__name__, receiver=PeerId(receiver), body=body)
    data = codec.encode_envelope(sent)
    assert codec.decode_envelope(data, members=N) == sent


@pytest.mark.parametrize(
    ("rule", "place", "value"),
    [
        ("3.4-2", 0, 0),
        ("3.4-2", 0, 2),
        ("3.3-6", 0, 256),
        ("3.3-6", 0, None),
        ("3.4-2", 1, "Hallo"),
        ("3.3-6", 1, ""),
        ("3.3-6", 1, "A" * 33),
        ("3.3-6", 1, "Ab-c"),
        ("3.3-6", 2, blob(1, 31)),
        ("3.3-6", 3, ""),
        ("3.3-6", 3, "A"),
        ("3.3-6", 4, "A"),
        ("3.3-6", 4, "x" * 65),
        ("3.3-6", 4, None),
        ("3.3-6", 5, "text"),
        ("3.3-6", 6, blob(2, 63)),
        ("3.3-1", 5, bytes(65)),
    ],
)
def test_an_envelope_with_another_field_is_refused(rule, place, value) -> None:
    wire = list(ENVELOPE)
    wire[place] = value
    assert refused_rule(codec.decode_envelope, packed(wire), members=N) == rule


def test_an_envelope_over_the_longest_of_all_is_refused_by_3_3_1() -> None:
    limit = codec.body_limit(msg.History, N) + codec.MAX_ENVELOPE_OVERHEAD
    data = bytes(limit + 1)
    assert refused_rule(codec.decode_envelope, data, members=N) == "3.3-1"


@pytest.mark.parametrize("cut", range(1, 20))
def test_a_cut_envelope_is_refused(cut) -> None:
    data = codec.encode_envelope(envelope())
    assert refused_rule(codec.decode_envelope, data[:-cut], members=N) == "3.3-2"


# --- arbitrary bytes

VALUES = st.recursive(
    st.none()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.binary(max_size=70)
    | st.text(max_size=70),
    lambda items: st.lists(items, max_size=8),
    max_leaves=20,
)


def taken_only_as_canonical(name, data):
    """Refused as a breach, or understood as exactly these bytes."""
    try:
        message = codec.decode_body(name, data, members=N)
    except errors.CodecError:
        return
    assert codec.encode_body(message) == data


@settings(max_examples=150)
@given(name=st.sampled_from([*NAMES, "Nothing"]), data=st.binary(max_size=200))
def test_arbitrary_bodies_are_refused_or_canonical(name, data) -> None:
    taken_only_as_canonical(name, data)


@settings(max_examples=150)
@given(name=st.sampled_from(NAMES), value=VALUES)
def test_arbitrary_values_are_refused_or_canonical(name, value) -> None:
    taken_only_as_canonical(name, packed(value))


@settings(max_examples=300)
@given(kind=st.sampled_from(KINDS), data=st.data())
def test_samples_with_one_field_changed_are_refused_or_canonical(kind, data) -> None:
    path = data.draw(st.sampled_from(sorted(leaves(kind))))
    value = data.draw(VALUES)
    taken_only_as_canonical(kind.__name__, packed(wire_with(kind, path, value)))


@settings(max_examples=150)
@given(
    kind=st.sampled_from(KINDS), place=st.integers(0, 1 << 16), bit=st.integers(0, 7)
)
def test_samples_with_one_bit_flipped_are_refused_or_canonical(
    kind, place, bit
) -> None:
    data = bytearray(packed(SAMPLES[kind][1]))
    data[place % len(data)] ^= 1 << bit
    taken_only_as_canonical(kind.__name__, bytes(data))


@settings(max_examples=150)
@given(data=st.binary(max_size=300) | st.lists(VALUES, max_size=8).map(packed))
def test_arbitrary_envelopes_are_refused_or_canonical(data) -> None:
    try:
        found = codec.decode_envelope(data, members=N)
    except errors.CodecError:
        return
    assert codec.encode_envelope(found) == data


@settings(max_examples=150)
@given(place=st.integers(0, 1 << 16), bit=st.integers(0, 7))
def test_an_envelope_with_one_bit_flipped_is_refused_or_canonical(place, bit) -> None:
    data = bytearray(packed(ENVELOPE))
    data[place % len(data)] ^= 1 << bit
    try:
        found = codec.decode_envelope(bytes(data), members=N)
    except errors.CodecError:
        return
    assert codec.encode_envelope(found) == bytes(data)


# --- details


def test_a_detail_is_made_printable_and_cut() -> None:
    assert codec.printable("a\nb\x00é~ ") == "a?b??~ "
    assert codec.printable("x" * 600) == "x" * 512
    refusal = msg.Refusal(rule="0-1", detail=codec.printable("stop\n" * 200))
    assert decode(msg.Refusal, ["0-1", refusal.detail]) == refusal
