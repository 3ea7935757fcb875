"""Negative twins: one party, its operations, and then what it must refuse.

Each is made by the party's own machine at that place, which must name the rule. Whether
the message breaks that rule alone is found by switching the rule off.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from protocol_spec.model import ed25519
from protocol_spec.model.checks import Standing
from protocol_spec.model.cohort import Cohort
from protocol_spec.model.envelope import Envelope, seal, signing_input
from protocol_spec.model.messages import HEADERS, Body, encode_body
from protocol_spec.model.record import Names, Operation, header_json, party_json
from protocol_spec.model.refusal import RefusedError, switched_off
from protocol_spec.model.server import Effects
from protocol_spec.model.setting import AGGREGATOR, identity


@dataclass(frozen=True)
class Twin:
    """A bad event for one party.

    Attributes:
        name: the file's name.
        rule: what refuses it.
        who: the party.
        before: the message before which it comes, a key of `Party.snapshots`.
        event: the event's name.
        given: its fields.
        also: events before it that are not in the honest session.
        bites_alone: False if it breaks other rules in ways the model cannot show.
        standing: what the client kept, and its policy, if it matters.
    """

    name: str
    rule: str
    who: str
    before: str
    event: str
    given: Body
    also: tuple[tuple[str, Body], ...] = ()
    bites_alone: bool = True
    standing: Standing | None = None


def received(
    name: str, rule: str, who: str, before: str, data: bytes, peer: str = AGGREGATOR
) -> Twin:
    """A twin whose bad event is a message."""
    given = {"peer": peer, "envelope": data}
    return Twin(name, rule, who, before, "received", given)


def twin_json(cohort: Cohort, twin: Twin) -> Body:
    """The file of a twin; raises if the model does not refuse it by its rule."""
    kept, count = cohort.parties[twin.who].snapshots[twin.before]
    machine = copy.deepcopy(kept)
    if twin.standing is not None:
        machine.standing = copy.deepcopy(twin.standing)
    operations = cohort.parties[twin.who].operations[:count]
    for event, given in twin.also:
        operations.append((event, given, machine.handle(event, given)))
    before = copy.deepcopy(machine)
    effects = machine.handle(twin.event, twin.given)
    complaint = _judge(twin, machine, effects)
    operations.append((twin.event, twin.given, effects))
    names = Names()
    if "envelope" in twin.given:
        names.by_bytes[twin.given["envelope"]] = "bad"
    out = header_json(cohort, f"rule {twin.rule} refuses the last event")
    out["parties"] = {twin.who: _party_json(cohort, twin, operations, names)}
    out["envelopes"] = names.table()
    alone = twin.bites_alone and _passes_without_the_rule(before, twin)
    out["refuse"] = refuse_json(
        twin.rule, "s" if twin.who == AGGREGATOR else "c", alone
    )
    out["refuse"]["party"] = twin.who
    if complaint:
        out["refuse"]["complaint"] = complaint
    return out


def _party_json(
    cohort: Cohort, twin: Twin, operations: list[Operation], names: Names
) -> Body:
    """The twin's party, with what it kept in this twin."""
    party = cohort.parties[twin.who]
    honest, party.standing = party.standing, twin.standing or party.standing
    try:
        return party_json(cohort, twin.who, operations, names)
    finally:
        party.standing = honest


def refuse_json(rule: str, by: str, alone: Any) -> Body:
    """What a bad file ends with: the rule, whose, and whether it bites alone."""
    return {"rule": rule, "by": by, "alone": bool(alone)}


def judged(rule: str, by: str, run: Callable[[], Any]) -> Body:
    """Run what must be refused by `rule`, and again with the rule switched off."""
    try:
        run()
    except RefusedError as refused:
        if refused.rule != rule:
            raise
        cause = refused.__cause__
    else:
        raise ValueError(f"rule {rule} did not refuse")
    out = refuse_json(rule, by, alone=_passes(rule, run))
    if isinstance(cause, RefusedError) and cause.rule != rule:
        out["part"] = cause.rule
    return out


