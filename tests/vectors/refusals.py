"""Everything in the vector files that must be refused, as things to try."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from secagg import codec, errors
from secagg import messages as msg
from tests.vectors import elsewhere
from tests.vectors.files import content, names, unhex
from tests.vectors.parties import Effects, operations, party


@dataclass(frozen=True)
class Refused:
    """One thing to be refused.

    Attributes:
        name: its file, and its place there.
        rule: the rule that refuses it.
        alone: whether nothing else does, with that rule switched off.
        attempt: tries it; returns the rule that refused it, None if it was taken.
    """

    name: str
    rule: str
    alone: bool
    attempt: Callable[[], str | None] = field(repr=False)


def everything() -> list[Refused]:
    """All of them, in the order of the files."""
    return [*_sessions(), *_files(), *_cases()]


# --- sessions


def _sessions() -> list[Refused]:
    return [
        Refused(name, refuse["rule"], refuse["alone"], partial(last_event, name))
        for name in names("session", bad=True)
        for refuse in [content(name)["refuse"]]
    ]


def last_event(name: str) -> str | None:
    """Run a bad session file; return the rule that refused its last event."""
    refuse = content(name)["refuse"]
    machine = party(name, refuse["party"])
    found: Effects = {}
    for kind, given, _ in operations(name, refuse["party"]):
        found = machine.feed(kind, given)
    if "complaint" in refuse:
        return refuse["rule"] if complained(name, found) else None
    return refused_in(found, by=refuse["by"])


def refused_in(effects: Effects, *, by: str) -> str | None:
    """The rule that an event was refused by, if it was."""
    if "refuse" in effects:
        return str(effects["refuse"])
    # A client that is told of an Abort refuses nothing.
    if by == "s" and "aborted" in effects:
        return str(effects["aborted"]["code"])
    for kind in ("drop", "ignored"):
        if kind in effects:
            return str(effects[kind][1])
    return None


def complained(name: str, effects: Effects) -> bool:
    """Whether the ShareAck has a zero for the dealer that the file names."""
    refuse = content(name)["refuse"]
    [[_, data]] = effects["send"]
    envelope = codec.decode_envelope(unhex(data), members=100)
    ack = codec.decode_body("ShareAck", envelope.body, members=100)
    assert isinstance(ack, msg.ShareAck)
    members = sorted(m.peer for m in _members(name))
    place = members.index(refuse["complaint"])
    return not ack.bitmap[place // 8] >> (place % 8) & 1


def _members(name: str) -> tuple[msg.Member, ...]:
    body = unhex(content(name)["manifest"])
    manifest = codec.decode_body("Manifest", body, members=4096)
    assert isinstance(manifest, msg.Manifest)
    return manifest.members


# --- the rest

WHOLE: dict[str, Callable[[dict[str, Any]], object]] = {
    "roster": elsewhere.open_roster,
    "connection": elsewhere.lobby_message,
    "history": elsewhere.walk_history,
    "upload": elsewhere.upload,
    "vector": elsewhere.released_vector,
}
BY_CASE: dict[str, Callable[[dict[str, Any]], object]] = {
    "parameters": lambda case: elsewhere.parameters(case["given"]),
    "x25519": elsewhere.x25519_case,
    "ed25519": elsewhere.ed25519_case,
    "encoding": elsewhere.encoding_case,
}


def _files() -> list[Refused]:
    return [
        Refused(
            name,
            # A History is refused through one of its parts.
            refuse.get("part", refuse["rule"]),
            refuse["alone"],
            partial(_raised, run, content(name)),
        )
        for kind, run in WHOLE.items()
        for name in names(kind, bad=True)
        for refuse in [content(name)["refuse"]]
    ]


def _cases() -> list[Refused]:
    found = [
        Refused(
            f"{name}[{place}]",
            case["refuse"]["rule"],
            case["refuse"]["alone"],
            partial(_raised, run, case),
        )
        for kind, run in BY_CASE.items()
        for name in names(kind)
        for place, case in enumerate(content(name)["cases"])
        if "refuse" in case
    ]
    file = content("sealed_share")
    seals = [
        Refused(
            f"sealed_share[{case['why']}]",
            case["refuse"]["rule"],
            case["refuse"]["alone"],
            partial(_raised, partial(elsewhere.sealed_case, file), case),
        )
        for case in file["bad"]
    ]
    return [*found, *seals]


def _raised(
    run: Callable[[dict[str, Any]], object], given: dict[str, Any]
) -> str | None:
    try:
        run(given)
    except errors.RemoteProtocolError as error:
        return error.rule
    return None
