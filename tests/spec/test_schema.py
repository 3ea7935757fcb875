"""messages.schema.json: current, valid, and the same messages as secagg's."""

import json

import jsonschema
import pytest

from protocol_spec.model import schema
from protocol_spec.model.encoding import unpack
from secagg import codec
from secagg.messages import HEADERS
from tests.spec.vector_files import content, names

LIMIT = 1 << 24
SCHEMA = json.loads(schema.FILE.read_text("ascii"))
DEFS = {
    kind: {**SCHEMA, "anyOf": [{"$ref": f"#/$defs/{kind}"}]} for kind in SCHEMA["$defs"]
}
GOOD = [*names("session", bad=False), *names("connection", bad=False)]


def test_the_file_is_not_stale():
    assert schema.FILE.read_text("ascii") == schema.text()


def test_it_is_a_schema_of_2020_12():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def as_json(value):
    """A decoded body as the schema has it: byte strings as hex."""
    if isinstance(value, bytes):
        return value.hex()
    return [as_json(item) for item in value] if isinstance(value, list) else value


def check(kind, value):
    jsonschema.Draft202012Validator(DEFS[kind]).validate(as_json(value))


def envelopes(name):
    read = content(name)
    texts = read["envelopes"].values() if "envelopes" in read else [read["envelope"]]
    return [unpack(bytes.fromhex(text), LIMIT) for text in texts]


@pytest.mark.parametrize("name", GOOD)
def test_every_envelope_and_body_of_a_good_vector_fits_the_schema(name):
    for envelope in envelopes(name):
        check("Envelope", envelope)
        check(envelope[1], unpack(envelope[5], LIMIT))


def test_every_type_occurs_in_a_good_vector():
    seen = {envelope[1] for name in GOOD for envelope in envelopes(name)}
    assert seen == set(DEFS) - {"Envelope"}


BY_FIELDS = [
    name
    for name in names("session", bad=True)
    if content(name)["refuse"]["rule"] == "3.3-6"
]


@pytest.mark.parametrize("name", BY_FIELDS)
def test_a_body_refused_for_its_fields_does_not_fit_the_schema(name):
    envelope = unpack(bytes.fromhex(content(name)["envelopes"]["bad"]), LIMIT)
    with pytest.raises(jsonschema.ValidationError):
        check(envelope[1], unpack(envelope[5], LIMIT))


def test_the_types_are_those_of_secagg_in_the_same_order():
    assert list(DEFS)[1:] == [kind.__name__ for kind in HEADERS]


TRANSCRIPTS = {"zero": "zero", "nonce": "nonce_S"}


@pytest.mark.parametrize("kind", HEADERS, ids=lambda kind: kind.__name__)
def test_limits_transcript_and_receiver_are_those_of_secagg(kind):
    mine, theirs = SCHEMA["$defs"][kind.__name__], HEADERS[kind]
    assert mine["x-limit"] == theirs.base
    assert mine["x-limit-per-member"] == theirs.per_member
    assert mine["x-to-all"] == theirs.to_all
    transcript = theirs.transcript.value
    assert mine["x-transcript"] == TRANSCRIPTS.get(transcript, transcript)


@pytest.mark.parametrize("name", GOOD)
def test_secagg_decodes_and_encodes_every_good_body_to_the_same_bytes(name):
    for envelope in envelopes(name):
        message = codec.decode_body(envelope[1], envelope[5], members=64)
        assert codec.encode_body(message) == envelope[5]
