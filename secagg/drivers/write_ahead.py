"""Whether a SQLite log lost commits in its middle, which SQLite itself does not say.

SQLite reads its write-ahead log up to the first frame whose checksum is wrong and drops
what follows: right for the last commit, which a power cut may leave half written, and
silent about commits that were on the disk behind a damaged one. A commit is synced
before the next one begins; so a frame that is written behind a commit shows that all up
to this commit had come to the disk.

The format is that of https://www.sqlite.org/fileformat2.html#walformat. Damage to the
last commit cannot be told from a power cut, and a log that is gone altogether leaves
nothing to be noticed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

_HEADER: Final = 32
_FRAME_HEADER: Final = 24

# The magic number says in which order of bytes the checksums read their words.
_ORDERS: Final = {0x377F0682: "<", 0x377F0683: ">"}

# The sizes of a page that the format has: powers of two.
_PAGES: Final = frozenset(1 << bits for bits in range(9, 17))

_Sum = tuple[int, int]


class _Log(NamedTuple):
    """The header of a log, as far as frames are read with it."""

    order: str
    page: int
    salt: bytes
    total: _Sum


class _Frame(NamedTuple):
    """One frame: whether its sum is right, and whether a commit ends with it."""

    whole: bool
    commit: bool


def lost(path: Path) -> str | None:
    """Return what is wrong with the log at `path`, or None.

    Args:
        path: the log of a database that nobody has open; it need not exist.

    Returns:
        What was lost, in words; None where nothing is missing but, at most, a commit
        that never returned.

    Raises:
        OSError: it cannot be read.
    """
    if not path.exists() or path.stat().st_size <= _HEADER:
        return None
    log = _header(path)
    if log is None:
        return "the head of its log is wrong, and commits follow it"
    return _lost_behind(_frames(path, log))


def _header(path: Path) -> _Log | None:
    with path.open("rb") as file:
        head = file.read(_HEADER)
    magic, _, page, _ = struct.unpack(">4I", head[:16])
    order = _ORDERS.get(magic)
    if order is None or page not in _PAGES:
        return None
    if _summed(order, (0, 0), head[:24]) != _sum(head[24:]):
        return None
    return _Log(order, page, head[16:24], _sum(head[24:]))


def _frames(path: Path, log: _Log) -> Iterator[_Frame]:
    """Yield the frames of this log; those of an older one may lie behind them."""
    total = log.total
    with path.open("rb") as file:
        file.seek(_HEADER)
        while len(frame := file.read(_FRAME_HEADER + log.page)) > _FRAME_HEADER:
            head, page = frame[:_FRAME_HEADER], frame[_FRAME_HEADER:]
            whole = head[8:16] == log.salt and len(page) == log.page
            if whole:
                summed = _summed(log.order, total, head[:8])
                whole = _summed(log.order, summed, page) == _sum(head[16:])
            # What the next one began from, even where this one is damaged.
            total = _sum(head[16:])
            yield _Frame(whole, head[4:8] != bytes(4))


def _lost_behind(frames: Iterator[_Frame]) -> str | None:
    """Look, at or behind the first damage, for a commit that another frame follows.

    Only one that goes on from its very sum was written when the commit had come to the
    disk: what an older, half-written commit left there begins from another.
    """
    damaged: int | None = None
    before: _Frame | None = None
    for number, frame in enumerate(frames, start=1):
        if damaged and before and before.commit and frame.whole:
            return f"frame {number} of its log is good, and frame {damaged} is not"
        if damaged is None and not frame.whole:
            damaged = number
        before = frame
    return None


def _sum(two: bytes) -> _Sum:
    first, second = struct.unpack(">2I", two)
    return first, second


def _summed(order: str, total: _Sum, content: bytes) -> _Sum:
    """Go on with the checksum of the format over whole pairs of words."""
    first, second = total
    for x, y in struct.iter_unpack(f"{order}2I", content):
        first = (first + x + second) & 0xFFFFFFFF
        second = (second + y + first) & 0xFFFFFFFF
    return first, second
