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
    version=Int(0, 2**63 - 1),
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
        hash: roster_hash.
        keys: public key of every id.
        roles: role of every id.
    """

    hash: bytes
    keys: dict[str, bytes]
    roles: dict[str, str]

    def ids(self, role: str) -> list[str]:
        """The ids of one role, sorted."""
        return [who for who, its in self.roles.items() if its == role]


def roster_body(consortium: str, version: int, entries: list[list[Any]]) -> bytes:
    """canon([consortium, version, [[id, role, key, name], ...]])."""
    return pack([consortium, version, entries])


def sign_roster(secret: bytes, body: bytes) -> bytes:
    """The consortium's signature."""
    return ed25519.sign(secret, lp("secagg/1/roster", body))


def open_roster(body: bytes, signature: bytes, consortium_key: bytes) -> Roster:
    """Check a signed roster (rules 2.1-1 to 2.1-3, 3.1-1, 3.3)."""
    genuine = ed25519.verify(consortium_key, lp("secagg/1/roster", body), signature)
    require("2.1-2", genuine, "the consortium's signature does not verify")
    value = unpack(body, LIMIT)
    SHAPE.check(value)
    entries = value[2]
    for who, role, key, _ in entries:
        require("2.1-1", re.fullmatch("[a-z0-9-]{1,64}", who), "an ill-formed id")
        require("2.1-3", role in {"aggregator", "hospital"}, f"role {role}")
        ed25519.check_public_key(key)
    ids, keys = [entry[0] for entry in entries], [entry[2] for entry in entries]
    require("2.1-3", ids == sorted(set(ids)), "ids are not sorted and distinct")
    require("2.1-3", len(set(keys)) == len(keys), "two entries have one key")
    roles = {who: role for who, role, _, _ in entries}
    return Roster(h("secagg/1/roster", body), dict(zip(ids, keys, strict=True)), roles)
