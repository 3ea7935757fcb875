"""What is fuzzed: each decoder of bytes that others wrote, and what must be true of it.

A target takes any bytes. It returns normally if the decoder took them and encodes what
it read to the same bytes again (texts for people: to the same values), and raises what
the decoder says it raises if that refused them. Anything else is a finding.
"""

from __future__ import annotations

import functools
import pathlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace

from peers import enrolment, model_file, records
from peers.card import Card, EnrolmentError
from peers.config import load_aggregator, load_hospital
from peers.toml_file import ConfigError
from secagg import codec, errors, packing, released
from secagg import messages as msg
from secagg.consortium import Consortium
from secagg.crypto import canonical, sign
from secagg.drivers.aggregator import journal_events
from secagg.drivers.roster_book import FILE_NAME, RosterBook
from secagg.params import Parameters
from secagg.roster import SignedRoster
from secagg.roster_chain import RosterChain, versions_of
from secagg.simulation.scenario import Scenario
from secagg.vector import (
    ChunkFrame,
    EnvelopeFrame,
    blob_frame,
    chunk_frame,
    envelope_frame,
    parse_frame,
)
from tests.fuzz import kept

MEMBERS = 100
TYPES = sorted(codec.TYPES)
"""By the first byte of what goes to `body`."""

LIMIT = 1 << 16

CONSORTIUM_KEY = sign.SigningKey(bytes([3]) * 32)
FIRST = RosterChain.founded(
    "seeds", Consortium.of(2, b"seeds").roster.members, CONSORTIUM_KEY
)
"""What a site has pinned."""


@dataclass(frozen=True)
class Target:
    """One decoder.

    Attributes:
        read: gives it bytes, and checks what it makes of them.
        refuses: what it may raise instead.
    """

    read: Callable[[bytes], None]
    refuses: tuple[type[Exception], ...]

    def __call__(self, data: bytes) -> None:
        """Read these bytes."""
        self.read(data)


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
    check = functools.partial(packing.check_packed, packed, count, width)
    checked = _accepted(check, errors.CodecError)
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


def roster_book(data: bytes) -> None:
    """What is pinned, read at the start; the site's own file has the first version."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / FILE_NAME
        path.write_bytes(data)
        book = RosterBook.open(pathlib.Path(folder), FIRST)
        assert book.version(1) == FIRST.newest
        again = RosterBook.open(pathlib.Path(folder), FIRST)
        assert again.versions == book.versions


def card(data: bytes) -> None:
    read = Card.from_json(text(data))
    assert Card.from_json(read.to_json()) == read
    read.require_proved()
    accepted = enrolment.accept(read, role="hospital", roster=FIRST.newest)
    assert accepted.member(read.id).key == read.key


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
    with kept.file_of(data, "config.toml") as path:
        for load in (load_aggregator, load_hospital):
            _accepted(lambda load=load: load(path), ConfigError)  # type: ignore[misc]


def scenario(data: bytes) -> None:
    with kept.file_of(data, "scenario.toml") as path:
        read = Scenario.load(path)
    assert read == replace(read)


def _accepted(call: Callable[[], object], *refuses: type[Exception]) -> bool:
    try:
        call()
    except refuses:
        return False
    return True


BREACH = (errors.RemoteProtocolError,)
STATE = (errors.StateError,)
TEXT = (errors.ParameterError, errors.RemoteProtocolError)

TARGETS: dict[str, Target] = {
    "body": Target(body, BREACH),
    "canonical": Target(canonical_value, BREACH),
    "card": Target(card, (*TEXT, EnrolmentError)),
    "chunk": Target(chunk, BREACH),
    "config": Target(config, ()),
    "envelope": Target(envelope, BREACH),
    "frame": Target(frame, BREACH),
    "identity": Target(kept.identity_file, STATE),
    "journal": Target(journal_event, STATE),
    "journal_rows": Target(kept.journal_rows, (*STATE, *BREACH)),
    "ledger": Target(kept.ledger_rows, STATE),
    "mark": Target(kept.model_mark, STATE),
    "model": Target(model, (errors.InputError,)),
    "parameters": Target(parameters, BREACH),
    "released": Target(released_vector, BREACH),
    "report": Target(report, STATE),
    "roster": Target(roster, TEXT),
    "roster_book": Target(roster_book, STATE),
    "scenario": Target(scenario, (errors.ParameterError,)),
    "seal": Target(kept.sealed_rows, STATE),
    "store": Target(kept.store_rows, STATE),
    "wal": Target(kept.write_ahead_log, ()),
}


def attempt(name: str, data: bytes) -> None:
    """Give a target its bytes; what it says that it refuses them by is an answer."""
    _accepted(lambda: TARGETS[name](data), *TARGETS[name].refuses)
