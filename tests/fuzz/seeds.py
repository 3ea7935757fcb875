"""Where fuzzing begins: what good parties say, from the vectors and the samples."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from peers.enrolment import Card
from peers.records import RoundReport
from secagg import codec, events
from secagg.consortium import Consortium
from secagg.crypto import sign
from secagg.drivers.aggregator import journal_events
from secagg.messages import Result
from secagg.names import PeerId, Round
from secagg.roster_chain import RosterChain
from secagg.vector import blob_frame, chunk_frame, envelope_frame
from tests.fuzz.targets import TYPES
from tests.samples import SAMPLES, blob, sound_manifest
from tests.spec.vector_files import content, names

_HEX = re.compile(r"(?:[0-9a-f]{2})+")
EXAMPLES = Path(__file__).parents[2] / "peers" / "examples"


def seeds(target: str) -> list[bytes]:
    """The inputs that a target begins with, each once."""
    made: dict[str, Iterator[bytes]] = {
        "body": _bodies(),
        "canonical": (codec.encode_body(message) for message, _ in SAMPLES.values()),
        "card": iter([_card()]),
        "chunk": iter([b"\x03\x04" + bytes(10), b"\x10\x02" + bytes(range(8))]),
        "config": (path.read_bytes() for path in sorted(EXAMPLES.glob("*.toml"))),
        "envelope": _envelopes(),
        "frame": _frames(),
        "journal": _events(),
        "model": iter([_MODEL]),
        "parameters": _manifests(),
        "released": iter([b"\x00\x02" + bytes(8), b"\x01\x02" + bytes(range(16))]),
        "report": iter(
            [RoundReport(task="t", round=1, status="released").to_json().encode()]
        ),
        "roster": iter([_roster()]),
    }
    return sorted(set(made[target]), key=lambda seed: (len(seed), seed))


_REPORT = RoundReport(task="t", round=1, status="released")
_HEADER = b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}  '
_MODEL = len(_HEADER).to_bytes(8, "little") + _HEADER + bytes(8)


def _bodies() -> Iterator[bytes]:
    for kind, (message, _) in SAMPLES.items():
        place = TYPES.index(kind.__name__)
        yield bytes([place]) + codec.encode_body(message)


def _envelopes() -> Iterator[bytes]:
    """One of each type, from the vectors, the shortest there is."""
    shortest: dict[bytes, bytes] = {}
    for name in names(bad=False):
        for found in _strings(content(name), "envelope"):
            if not _HEX.fullmatch(found):
                continue
            data = bytes.fromhex(found)
            head = data[:8]
            if len(data) < len(shortest.get(head, data + b"\0")):
                shortest[head] = data
    yield from shortest.values()


def _strings(value: Any, key: str) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get(key), str):
            yield value[key]
        for inner in value.values():
            yield from _strings(inner, key)
    if isinstance(value, list):
        for inner in value:
            yield from _strings(inner, key)


def _frames() -> Iterator[bytes]:
    yield envelope_frame(b"e")
    yield chunk_frame(blob(1), 7, b"chunk")  # type: ignore[arg-type]
    yield blob_frame(blob(1), 1 << 40, b"part")


def _events() -> Iterator[bytes]:
    peer = PeerId("a")
    result = SAMPLES[Result][0]
    assert isinstance(result, Result)
    for event in (
        events.VectorStored(peer=peer, root=blob(1)),
        events.DeadlinePassed(round=Round.CONSISTENCY),
        events.Stopped(code="0-1", reason="stopped"),
        events.SumOpened(result=result),
    ):
        yield journal_events.encode_event(event)


def _manifests() -> Iterator[bytes]:
    for message in (
        sound_manifest(),
        sound_manifest(7, 2, bits=11, rotation=blob(1)),
        sound_manifest(16, 1, graph="regular", losses=1),
    ):
        yield codec.encode_body(message)


def _card() -> bytes:
    card = Card(id="bern", name="B", key=blob(5), proof=blob(6, 64))
    return card.to_json().encode()


def _roster() -> bytes:
    made = Consortium.of(2, b"seeds").roster
    key = sign.SigningKey(blob(3))
    return RosterChain.founded("seeds", made.members, key).to_json().encode()
