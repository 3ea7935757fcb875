"""Every (phase, message) pair of both machines: taken, ignored or refused, and how.

What is not in the table breaks 3.4-6; a second, different message breaks 3.4-7; a
repeat is answered as before. What is ignored or repeated changes nothing; a breach ends
a client's session and drops a member, and changes nothing else.
"""

from dataclasses import replace

import pytest

from secagg import codec, errors, events
from secagg import messages as msg
from secagg.crypto import transcript
from secagg.names import Round, SessionId
from secagg.signing import seal
from secagg.transitions import CLIENT, COLLECTING, ORDER, SERVER
from tests.helpers import AGGREGATOR, silo
from tests.machine.moves import (
    KINDS,
    ME,
    TYPES,
    C,
    S,
    ServerAt,
    client_at,
    cohort,
    server_at,
)
from tests.samples import blob

IN_SESSION = [
    C.ADVERTISED,
    C.TOSSED,
    C.SHARED,
    C.ACKED,
    C.MASKING,
    C.MASKED,
    C.WATCHING,
]
IN_SESSION += [C.WATCHING, C.VOTED, C.RELEASED]
BY_NAME = dict(zip(TYPES, KINDS, strict=True))
CHAIN = ["Manifest", "KeyList", "CoinList", "DealtShares", "DealerList", "InputList"]
CHAIN += ["Certificate", "Result"]
ANSWERS = {
    "Manifest": "AdvertiseKeys",
    "KeyList": "ShareKeys",
    "DealtShares": "ShareAck",
    "DealerList": None,
    "InputList": "Consistency",
    "Certificate": "Unmasking",
}


def of(effects, kind):
    return [effect for effect in effects if isinstance(effect, kind)]


def refusal(effects):
    """The rule of the Refusal that was sent, if one was."""
    sent = [e.envelope for e in of(effects, events.Send)]
    bodies = [
        codec.decode_body("Refusal", envelope.body, members=4)
        for envelope in sent
        if envelope.type == "Refusal"
    ]
    return [body.rule for body in bodies if isinstance(body, msg.Refusal)]


def assert_ignored(at, effects, before, rule):
    [ignored] = effects
    assert isinstance(ignored, events.Ignored)
    assert ignored.rule == rule
    assert at.state == before


def assert_left(at, effects, rule):
    """The rule is told, the session and its secrets are gone, the memory is not."""
    assert refusal(effects) == [rule]
    [end] = of(effects, events.Aborted)
    assert end.code == rule
    assert at.client._session is None
    assert at.client.phase in {C.READY, C.IDLE}
    assert (at.client.phase is C.READY) == end.retry
    assert at.client.sid is None
    assert at.client.outbox == ()


# --- a client in no session


@pytest.mark.parametrize("kind", KINDS, ids=TYPES)
@pytest.mark.parametrize("phase", [C.IDLE, C.READY])
def test_outside_a_session_a_client_ignores_all_but_a_manifest_it_is_ready_for(
    phase, kind
) -> None:
    at = client_at(phase)
    before = at.state
    if phase is C.READY and kind is msg.Manifest:
        effects = at.tell(at.due("Manifest"))
        assert [type(e) for e in effects] == [
            events.PersistJoined,
            events.Joined,
            events.Send,
        ]
        assert at.client.phase is C.ADVERTISED
        return
    effects = at.tell(at.signed(kind))
    rule = "3.4-6" if kind is msg.Manifest else "8-6"
    assert_ignored(at, effects, before, rule)


# --- a client in a session


@pytest.mark.parametrize("kind", KINDS[1:], ids=TYPES[1:])
@pytest.mark.parametrize("phase", IN_SESSION)
def test_what_comes_under_another_sid_is_ignored(phase, kind) -> None:
    assert kind is not msg.Manifest
    at = client_at(phase)
    before = at.state
    other = at.signed(kind, sid=SessionId(blob(1)))
    assert_ignored(at, at.tell(other), before, "8-6")


