"""The judge condemns a hospital that did what never may be done: I1 to I8."""

import dataclasses
from typing import Any

import pytest

from secagg import codec, events, messages
from tests.chaos.bending import (
    NONE,
    bent,
    first,
    heard,
    named,
    sent,
    someone,
    with_body,
)
from tests.chaos.testimony import heard as told
from tests.invariants import digest
from tests.recording import body_of


def no_certificate(judge):
    """I2."""
    heard(judge, "Certificate", lambda event: events.Stopped(code="0-1", reason=""))


def a_second_vote(judge):
    """I3."""
    sent(judge, "Consistency", lambda e: [e, with_body(e, e.envelope.body + b"\0")])


def a_second_input(judge):
    """I4, of what is sent."""
    sent(judge, "MaskedInput", lambda e: [e, with_body(e, e.envelope.body + b"\0")])


def masked_twice(judge):
    """I4, of what is masked."""
    bent(
        judge,
        events.MaskVector,
        lambda e: [e, dataclasses.replace(e, seeds=e.seeds[::-1])],
    )


def masks_of_another_session(judge):
    """I5."""
    joined = (e for e in someone(judge).effects if isinstance(e, events.Joined))
    other = dataclasses.replace(next(joined), sid=NONE)
    bent(
        judge,
        events.MaskVector,
        lambda e: [other, dataclasses.replace(e, sid=NONE), e],
    )


def an_own_secret_sent(judge):
    """I6."""
    hospital = someone(judge)
    body = hospital.sent[-1].body
    hospital.drawn["b_u"].append(body[-32:])


def joined_twice(judge):
    """I7."""
    bent(judge, events.PersistJoined, lambda e: [e, e])


def joined_after_the_root(judge):
    """I8."""

    def bend(effect):
        again = events.PersistJoined(
            task_id=effect.task_id, round_no=effect.round_no, attempt=3
        )
        return [effect, again]

    bent(judge, events.PersistSpent, bend)


def spent_too_late(judge):
    """4.1-9, on which I8 rests."""
    bent(judge, events.PersistSpent, lambda e: [])


def says(envelope) -> Any:
    return body_of(envelope)


def a_share_of_the_other_kind(judge):
    """I1: each share opens the commitment to a key, and own masks are to be removed."""
    me, (sid, _) = someone(judge), first(judge)
    said = {e.type: says(e) for e in (*me.sent, *told(me)) if e.sid == sid}
    dealers, released = said["DealerList"].dealers, said["Unmasking"].shares
    shares = dict(zip(dealers, released, strict=True))

    def other_kind(entry):
        names = (entry.dealer.encode(), me.id.encode())
        share = shares.get(entry.dealer) or bytes(32)
        com_s = digest("secagg/1/com-s", sid, *names, share)
        return dataclasses.replace(entry, com_b=bytes(32), com_s=com_s)

    def committed(event):
        if event.envelope.sid != sid:
            return event
        entries = tuple(map(other_kind, says(event.envelope).entries))
        return with_body(
            event, codec.encode_body(messages.DealtShares(entries=entries))
        )

    heard(judge, "DealtShares", committed)


INVARIANTS = [
    (a_share_of_the_other_kind, "'s'"),
    (no_certificate, "I2"),
    (a_second_vote, "I3"),
    (a_second_input, "I4"),
    (masked_twice, "I4: two y_u"),
    (masks_of_another_session, "I5"),
    (an_own_secret_sent, "I6"),
    (joined_twice, "I7"),
    (joined_after_the_root, "I8"),
    (spent_too_late, "spent before it was durable"),
]


@pytest.mark.parametrize(("bend", "verdict"), named(INVARIANTS))
def test_what_never_may_happen_is_told(judge, bend, verdict) -> None:
    bend(judge)
    with pytest.raises(AssertionError, match=verdict):
        judge.check_invariants()
