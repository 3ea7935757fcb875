"""The setting of every vector: identities, the roster, a Manifest, noise terms."""

from __future__ import annotations

import hashlib
from typing import Any

from protocol_spec.model import ed25519
from protocol_spec.model.encoding import real
from protocol_spec.model.messages import Body
from protocol_spec.model.parameters import Parameters, noise_terms
from protocol_spec.model.roster import (
    Roster,
    beginning,
    open_roster,
    roster_body,
    sign_roster,
)

AGGREGATOR = "agg"
OTHER_AGGREGATOR = "agg-b"
OUTSIDER = "zeta"
HC = hashlib.sha256(b"connection").digest()
MODEL_HASH = hashlib.sha256(b"model").digest()


def identity(who: str) -> bytes:
    """The identity secret of a party, fixed by its id."""
    return hashlib.sha256(b"identity of " + who.encode("ascii")).digest()


def hospitals(n: int) -> list[str]:
    """The ids h01, h02, ..."""
    return [f"h{index:02}" for index in range(1, n + 1)]


def signed_roster(n: int, version: int = 1) -> tuple[bytes, bytes, bytes]:
    """Body, signature and consortium key: two aggregators, n members, one outsider.

    The outsider has another key in each version.
    """
    roles = {AGGREGATOR: "aggregator", OTHER_AGGREGATOR: "aggregator"}
    roles |= dict.fromkeys([*hospitals(n), OUTSIDER], "hospital")
    entries = [
        [who, role, ed25519.public_key(identity(who)), f"Institution {who}"]
        for who, role in roles.items()
    ]
    if version > 1:
        entries[-1][2] = ed25519.public_key(identity(f"{OUTSIDER} {version}"))
    secret = identity("consortium")
    key = ed25519.public_key(secret)
    before = beginning("example")
    if version > 1:
        before = open_roster(*signed_roster(n, version - 1))
    body = roster_body("example", version, before.hash, entries)
    return body, sign_roster(secret, body), key


def base_manifest(roster: Roster, members: list[list[Any]], c: int) -> Body:
    """A Manifest with ordinary parameters."""
    return {
        "task_id": "task",
        "round_no": 1,
        "attempt": 1,
        "aggregator": AGGREGATOR,
        "roster_hash": roster.hash,
        "members": members,
        "c": c,
        "m": 40,
        "extras": [],
        "bits": 16,
        "clip": real(8.0),
        "ranges": [[40, real(8.0)]],
        "weighting": "uniform",
        "w_max": 1,
        "rotation": None,
        "graph": "complete",
        "losses": None,
        "keystream": "chacha20",
        "chunk_log2": 12,
        "dp": None,
        "model_hash": MODEL_HASH,
        "previous_link": bytes(32),
        "durations": [1000, 2000, 3000, 4000, 5000, 6000, 7000],
    }


def noise_record(manifest: Body, params: Parameters) -> list[Any] | None:
    """[mechanism, z, sigma^2, Delta^2] of rule 10-2; nil without dp."""
    if manifest["dp"] is None:
        return None
    mechanism, z, _, _ = manifest["dp"]
    terms = noise_terms(manifest["dp"], params.delta_int, params.extras)
    return [mechanism, z, *map(str, terms)]
