"""Vector files as the tests read them, and the model replayed from a file alone."""

from __future__ import annotations

import json
import pathlib
import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from protocol_spec.model.checks import Standing
from protocol_spec.model.client import Client
from protocol_spec.model.field import Q
from protocol_spec.model.messages import decode_body
from protocol_spec.model.record import effects_json
from protocol_spec.model.roster import Roster, open_roster
from protocol_spec.model.server import Server

SPEC = pathlib.Path(__file__).parent.parent.parent / "protocol_spec"
FOLDER = SPEC / "vectors" / "v1"
RULE_ROW = re.compile(r"^\| (\d+(?:\.\d+)?-\d+) \| ([cos ]+) \|", re.MULTILINE)


@cache
def content(name: str) -> dict[str, Any]:
    """One file, by its name without .json."""
    read: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text("ascii"))
    return read


def index() -> dict[str, dict[str, str]]:
    """Part to file to SHA-256."""
    return content("index")


def names(kind: str | None = None, *, bad: bool | None = None) -> list[str]:
    """The files, of one kind if it is given, good or bad if it is given."""
    listed = [name for part in index().values() for name in part]
    return [
        name
        for name in listed
        if (kind is None or content(name)["kind"] == kind)
        and (bad is None or ("_bad_" in name) == bad)
    ]


def rules() -> dict[str, set[str]]:
    """Every rule of the spec's tables, and by whom."""
    text = (SPEC / "spec.md").read_text("utf-8")
    return {rule: set(by.split()) for rule, by in RULE_ROW.findall(text)}


def refusals(name: str) -> list[dict[str, Any]]:
    """What a file refuses: as a whole, or case by case."""
    read = content(name)
    cases = [case for case in read.get("cases", []) if "refuse" in case]
    whole = [read] if "refuse" in read else []
    return [case["refuse"] for case in (*whole, *cases)]


@dataclass
class RecordedEntropy:
    """The draws of a file, label by label, in order."""

    draws: dict[str, list[str]]
    taken: dict[str, int] = field(default_factory=dict)

    def draw(self, label: str, size: int = 32) -> bytes:
        """The next draw under `label`."""
        place = self.taken.get(label, 0)
        self.taken[label] = place + 1
        data = bytes.fromhex(self.draws[label][place])
        assert len(data) == size
        return data

    def scalar(self, label: str) -> int:
        """The next draw below Q."""
        while (value := int.from_bytes(self.draw(label), "little")) >= Q:
            pass
        return value


def roster_of(read: dict[str, Any]) -> Roster:
    """The roster of a file."""
    parts = (read["roster"][p] for p in ("body", "signature", "consortium_key"))
    return open_roster(*map(bytes.fromhex, parts))


def rosters_of(read: dict[str, Any]) -> list[Roster]:
    """The versions of a file, the newest last."""
    return [roster_of({"roster": one}) for one in (*read["earlier"], read["roster"])]


def machine_of(read: dict[str, Any], who: str) -> Client | Server:
    """A party of a session file, before its first operation."""
    party = read["parties"][who]
    secret, roster = bytes.fromhex(party["identity"]), roster_of(read)
    if party["role"] == "aggregator":
        body = bytes.fromhex(read["manifest"])
        return Server(who, secret, roster, decode_body("Manifest", body, 64))
    state = party["state"]
    standing = Standing(
        joined=(state["joined"][0], state["joined"][1]),
        head=bytes.fromhex(state["head"]),
        spent=state["spent"],
        min_members=party["policy"]["min_members"],
        min_difference=party["policy"].get("min_difference", 0),
        sums=[
            (u3, bytes.fromhex(model), bool(constants))
            for u3, model, constants in state.get("sums", [])
        ],
    )
    entropy: Any = RecordedEntropy(party["entropy"])
    hc = bytes.fromhex(read["hc"])
    return Client(who, secret, read["aggregator"], hc, roster, standing, entropy)


def given_of(read: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """An event's fields as the model takes them."""
    out = dict(fields)
    if "envelope" in out:
        out["envelope"] = bytes.fromhex(read["envelopes"][out["envelope"]])
    for name in ("root", "result", "model_hash"):
        if name in out:
            out[name] = bytes.fromhex(out[name])
    return out


@dataclass
class KnownNames:
    """Envelopes by the names that the file gives them."""

    by_bytes: dict[bytes, str]

    def name(self, data: bytes) -> str:
        """The name; an unknown envelope is shown as hex."""
        return self.by_bytes.get(data, data.hex())


def played(read: dict[str, Any], who: str) -> list[tuple[Any, Any]]:
    """(expected, found) of every operation of one party."""
    machine = machine_of(read, who)
    table = {bytes.fromhex(text): name for name, text in read["envelopes"].items()}
    names_of: Any = KnownNames(table)
    pairs = []
    for operation in read["parties"][who]["operations"]:
        [(event, fields)] = operation["event"].items()
        effects = machine.handle(event, given_of(read, fields))
        found = json.loads(json.dumps(effects_json(effects, names_of)))
        pairs.append((operation["expect"], found))
    return pairs
