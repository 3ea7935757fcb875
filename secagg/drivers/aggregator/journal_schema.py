"""The tables of the aggregator's journal, and links of the chain as a message."""

from __future__ import annotations

from typing import Final

from secagg.drivers.database import Row
from secagg.messages import PastRound

VERSION: Final = 2
SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS rounds (task TEXT, round_no INTEGER, model_hash BLOB"
    " NOT NULL, model_size INTEGER NOT NULL, status TEXT NOT NULL,"
    " PRIMARY KEY (task, round_no)) STRICT",
    "CREATE TABLE IF NOT EXISTS sessions (sid BLOB PRIMARY KEY, task TEXT NOT NULL,"
    " round_no INTEGER NOT NULL, attempt INTEGER NOT NULL, manifest BLOB NOT NULL,"
    " noise_seed BLOB NOT NULL, status TEXT NOT NULL) STRICT",
    "CREATE TABLE IF NOT EXISTS events (sid BLOB, number INTEGER, event BLOB NOT NULL,"
    " PRIMARY KEY (sid, number)) STRICT",
    "CREATE TABLE IF NOT EXISTS links (number INTEGER PRIMARY KEY, task TEXT NOT NULL,"
    " link BLOB NOT NULL UNIQUE, manifest BLOB NOT NULL, h3 BLOB NOT NULL,"
    " certificate BLOB NOT NULL, result BLOB NOT NULL) STRICT",
    "CREATE TABLE IF NOT EXISTS blamed (task TEXT, peer TEXT, reason TEXT NOT NULL,"
    " PRIMARY KEY (task, peer)) STRICT",
)

_HEADER: Final = 8
"""Bytes that canonical encoding puts before a string or a list, at most."""


def fitting(rows: list[Row], limit: int) -> tuple[PastRound, ...]:
    """Return the first links that fit into so many bytes, and at least one."""
    links: list[PastRound] = []
    size = _HEADER
    for row in rows:
        size += sum(len(part) + _HEADER for part in row)
        if links and size > limit:
            break
        links.append(_link(*row))
    return tuple(links)


def _link(manifest: bytes, h3: bytes, certificate: bytes, result: bytes) -> PastRound:
    return PastRound(manifest=manifest, h3=h3, certificate=certificate, result=result)
