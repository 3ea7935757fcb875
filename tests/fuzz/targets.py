"""What is fuzzed: each decoder of bytes that others wrote, and what must be true of it.

A target takes any bytes. It returns normally if the decoder refused them by a typed
error, or took them and encodes what it read to the same bytes again (texts for people:
to the same values). Anything else that it raises is a finding.
"""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Callable

from peers import enrolment, model_file, records
from peers.config import load_aggregator, load_hospital
from peers.toml_file import ConfigError
from secagg import codec, errors, packing, released
from secagg import messages as msg
from secagg.crypto import canonical
from secagg.drivers.aggregator import journal_events
from secagg.params import Parameters
from secagg.roster import SignedRoster
from secagg.roster_chain import versions_of
from secagg.vector import (
    ChunkFrame,
    EnvelopeFrame,
    blob_frame,
    chunk_frame,
    envelope_frame,
    parse_frame,
)

MEMBERS = 100
TYPES = sorted(codec.TYPES)
"""By the first byte of what goes to `body`."""

LIMIT = 1 << 16

Target = Callable[[bytes], None]


def text(data: bytes) -> str:
    """The text that a file of these bytes may be taken for."""
    return data.decode("utf-8", errors="replace")


def canonical_value(data: bytes) -> None:
    value = canonical.unpack(data, LIMIT)
    assert canonical.pack(value) == data


def envelope(data: bytes) -> None:
    read = codec.decode_envelope(data, members=MEMBERS)
    assert codec.encode_envelope(read) == data


def body(data: bytes) -> None:
    type_ = TYPES[data[0] % len(TYPES)] if data else TYPES[0]
    message = codec.decode_body(type_, data[1:], members=MEMBERS)
    assert codec.encode_body(message) == data[1:]


def parameters(data: bytes) -> None:
    manifest = codec.decode_body("Manifest", data, members=MEMBERS)
    assert isinstance(manifest, msg.Manifest)
    params = Parameters.of(manifest)
    assert params.n > 3 * params.c


def frame(data: bytes) -> None:
    read = parse_frame(data, LIMIT)
    match read:
        case EnvelopeFrame():
            again = envelope_frame(read.envelope)
        case ChunkFrame():
            again = chunk_frame(read.sid, read.index, read.chunk)
        case _:
            again = blob_frame(read.hash, read.offset, read.part)
    assert again == data


def chunk(data: bytes) -> None:
    """The first byte gives the width, the second the number of elements."""
    width, count = 16 + data[:1][0] % 17 if data else 16, data[1] if data[1:] else 1
    packed = data[2:]
    checked = _accepted(lambda: packing.check_packed(packed, count, width))
    elements = packing.unpack(packed, count, width)
    assert checked
    assert packing.pack(elements, width) == packed


def released_vector(data: bytes) -> None:
    """The first byte gives the width, the second the number of coordinates."""
    width, length = 4 + 4 * (data[0] & 1) if data else 4, data[1] if data[1:] else 1
    if not length:
        return
    vector = released.ReleasedVector.of(data[2:], width=width, length=length)
    assert b"".join(released.encoded(vector.sum(), width)) == data[2:]


def journal_event(data: bytes) -> None:
    event = journal_events.decode_event(data, members=MEMBERS)
    assert journal_events.encode_event(event) == data


def roster(data: bytes) -> None:
    for read in versions_of(text(data)):
        assert SignedRoster.of_fields(read.fields()) == read


def card(data: bytes) -> None:
    read = enrolment.Card.from_json(text(data))
    assert enrolment.Card.from_json(read.to_json()) == read


def report(data: bytes) -> None:
    read = records._parsed(pathlib.Path("rounds.jsonl"), 1, data)
    assert records.RoundReport.from_json(read.to_json()).to_json() == read.to_json()


def model(data: bytes) -> None:
    state = model_file.load(data, model_file.NUMPY)
    if state:
        again = model_file.load(model_file.save(state), model_file.NUMPY)
        assert [*again] == [*state]
        assert all(again[name].tobytes() == state[name].tobytes() for name in state)


def config(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        file.write(data)
        file.flush()
        path = pathlib.Path(file.name)
        for load in (load_aggregator, load_hospital):
            _accepted(lambda load=load: load(path))  # type: ignore[misc]


def _accepted(call: Callable[[], object]) -> bool:
    try:
        call()
    except (errors.SecaggError, ConfigError):
        return False
    return True


TARGETS: dict[str, Target] = {
    "body": body,
    "canonical": canonical_value,
    "card": card,
    "chunk": chunk,
    "config": config,
    "envelope": envelope,
    "frame": frame,
    "journal": journal_event,
    "model": model,
    "parameters": parameters,
    "released": released_vector,
    "report": report,
    "roster": roster,
}


def attempt(name: str, data: bytes) -> None:
    """Give a target its bytes; a refusal by a typed error is as good as an answer."""
    _accepted(lambda: TARGETS[name](data))
