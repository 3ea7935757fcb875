"""What a disk may hold after a power cut, of what a process wrote to it.

What was synced is there. Of the rest anything may be: nothing, all of it, all but one
write, one write alone, a write torn at a sector. The name of a file is there once its
folder was synced, and gone for good once that is synced after it was removed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SECTOR = 512
ACK = "acknowledged"
"""A file into which the process says what it was told is durable; never lost."""

Files = dict[str, bytes]


@dataclass(frozen=True)
class Change:
    """One operation: Write, Truncate, Sync, Create or Unlink."""

    kind: str
    path: str
    at: int
    data: bytes = field(repr=False)


def read_log(path: Path) -> list[Change]:
    """The operations, in order."""
    data, place, changes = path.read_bytes(), 0, []
    while place < len(data):
        kind = chr(data[place])
        (length,) = struct.unpack_from("=I", data, place + 1)
        place += 5
        name = data[place : place + length].decode()
        place += length
        at, size = struct.unpack_from("=qQ", data, place)
        place += 16
        changes.append(Change(kind, name, at, data[place : place + size]))
        place += size
    return changes


def acknowledged(changes: list[Change]) -> list[str]:
    """What the process was told is durable, by these operations."""
    written = [c.data for c in changes if c.kind == "W" and c.path.endswith(ACK)]
    return b"".join(written).decode().split()


def states(changes: list[Change]) -> Iterator[Files]:
    """Every disk that there may be after these operations, some of them twice."""
    changes = [change for change in changes if not change.path.endswith(ACK)]
    loose = [place for place, _ in enumerate(changes) if not _settled(changes, place)]
    choices: list[set[int]] = [set(), set(loose)]
    choices += [set(loose) - {one} for one in loose]
    choices += [{one} for one in loose]
    choices += [set(loose[:count]) for count in range(len(loose))]
    for kept in choices:
        yield _disk(changes, set(range(len(changes))) - set(loose) | kept)
    for one in loose:
        if changes[one].kind == "W" and len(changes[one].data) > SECTOR:
            yield _disk(changes, set(range(len(changes))), torn=one)


def _settled(changes: list[Change], place: int) -> bool:
    """Whether a sync came after it that makes it last."""
    change = changes[place]
    target = change.path
    if change.kind in "CU":
        target = str(Path(change.path).parent)
    after = changes[place + 1 :]
    return change.kind == "S" or any(c.kind == "S" and c.path == target for c in after)


def _disk(changes: list[Change], kept: set[int], torn: int | None = None) -> Files:
    files: dict[str, bytearray] = {}
    named: set[str] = set()
    for place, change in enumerate(changes):
        if place not in kept:
            continue
        if change.kind == "C":
            named.add(change.path)
            files.setdefault(change.path, bytearray())
        elif change.kind == "U":
            named.discard(change.path)
            files.pop(change.path, None)
        elif change.kind == "T":
            _resize(files.setdefault(change.path, bytearray()), change.at)
        elif change.kind == "W":
            data = change.data[:SECTOR] if place == torn else change.data
            _write(files.setdefault(change.path, bytearray()), change.at, data)
    return {path: bytes(files[path]) for path in named if path in files}


def _resize(file: bytearray, size: int) -> None:
    del file[size:]
    file.extend(bytes(size - len(file)))


def _write(file: bytearray, at: int, data: bytes) -> None:
    if len(file) < at:
        _resize(file, at)
    file[at : at + len(data)] = data
