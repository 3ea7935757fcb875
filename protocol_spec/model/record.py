"""A session's record as JSON: what `vectors/README.md` calls a session file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from protocol_spec.model.cohort import Cohort
from protocol_spec.model.envelope import decode_envelope
from protocol_spec.model.messages import Body
from protocol_spec.model.parameters import Parameters
from protocol_spec.model.refusal import RefusedError
from protocol_spec.model.server import Effects
from protocol_spec.model.setting import AGGREGATOR, HC, identity

Operation = tuple[str, Body, Effects]

ENVELOPE_LIMIT = 4096
"""Members for which an envelope's length is not the matter when it is named."""

LONG = 1000
"""Elements beyond which a file does not hold the updates and their mean."""


@dataclass
class Names:
    """Every envelope of a file, once, by a name such as ``ShareKeys/h02``."""

    by_bytes: dict[bytes, str] = field(default_factory=dict)

    def name(self, data: bytes) -> str:
        """The name of an envelope; it gets one when it is first met."""
        if data not in self.by_bytes:
            self.by_bytes[data] = self._fresh(_plain_name(data))
        return self.by_bytes[data]

    def _fresh(self, plain: str) -> str:
        """A second envelope of one kind is called ``...#2``."""
        taken, name, count = set(self.by_bytes.values()), plain, 1
        while name in taken:
            count += 1
            name = f"{plain}#{count}"
        return name

    def table(self) -> dict[str, str]:
        """Name to hex."""
        return {name: data.hex() for data, name in self.by_bytes.items()}


def _plain_name(data: bytes) -> str:
    """Type, and the member it comes from or goes to."""
    try:
        envelope = decode_envelope(data, ENVELOPE_LIMIT)
    except RefusedError:
        return "bytes"
    from_s = envelope.sender == AGGREGATOR
    member = envelope.receiver if from_s else envelope.sender
    return f"{envelope.type}/{member}" if member else envelope.type


def operation_json(operation: Operation, names: Names) -> Body:
    """{"event": {...}, "expect": {...}}."""
    event, given, effects = operation
    plain = {key: _plain(value) for key, value in given.items() if key != "envelope"}
    if "envelope" in given:
        plain["envelope"] = names.name(given["envelope"])
    return {"event": {event: plain}, "expect": effects_json(effects, names)}


def effects_json(effects: Effects, names: Names) -> Body:
    """Effects with envelopes by name and masks in the order of their hex."""
    out: Body = {}
    for kind, value in effects.items():
        if kind == "send":
            out[kind] = [[receiver, names.name(data)] for receiver, data in value]
        elif kind == "mask_vector":
            out[kind] = masks_json(value)
        elif kind == "open_sum":
            out[kind] = {"u3": value["u3"], "seeds": masks_json(value["seeds"])}
        else:
            out[kind] = _plain(value)
    return out


def masks_json(masks: list[tuple[bytes, int, int]]) -> list[list[Any]]:
    """[[key, tag, sign], ...], sorted."""
    return sorted([key.hex(), tag, sign] for key, tag, sign in masks)


def _plain(value: Any) -> Any:
    """Bytes as hex, all else as it is."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def roster_json(signed: tuple[bytes, bytes, bytes]) -> Body:
    """The signed roster and the consortium's key."""
    parts = ("body", "signature", "consortium_key")
    return dict(zip(parts, map(bytes.hex, signed), strict=True))


def party_json(
    cohort: Cohort, who: str, operations: list[Operation], names: Names
) -> Body:
    """One party: identity, entropy, memory, policy, operations."""
    party = cohort.parties[who]
    out: Body = {"role": "aggregator" if who == AGGREGATOR else "hospital"}
    out["identity"] = identity(who).hex()
    if who != AGGREGATOR:
        drawn = party.machine.entropy.drawn
        standing = party.standing
        out["entropy"] = _plain(drawn)
        out["state"] = {
            "joined": list(standing.joined),
            "head": standing.head.hex(),
            "spent": standing.spent,
        }
        out["policy"] = {"min_members": standing.min_members}
        if standing.min_difference:
            out["policy"]["min_difference"] = standing.min_difference
            out["state"]["sums"] = [
                [u3, model.hex(), int(constants)]
                for u3, model, constants in standing.sums
            ]
    out["operations"] = [operation_json(op, names) for op in operations]
    return out


def vectors_json(given: Body) -> Body:
    """What went into one member's masked vector; a long one without the update."""
    left_out = {"elements"} | ({"update"} if len(given["x_u"]) > LONG else set())
    return {key: _plain(value) for key, value in given.items() if key not in left_out}


def derived_json(params: Parameters) -> Body:
    """What section 2.2 derives."""
    names = ("n", "c", "q", "floor", "d", "x_max", "delta_int", "w", "p")
    out = {name: getattr(params, name) for name in names}
    degree = params.degree
    out |= {"k": degree.k, "c_k": degree.corrupt, "t": degree.t}
    out["L"] = degree.least
    out["limb_bits"] = params.limb_bits
    out["extras"] = [list(extra) for extra in params.extras]
    out["limbs"] = list(params.limbs)
    out["M"] = params.length
    return out


def header_json(cohort: Cohort, about: str) -> Body:
    """What a whole session file and a negative twin both begin with."""
    return {
        "kind": "session",
        "about": about,
        "roster": roster_json(cohort.roster_parts),
        "aggregator": AGGREGATOR,
        "hc": HC.hex(),
        "manifest": cohort.server.body.hex(),
        "derived": derived_json(cohort.server.params),
    }


def session_json(cohort: Cohort, about: str) -> Body:
    """A whole session: every honest party's operations, inputs and the sum."""
    names, parties = Names(), {}
    for who, party in cohort.parties.items():
        if who in cohort.corrupt:
            continue
        parties[who] = party_json(cohort, who, party.operations, names)
        if party.given and who not in cohort.late:
            parties[who]["vector"] = vectors_json(party.given)
    out = header_json(cohort, about)
    out["corrupt"] = sorted(cohort.corrupt)
    out["parties"] = parties
    if cohort.result:
        out["opened"] = _plain(cohort.result)
        if len(cohort.result["sum"]) > LONG:
            del out["opened"]["mean"]
    out["envelopes"] = names.table()
    return out
