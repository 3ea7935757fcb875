"""What a good run wrote, bent in one place, for the tests of the judge."""

import dataclasses

import pytest

from secagg import events
from secagg.names import SessionId

NONE = SessionId(bytes(32))
"""No session."""


def named(cases):
    return [pytest.param(*case, id=case[0].__name__) for case in cases]


def first(judge):
    """The oldest Result, and its session."""
    outcome = judge.aggregator.chain[0]
    return outcome["sid"], outcome


def someone(judge):
    """A hospital that took part in the oldest session to its end."""
    sid, _ = first(judge)
    released = [
        hospital
        for hospital in judge.hospitals
        if any(e.sid == sid and e.type == "Unmasking" for e in hospital.sent)
    ]
    return next(h for h in released if any(m[0] == sid for m in h.means))


def log_of(judge, change):
    """Put each event and its effects through a change."""
    hospital = someone(judge)
    hospital.log[:] = [change(event, effects) for event, effects in hospital.log]


def bent(judge, kind, change):
    """Put the effects of one kind through a change that returns several."""

    def bend(event, effects):
        after: list[object] = []
        for effect in effects:
            after += change(effect) if isinstance(effect, kind) else [effect]
        return event, after

    log_of(judge, bend)


def sent(judge, type_, change):
    """Put the envelopes that a hospital sent of a type through a change."""

    def bend(effect):
        here = effect.envelope.type == type_
        return change(effect) if here else [effect]

    bent(judge, events.Send, bend)


def with_body(effect, body):
    envelope = dataclasses.replace(effect.envelope, body=body)
    return dataclasses.replace(effect, envelope=envelope)


def heard(judge, type_, change):
    """Put what a hospital was told of a type through a change; None takes it away."""

    def bend(event, effects):
        here = isinstance(event, events.Received) and event.envelope.type == type_
        return (change(event) if here else event), effects

    log_of(judge, bend)


def another_body(event):
    return with_body(event, event.envelope.body + b"\0")


def of_type(event, type_):
    return isinstance(event, events.Received) and event.envelope.type == type_