NOT_DUE = [
    (phase, type_)
    for phase in IN_SESSION
    for type_ in [*TYPES, "Surprise"]
    if type_ not in {"Abort", "Manifest", *CLIENT[phase]}
]


@pytest.mark.parametrize(("phase", "type_"), NOT_DUE)
def test_in_a_session_what_is_not_in_the_table_is_refused_and_ends_it(
    phase, type_
) -> None:
    at = client_at(phase)
    envelope = at.signed(BY_NAME.get(type_, msg.Challenge))
    rule = "3.4-7" if type_ in at.seen else "3.4-6" if type_ in BY_NAME else "3.4-2"
    assert_left(at, at.tell(replace(envelope, type=type_)), rule)


@pytest.mark.parametrize("phase", IN_SESSION)
def test_the_message_that_is_due_is_taken_and_leads_where_the_table_says(phase) -> None:
    at = client_at(phase)
    [due] = [t for t in CLIENT[phase] if t in CHAIN[1:]]
    envelopes = held_back(at, due)
    assert at.client.phase is phase
    at.tell(envelopes[0])
    assert at.client.phase in CLIENT[phase][due]


def held_back(at, type_):
    """Let the session go on without the client until this is on its way to it."""
    world, queue = at.world, at.world._queue
    while not world.waiting(type_, ME):
        carried = queue.popleft() if queue else None
        if carried is None:
            world.tell_server(events.DeadlinePassed(round=Round(world.server.phase)))
        elif carried.receiver != ME:
            world._deliver(carried)
    return [carried.envelope for carried in world.waiting(type_, ME)]


@pytest.mark.parametrize("phase", IN_SESSION)
def test_an_abort_ends_any_session(phase) -> None:
    at = client_at(phase)
    effects = at.tell(at.signed(msg.Abort))
    [end] = of(effects, events.Aborted)
    assert (end.code, end.missing) == ("4.5-5", ("a",))
    assert refusal(effects) == []
    assert at.client._session is None
    spent = phase in {C.MASKED, C.VOTED, C.RELEASED}
    assert end.retry != spent
    assert at.client.phase is (C.IDLE if spent else C.READY)


SEEN = [(phase, type_) for phase in IN_SESSION for type_ in client_at(phase).seen]


@pytest.mark.parametrize(("phase", "type_"), SEEN)
def test_a_repeat_is_answered_as_before_and_changes_nothing(phase, type_) -> None:
    at = client_at(phase)
    before, said = at.state, list(at.client.sent)
    heard = [
        event.envelope
        for event, _ in at.client.log
        if isinstance(event, events.Received) and event.envelope.type == type_
    ]
    for _ in range(2):
        effects = at.tell(heard[-1])
        answers = [e.envelope for e in of(effects, events.Send)]
        answer = "Coin" if at.client.phase is C.TOSSED else ANSWERS[type_]
        answer = ANSWERS[type_] if type_ == "Manifest" else answer
        assert [e.type for e in answers] == [a for a in [answer] if a]
        assert all(answer in said for answer in answers)
        assert len(effects) == len(answers)
        assert at.state == before


@pytest.mark.parametrize(("phase", "type_"), SEEN)
def test_a_second_different_message_is_refused_by_3_4_7_and_ends_the_session(
    phase, type_
) -> None:
    at = client_at(phase)
    heard = next(
        event.envelope
        for event, _ in at.client.log
        if isinstance(event, events.Received) and event.envelope.type == type_
    )
    other = replace(heard, signature=bytes(64))
    assert_left(at, at.tell(other), "3.4-7")


def further_manifest(at):
    """A sound Manifest of a second attempt with the same clients."""
    body = at.world.manifest(attempt=2)
    sid = transcript.session_id(codec.encode_body(body))
    identity = at.world.consortium.aggregator
    return seal(body, identity=identity, receiver=ME, sid=sid, h=sid)


