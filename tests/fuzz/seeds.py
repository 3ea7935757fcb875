"""Where fuzzing begins: what good parties say, from the vectors and the samples."""

from __future__ import annotations

import re
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from peers.card import Card
from peers.model_store import ModelStore
from peers.records import RoundReport
from secagg import codec, events
from secagg.crypto import passphrase
from secagg.differences import SummedSet
from secagg.drivers.aggregator import journal_events
from secagg.drivers.aggregator.journal import Journal
from secagg.drivers.aggregator.ledger_store import DurableLedgerStore
from secagg.drivers.silo.store import Receipt, SqliteStore
from secagg.entropy import SeededEntropy
from secagg.identity import Identity
from secagg.messages import PastRound, Result
from secagg.names import PeerId, Round, SessionId
from secagg.privacy.ledger import Charge
from secagg.privacy.mechanism import NoiseEvent
from secagg.sensitivity import Adjacency
from secagg.vector import blob_frame, chunk_frame, envelope_frame
from tests.fuzz import kept
from tests.fuzz.targets import CONSORTIUM_KEY, FIRST, TYPES
from tests.samples import NOISE, SAMPLES, blob, sound_manifest
from tests.spec.vector_files import content, names

_HEX = re.compile(r"(?:[0-9a-f]{2})+")
EXAMPLES = Path(__file__).parents[2] / "peers" / "examples"


def seeds(target: str) -> list[bytes]:
    """The inputs that a target begins with, each once."""
    return sorted(set(_MADE[target]()), key=lambda seed: (len(seed), seed))


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


def _cards() -> Iterator[bytes]:
    """Of a newcomer, and of one that renews its key."""
    old, new = (Identity(PeerId("bern"), blob(i)) for i in (5, 6))
    for card in (Card.of(old, "B"), Card.of(new, "B", old=old)):
        yield card.to_json().encode()


def _rosters() -> Iterator[bytes]:
    yield FIRST.to_json().encode()
    hospital, *_ = FIRST.newest.hospitals
    left = [one for one in FIRST.newest.members if one.id != hospital]
    yield FIRST.followed_by(left, CONSORTIUM_KEY).to_json().encode()


def _identities() -> Iterator[bytes]:
    identity = Identity(PeerId("bern"), blob(5))
    yield identity.clear().encode()
    with mock.patch.object(passphrase, "_N", 2):
        sealed = identity.encrypted(kept.PASSPHRASE, SeededEntropy(b"salt"))
    yield sealed.encode()


def _marks() -> Iterator[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        models = ModelStore(Path(folder), task=kept.TASK)
        models.begin(_MODEL, origin="seeds")
        yield (Path(folder) / "mark.json").read_bytes()


def _written(fill: Callable[[], object]) -> Iterator[bytes]:
    """The rows that somebody wrote into tables in memory."""
    with kept.in_memory() as made:
        fill()
        yield kept.encoded(made[0].rows(), made[0].names())


def _charges() -> None:
    ledger = DurableLedgerStore(kept.NOWHERE)
    event = NoiseEvent(
        mechanism="discrete-gaussian",
        noise_multiplier=1.5,
        sensitivity_squared=10**30,
        adjacency=Adjacency("zero-out"),
    )
    for i in (1, 2):
        ledger.append(Charge(task_id=kept.TASK, session_id=blob(i), event=event))


def _journaled() -> None:
    journal = Journal(kept.NOWHERE, members=kept.MEMBERS)
    journal.open_round(kept.TASK, blob(1), 9)
    manifest = sound_manifest(task_id=kept.TASK, round_no=1)
    journal.open_session(SessionId(blob(2)), manifest, blob(3))
    for data in _events():
        event = journal_events.decode_event(data, members=kept.MEMBERS)
        journal.append(SessionId(blob(2)), event)
    journal.blame(kept.TASK, PeerId("a"), "4.7-4")
    past = PastRound(manifest=b"m", h3=blob(1), certificate=b"c", result=b"r")
    journal.add_link(kept.TASK, blob(4), past)


def _remembered() -> None:
    with tempfile.TemporaryDirectory() as folder:
        memory = SqliteStore(Path(folder))
        peers = (PeerId("a"), PeerId("b"), PeerId("c"))
        memory.record_joined(kept.TASK, 1, 1)
        memory.record_spent(kept.TASK, 1)
        memory.record_head(kept.TASK, blob(1))
        memory.past.record_summed(kept.TASK, SummedSet(frozenset(peers), blob(2), True))
        memory.past.record_charge(kept.TASK, 1, NOISE)
        memory.forgotten.note(kept.TASK, 2)
        memory.record_receipt(
            Receipt(
                task_id=kept.TASK,
                round_no=1,
                sid=SessionId(blob(3)),
                u3=peers,
                result_hash=blob(4),
                epsilon=0.5,
                at_ms=1 << 41,
            )
        )


def _logs() -> Iterator[bytes]:
    """A log as SQLite leaves it, without the checksum of its head."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        connection = sqlite3.connect(path, isolation_level=None)
        for statement in ("page_size = 512", "journal_mode = WAL"):
            connection.execute(f"PRAGMA {statement}")
        connection.execute("CREATE TABLE t (x)")
        connection.execute("INSERT INTO t VALUES (1)")
        log = path.with_name("file-wal").read_bytes()
        connection.close()
        yield log[:24] + log[32:]


def _altered() -> Iterator[bytes]:
    rows: kept.Rows = [
        ("one", ("a", blob(1), 1.5)),
        ("one", ("b", b"", 0.0)),
        ("two", (1, "a")),
        ("two", (2, None)),
    ]
    yield kept.encoded(rows, ("one", "two"))


_SCENARIO = b"""silos = 6
params = 10
seed = 7

[[round]]
drop = { masked_input = ["silo-002"] }
away = ["silo-003"]
malice = { silo-005 = "garbage" }
"""

_MADE: dict[str, Callable[[], Iterable[bytes]]] = {
    "body": _bodies,
    "canonical": lambda: (
        codec.encode_body(message) for message, _ in SAMPLES.values()
    ),
    "card": _cards,
    "chunk": lambda: [b"\x03\x04" + bytes(10), b"\x10\x02" + bytes(range(8))],
    "config": lambda: (path.read_bytes() for path in sorted(EXAMPLES.glob("*.toml"))),
    "envelope": _envelopes,
    "frame": _frames,
    "identity": _identities,
    "journal": _events,
    "journal_rows": lambda: _written(_journaled),
    "ledger": lambda: _written(_charges),
    "mark": _marks,
    "model": lambda: [_MODEL],
    "parameters": _manifests,
    "released": lambda: [b"\x00\x02" + bytes(8), b"\x01\x02" + bytes(range(16))],
    "report": lambda: [
        RoundReport(task="t", round=1, status="released").to_json().encode()
    ],
    "roster": _rosters,
    "roster_book": _rosters,
    "scenario": lambda: [_SCENARIO],
    "seal": _altered,
    "store": lambda: _written(_remembered),
    "wal": _logs,
}
