"""The roster (spec 2.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from protocol_spec.model import ed25519
from protocol_spec.model.encoding import h, lp, pack, unpack
from protocol_spec.model.refusal import require
from protocol_spec.model.shapes import Bytes, Int, Rows, Text, record

LIMIT = 2**20
SHAPE = record(
    consortium=Text("[ -~]{1,128}"),
    version=Int(0, 2**62),
    previous=Bytes(32, 32),
    entries=Rows(
        record(
            id=Text("(?s:.*)"),
            role=Text("(?s:.*)"),
            key=Bytes(32, 32),
            name=Text("[ -~]{0,128}"),
        )
    ),
)


@dataclass(frozen=True)
class Roster:
    """A checked roster.

    Attributes:
        consortium: its name.
        version: 1 for the first that is signed.
        previous: roster_hash of the version before.
        hash: roster_hash.
        keys: public key of every id.
        roles: role of every id.
    """

    consortium: str
    version: int
    previous: bytes
    hash: bytes
    keys: dict[str, bytes]
    roles: dict[str, str]

    def ids(self, role: str) -> list[str]:
        """The ids of one role, sorted."""
        return [who for who, its in self.roles.items() if its == role]


def roster_body(
    consortium: str, version: int, previous: bytes, entries: list[list[Any]]
) -> bytes:
    """canon([consortium, version, previous, [[id, role, key, name], ...]])."""
    return pack([consortium, version, previous, entries])


def beginning(consortium: str) -> Roster:
    """Version 0, which nobody signs."""
    body = roster_body(consortium, 0, bytes(32), [])
    return Roster(consortium, 0, bytes(32), h("secagg/1/roster", body), {}, {})


def sign_roster(secret: bytes, body: bytes) -> bytes:
    """The consortium's signature."""
    return ed25519.sign(secret, lp("secagg/1/roster", body))


def open_roster(body: bytes, signature: bytes, consortium_key: bytes) -> Roster:
    """Check a signed roster (rules 2.1-1 to 2.1-3, 3.1-1, 3.3)."""
    genuine = ed25519.verify(consortium_key, lp("secagg/1/roster", body), signature)
    require("2.1-2", genuine, "the consortium's signature does not verify")
    value = unpack(body, LIMIT)
    SHAPE.check(value)
    consortium, version, previous, entries = value
    for who, role, key, _ in entries:
        require("2.1-1", re.fullmatch("[a-z0-9-]{1,64}", who), "an ill-formed id")
        require("2.1-3", role in {"aggregator", "hospital"}, f"role {role}")
        ed25519.check_public_key(key)
    ids, keys = [entry[0] for entry in entries], [entry[2] for entry in entries]
    require("2.1-3", ids == sorted(set(ids)), "ids are not sorted and distinct")
    require("2.1-3", len(set(keys)) == len(keys), "two entries have one key")
    roles = {who: role for who, role, _, _ in entries}
    digest, by_id = h("secagg/1/roster", body), dict(zip(ids, keys, strict=True))
    return Roster(consortium, version, previous, digest, by_id, roles)


def pin(
    pinned: list[Roster], given: list[tuple[bytes, bytes]], consortium_key: bytes
) -> list[Roster]:
    """The chain from version 1 on, after what was given (rules 2.1-1 to 2.1-5)."""
    chain = [*pinned]
    for body, signature in given:
        roster = open_roster(body, signature, consortium_key)
        if 1 <= roster.version <= len(chain):
            same = chain[roster.version - 1].hash == roster.hash
            require("2.1-5", same, f"two rosters of version {roster.version}")
            continue
        last = chain[-1] if chain else beginning(roster.consortium)
        follows = roster.consortium == last.consortium
        follows = follows and roster.version == last.version + 1
        follows = follows and roster.previous == last.hash
        require("2.1-4", follows, f"does not follow version {last.version}")
        chain.append(roster)
    return chain


def request_body(who: str, name: str, key: bytes, old: bytes | None) -> bytes:
    """canon([id, name, key, old]): what a request's signatures are over."""
    return pack([who, name, key, old])


def sign_request(secret: bytes, body: bytes) -> bytes:
    """One of the signatures of a request."""
    return ed25519.sign(secret, lp("secagg/1/roster-request", body))