@pytest.mark.parametrize("phase", IN_SESSION)
def test_a_further_manifest_is_joined_until_the_update_is_spent(phase) -> None:
    at = client_at(phase)
    before, envelope = at.state, further_manifest(at)
    effects = at.tell(envelope)
    if phase in {C.MASKED, C.RELEASED}:
        assert_ignored(at, effects, before, "3.4-6")
    elif phase is C.VOTED:
        # Its root is stated: the gate is open, and rule 4.1-8 shuts it.
        assert refusal(effects) == ["4.1-8"]
        assert at.state == before
    else:
        assert at.client.sid == envelope.sid
        assert at.client.phase is C.ADVERTISED
        assert len(at.client.outbox) == 1


@pytest.mark.parametrize("phase", list(C))
def test_our_own_moves_are_allowed_by_the_table_or_refused_to_our_caller(phase) -> None:
    ready = events.InputReady(task_id="task", round_no=2, model_hash=bytes(32))
    at = client_at(phase)
    before = at.state
    if "InputReady" in CLIENT[phase]:
        at.client.handle(ready)
        assert at.client.phase is C.READY
    else:
        with pytest.raises(errors.LocalProtocolError):
            at.client.handle(ready)
        assert at.state == before


@pytest.mark.parametrize("phase", list(C))
def test_a_vector_is_stated_only_while_masking(phase) -> None:
    at = client_at(phase)
    before = at.state
    masked = events.VectorMasked(sid=at.world.server.sid, root=blob(1))
    effects = at.client.handle(masked)
    if phase is C.MASKING:
        assert [type(e) for e in effects] == [events.PersistSpent, events.Send]
        assert at.client.phase is C.MASKED
    else:
        assert effects == []
        assert at.state == before


@pytest.mark.parametrize("phase", list(C))
def test_a_client_may_be_stopped_in_any_phase(phase) -> None:
    at = client_at(phase)
    effects = at.client.handle(events.Stopped(code="0-1", reason="by hand"))
    if phase in {C.IDLE, C.READY}:
        assert effects == []
    else:
        assert_left(at, effects, "0-1")


# --- the aggregator

COLLECTS = {
    "AdvertiseKeys": S.ADVERTISE_KEYS,
    "Coin": S.COIN,
    "ShareKeys": S.SHARE_KEYS,
    "ShareAck": S.SHARE_ACK,
    "MaskedInput": S.MASKED_INPUT,
    "Consistency": S.CONSISTENCY,
    "Unmasking": S.UNMASKING,
}
PLACE = {phase: place for place, phase in enumerate(S)}
ANSWERED, WAITED = silo(1), silo(3)


def drops(effects):
    return [(e.peer, e.rule) for e in of(effects, events.Drop)]


EARLY = [
    (phase, type_)
    for phase in S
    for type_ in [*TYPES, "Surprise"]
    if type_ not in COLLECTS or PLACE[COLLECTS[type_]] > PLACE[phase]
]


@pytest.mark.parametrize(("phase", "type_"), EARLY)
def test_what_is_not_due_yet_or_never_drops_its_sender(phase, type_) -> None:
    at = server_at(phase)
    kind = BY_NAME.get(type_, msg.Challenge)
    envelope = replace(at.signed(kind, WAITED), type=type_)
    before = at.world.server._state
    effects = at.tell(WAITED, envelope)
    rule = "3.4-6" if type_ in BY_NAME else "3.4-2"
    # The Refusal of the samples names 4.2-3.
    rule = "4.2-3" if type_ == "Refusal" else rule
    assert drops(effects) == [(WAITED, rule)]
    assert isinstance(effects[0], events.Journal)
    after = at.world.server._state
    assert after.dropped == {WAITED: rule}
    assert replace(after, dropped={}) == before


LATE = [
    (phase, type_)
    for phase in [*ORDER, S.DONE]
    for type_ in COLLECTS
    if PLACE[COLLECTS[type_]] < PLACE[phase]
]


