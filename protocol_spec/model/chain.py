"""The chain of a task's Results, and the walk of a returning client (rule 4.8-4)."""

from __future__ import annotations

from protocol_spec.model import checks, keys
from protocol_spec.model.checks import Quoting
from protocol_spec.model.envelope import check_signature, decode_envelope
from protocol_spec.model.messages import Body, decode_body
from protocol_spec.model.parameters import parameters_of
from protocol_spec.model.refusal import RefusedError, require
from protocol_spec.model.roster import Roster


def walk(
    history: Body, task_id: str, head: bytes, aggregator: str, rosters: list[Roster]
) -> bytes:
    """The head after the missing links, oldest first; all breaches are 4.8-4."""
    for past in history["rounds"]:
        try:
            head = _step(past, task_id, head, aggregator, rosters)
        except RefusedError as refused:
            raise RefusedError("4.8-4", refused.detail) from refused
    return head


def _step(
    past: list[bytes], task_id: str, head: bytes, aggregator: str, rosters: list[Roster]
) -> bytes:
    """One link: its Manifest, a Certificate of q votes, and the Result."""
    members = max(len(roster.keys) for roster in rosters)
    manifest, result = (decode_envelope(past[place], members) for place in (0, 3))
    sid, voted = keys.session_id(manifest.body), past[1]
    typed = (manifest.type, result.type) == ("Manifest", "Result")
    require("4.8-4", typed, "not a Manifest and a Result")
    one = manifest.sid == result.sid == sid
    one = one and manifest.sender == result.sender == aggregator
    require("4.8-4", one, "not of one session of this aggregator")
    asked = decode_body("Manifest", manifest.body, members)
    named = [one for one in rosters if one.hash == asked["roster_hash"]]
    require("4.8-4", bool(named), "a roster that is not pinned")
    roster = named[0] if named else rosters[-1]
    key = roster.keys[aggregator]
    check_signature(manifest, key, sid, "3.4-3")
    check_signature(result, key, voted, "3.4-3")
    follows = asked["previous_link"] == head and asked["task_id"] == task_id
    require("4.8-4", follows, "the link does not follow the head: a fork")
    checks.check_members(asked, roster)
    params = parameters_of(asked)
    votes = decode_body("Certificate", past[2], members)
    voters = [member[0] for member in asked["members"]]
    quoting = Quoting(roster, aggregator, sid, voted)
    checks.check_certificate(votes, voters, voted, params.q, quoting)
    u3 = decode_body("Result", result.body, members)["u3"]
    summed = set(u3) <= set(voters) and len(u3) >= params.floor
    require("4.8-4", summed, "U3 is not within the members, or below the floor")
    return keys.link(head, sid, voted, result.body)
