"""What a party writes down as it lives, so that it outlives the party.

One file a life. A record is with the operating system when `write` returns, which is
enough for a process that is killed; a torn one can only be the last.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_HEAD = 4


class Records:
    """The file of one life."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._file = os.open(path, flags, 0o600)

    def write(self, kind: str, *what: Any) -> None:
        """Append one record."""
        data = pickle.dumps((kind, *what))
        os.write(self._file, len(data).to_bytes(_HEAD, "little") + data)


def read(path: Path) -> Iterator[tuple[Any, ...]]:
    """Yield the records of one life."""
    data = path.read_bytes()
    place = 0
    while place + _HEAD <= len(data):
        size = int.from_bytes(data[place : place + _HEAD], "little")
        place += _HEAD
        if place + size > len(data):
            return
        yield pickle.loads(data[place : place + size])  # noqa: S301 our own
        place += size


def lives(folder: Path, party: str) -> list[Path]:
    """Return the files of a party, in the order of its lives."""
    found = folder.glob(f"{party}.*")
    return sorted(found, key=lambda path: int(path.suffix[1:]))