@pytest.mark.parametrize(("phase", "type_"), LATE)
def test_what_is_late_is_ignored_and_changes_nothing(phase, type_) -> None:
    # Who keeps its coin ends the session: on the complete graph nobody asks for one.
    since = "share_keys" if type_ == "Coin" else COLLECTS[type_].value
    world = cohort(5, phase, silent={5: since}).started()
    if phase in {S.UNMASKING, S.OPENING}:
        world._open = lambda effect: None  # type: ignore[method-assign]
    while world.server.phase is not phase:
        if world._queue:
            world._deliver(world._queue.popleft())
        else:
            round_ = Round(world.server.phase.value)
            world.tell_server(events.DeadlinePassed(round=round_))
    at = ServerAt(world)
    before = world.server._state
    effects = at.tell(silo(5), at.signed(BY_NAME[type_], silo(5)))
    assert effects == [events.Ignored(peer=silo(5), type=type_, rule="3.4-6")]
    assert world.server._state is before


@pytest.mark.parametrize("phase", COLLECTING)
def test_the_answer_that_is_due_is_taken_and_the_last_one_closes_the_phase(
    phase,
) -> None:
    at = server_at(phase)
    world = at.world
    type_ = list(SERVER[phase])[-1]
    while world.server.phase is phase:
        before = world.server._state
        world._deliver(world._queue.popleft())
        after = world.server._state
        if after is not before and after.phase is phase:
            assert isinstance(world.effects[AGGREGATOR][-1], events.Journal)
    assert world.server.phase in SERVER[phase][type_]


SAID = [
    (phase, type_)
    for phase in S
    for peer, type_ in sorted(server_at(phase).world.server._state.seen)
    if peer == ANSWERED
]


@pytest.mark.parametrize(("phase", "type_"), SAID)
def test_a_members_repeat_is_nothing_and_a_second_message_drops_it(
    phase, type_
) -> None:
    at = server_at(phase)
    before = at.world.server._state
    sent = at.sent_by(ANSWERED, type_)
    assert at.tell(ANSWERED, sent) == []
    assert at.world.server._state is before
    effects = at.tell(ANSWERED, replace(sent, signature=bytes(64)))
    assert drops(effects) == [(ANSWERED, "3.4-7")]
    dropped = at.world.server._state.dropped
    assert dropped == {ANSWERED: "3.4-7"}


@pytest.mark.parametrize("type_", [*COLLECTS, "Refusal"])
@pytest.mark.parametrize("phase", list(S))
def test_what_a_dropped_member_says_is_ignored(phase, type_) -> None:
    at = server_at(phase)
    at.tell(WAITED, at.signed(msg.Refusal, WAITED))
    before = at.world.server._state
    effects = at.tell(WAITED, at.signed(BY_NAME[type_], WAITED))
    assert effects == [events.Ignored(peer=WAITED, type=type_, rule="3.4-8")]
    assert at.world.server._state is before


@pytest.mark.parametrize("phase", list(S))
def test_a_deadline_is_only_of_the_phase_it_names(phase) -> None:
    for round_ in Round:
        at = server_at(phase)
        before = at.world.server._state
        effects = at.world.server.handle(events.DeadlinePassed(round=round_))
        if round_.value == phase.value:
            assert isinstance(effects[0], events.Journal)
            assert at.world.server.phase is not phase
        else:
            assert effects == []
            assert at.world.server._state is before


@pytest.mark.parametrize("phase", list(S))
def test_a_vector_is_stored_only_in_masked_input(phase) -> None:
    at = server_at(phase)
    before = at.world.server._state
    stored = events.VectorStored(peer=WAITED, root=blob(1))
    effects = at.world.server.handle(stored)
    if phase is S.MASKED_INPUT:
        assert effects == [events.Journal(event=stored)]
        assert at.world.server._state.stored[WAITED] == blob(1)
    else:
        assert isinstance(effects[0], events.Ignored)
        assert at.world.server._state is before


@pytest.mark.parametrize("phase", list(S))
def test_a_session_may_be_stopped_until_it_is_over(phase) -> None:
    at = server_at(phase)
    effects = at.world.server.handle(events.Stopped(code="0-2", reason="full disk"))
    if phase in {S.DONE, S.ABORTED}:
        assert effects == []
    else:
        [end] = of(effects, events.Aborted)
        assert (end.code, end.missing, end.retry) == ("0-2", (), False)
        assert at.world.server.phase is S.ABORTED