def _passes(rule: str, run: Callable[[], Any]) -> bool:
    """Whether it passes with the rule switched off."""
    with switched_off(rule):
        try:
            run()
        except (RefusedError, KeyError, ValueError, TypeError, IndexError):
            return False
    return True


def _judge(twin: Twin, machine: Any, effects: Effects) -> str:
    """Check that the refusal names the rule; return whom a complaint is about."""
    complaints = _complaints(machine)
    blamed = [dealer for dealer, rule in complaints.items() if rule == twin.rule]
    if blamed:
        return str(blamed[0])
    if found_rule(effects) != twin.rule:
        raise ValueError(f"{twin.name}: {effects} instead of {twin.rule}")
    return ""


def _complaints(machine: Any) -> dict[str, str]:
    held = getattr(machine, "held", None)
    return held.complaints if held is not None else {}


def found_rule(effects: Effects) -> Any:
    """The rule that effects name, whatever the kind of refusal."""
    aborted = effects.get("aborted", {}).get("code")
    named = effects.get("drop") or effects.get("ignored") or [None, None]
    return effects.get("refuse") or named[1] or aborted


def _passes_without_the_rule(machine: Any, twin: Twin) -> bool:
    with switched_off(twin.rule):
        try:
            effects = machine.handle(twin.event, twin.given)
        except (LookupError, ValueError, TypeError, AttributeError, AssertionError):
            return False
    expected_abort = twin.event == "received" and "code" in effects.get("aborted", {})
    refused = found_rule(effects) is not None and not expected_abort
    return not refused and not _complaints(machine)


def by_aggregator(
    cohort: Cohort, who: str, before: str, kind: str, body: Body | bytes, **changes: Any
) -> bytes:
    """A message of S, properly signed, as `who` would take it before `before`."""
    machine = cohort.parties[who].snapshots[before][0]
    receiver = "" if HEADERS[kind].to_all else who
    encoded = body if isinstance(body, bytes) else encode_body(kind, body)
    sid = changes.pop("sid", machine.sid)
    h = changes.pop("h", None) or machine.transcripts[HEADERS[kind].transcript]
    sender = changes.pop("sender", AGGREGATOR)
    secret = identity(sender)
    receiver = changes.pop("receiver", receiver)
    sealed = seal_exactly(secret, kind, sid, sender, receiver, h, encoded)
    return _replaced(sealed, changes)


def by_member(
    cohort: Cohort, who: str, before: str, kind: str, body: Body | bytes, **changes: Any
) -> bytes:
    """A member's message, properly signed, as S would take it before `before`."""
    machine = cohort.parties[AGGREGATOR].snapshots[before][0]
    encoded = body if isinstance(body, bytes) else encode_body(kind, body)
    h = changes.pop("h", None) or machine.transcripts[HEADERS[kind].transcript]
    receiver = changes.pop("receiver", AGGREGATOR)
    sid = changes.pop("sid", machine.sid)
    args = (identity(who), kind, sid, who, receiver, h, encoded)
    return _replaced(seal_exactly(*args), changes)


def seal_exactly(
    secret: bytes,
    kind: str,
    sid: bytes,
    sender: str,
    receiver: str,
    h: bytes,
    body: bytes,
) -> Envelope:
    """Like `seal`, but to the receiver as it is given."""
    if not HEADERS[kind].to_all or receiver == "":
        return seal(secret, kind, sid, sender, receiver, h, body)
    signed = signing_input(kind, sid, sender, receiver, h, body)
    return Envelope(kind, sid, sender, receiver, body, ed25519.sign(secret, signed))


def _replaced(envelope: Envelope, changes: Body) -> bytes:
    """Fields changed after signing."""
    fields = {**vars(envelope), **changes}
    return Envelope(**fields).encode()
