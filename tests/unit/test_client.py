"""secagg.client: a hospital's machine, session after session (4)."""

from dataclasses import replace

import pytest

from secagg import codec, errors, events
from secagg import messages as msg
from secagg.client import Client
from secagg.client_state import TaskMemory
from secagg.consortium import NO_MODEL
from secagg.crypto import transcript
from secagg.names import Round, SessionId
from secagg.signing import seal
from secagg.transitions import ClientPhase
from tests.helpers import AGGREGATOR, assert_completed, scene, silo, silos
from tests.invariants import check_all
from tests.samples import blob

ALL = silos(1, 2, 3, 4)
ME = silo(2)
READY = events.InputReady(task_id="task", round_no=1, model_hash=NO_MODEL)


def signed(world, message, h, *, sid=None, receiver=ME):
    """An envelope of the real aggregator."""
    return seal(
        message,
        identity=world.consortium.aggregator,
        receiver=receiver,
        sid=world.server.sid if sid is None else sid,
        h=h,
    )


def tell(world, envelope, peer=AGGREGATOR):
    return world.clients[ME].handle(events.Received(peer=peer, envelope=envelope))


def manifest_of(world, **other):
    """An envelope with a Manifest over the same clients, and its sid."""
    body = world.manifest(**other)
    sid = transcript.session_id(codec.encode_body(body))
    return signed(world, body, sid, sid=sid), sid


def kinds(effects):
    return [type(effect).__name__ for effect in effects]


def types(effects):
    return [e.envelope.type for e in effects if isinstance(e, events.Send)]


# --- getting ready


def test_a_client_that_trained_says_ready_with_a_fresh_nonce_each_time() -> None:
    client = scene().clients[ME]
    nonces = [client.ready.ready_nonce]
    for round_no in (1, 2):
        effects = client.handle(replace(READY, round_no=round_no))
        assert kinds(effects) == ["SayReady"]
        assert (client.ready.task_id, client.ready.round_no) == ("task", round_no)
        nonces.append(client.ready.ready_nonce)
    assert len(set(nonces)) == 3
    assert client.phase is ClientPhase.READY


def test_no_input_is_made_ready_while_a_session_runs() -> None:
    world = scene().started()
    world._deliver(world.waiting("Manifest", ME)[0])
    with pytest.raises(errors.LocalProtocolError, match="session is running"):
        world.clients[ME].handle(READY)
    assert world.clients[ME].phase is ClientPhase.ADVERTISED


def refusals(effects):
    bodies = [
        codec.decode_body("Refusal", e.envelope.body, members=4)
        for e in effects
        if isinstance(e, events.Send) and e.envelope.type == "Refusal"
    ]
    return [body for body in bodies if isinstance(body, msg.Refusal)]


# --- joining


def test_4_1_9_joined_is_durable_before_the_keys_go_out() -> None:
    world = scene()
    envelope, sid = manifest_of(world)
    effects = tell(world, envelope)
    assert kinds(effects) == ["PersistJoined", "Joined", "Send"]
    assert effects[0] == events.PersistJoined(task_id="task", round_no=1, attempt=1)
    assert (world.clients[ME].sid, world.clients[ME].transcript) == (sid, sid)


def test_what_is_remembered_from_disk_is_respected() -> None:
    world = scene()
    client = world.clients[ME]
    for memory, rule in (
        (TaskMemory(last_joined=(1, 1)), "4.1-6"),
        (TaskMemory(head=blob(1)), "4.1-7"),
        (TaskMemory(spent_round=1), "4.1-8"),
    ):
        again = Client(
            identity=world.consortium.silos[ME],
            roster=world.consortium.roster,
            policy=client._policy,
            entropy=world.consortium.entropy[ME],
            aggregator=AGGREGATOR,
            memory={"task": memory, "other": TaskMemory(last_joined=(9, 9))},
        )
        again._ready = client.ready
        again._phase = ClientPhase.READY
        envelope, _ = manifest_of(world)
        effects = again.handle(events.Received(peer=AGGREGATOR, envelope=envelope))
        assert [refusal.rule for refusal in refusals(effects)] == [rule]


def test_a_refused_manifest_is_told_and_leaves_the_client_ready() -> None:
    world = scene()
    envelope, sid = manifest_of(world, durations=(1,))
    effects = tell(world, envelope)
    assert [r.rule for r in refusals(effects)] == ["2.2-9"]
    end = effects[-1]
    assert isinstance(end, events.Aborted)
    assert (end.sid, end.code, end.retry) == (sid, "2.2-9", True)
    client = world.clients[ME]
    assert (client.phase, client.sid) == (ClientPhase.READY, None)
    assert "Joined" in kinds(tell(world, manifest_of(world)[0]))


def test_a_refused_further_manifest_does_not_end_the_session_at_hand() -> None:
    world = scene().started().until("share_ack")
    client = world.clients[ME]
    phase, sid = client.phase, client.sid
    envelope, _ = manifest_of(world, attempt=1, durations=(1,))
    effects = tell(world, envelope)
    assert [r.rule for r in refusals(effects)] == ["2.2-9"]
    assert effects[-1] == events.Ignored(peer=AGGREGATOR, type="Manifest", rule="2.2-9")
    assert (client.phase, client.sid) == (phase, sid)
    world.pump()
    assert_completed(world, ALL)


def test_a_further_manifest_before_a_root_ends_the_session_at_hand() -> None:
    world = scene().started().until("masked_input")
    envelope, sid = manifest_of(world, attempt=2)
    old = world.waiting("DealerList", ME)[0].envelope
    assert kinds(tell(world, envelope)) == ["PersistJoined", "Joined", "Send"]
    assert world.clients[ME].sid == sid
    ignored = events.Ignored(peer=AGGREGATOR, type="DealerList", rule="8-6")
    assert tell(world, old) == [ignored]


def test_4_1_8_once_a_root_is_stated_no_other_attempt_gets_the_update() -> None:
    world = scene().started().until("consistency")
    sid = world.clients[ME].sid
    envelope, _ = manifest_of(world, attempt=2)
    before = world.clients[ME].phase
    ignored = events.Ignored(peer=AGGREGATOR, type="Manifest", rule="3.4-6")
    assert tell(world, envelope) == [ignored]
    assert (world.clients[ME].phase, world.clients[ME].sid) == (before, sid)


def test_4_1_8_holds_after_an_abort_too() -> None:
    world = scene().started().until("consistency")
    abort = msg.Abort(rule="4.6-4", detail="", missing=())
    tell(world, signed(world, abort, world.server.sid))
    envelope, _ = manifest_of(world, attempt=2)
    ignored = events.Ignored(peer=AGGREGATOR, type="Manifest", rule="3.4-6")
    assert tell(world, envelope) == [ignored]
    assert world.clients[ME].sid is None


def test_3_4_1_a_sid_that_is_not_the_manifests_hash_is_refused() -> None:
    world = scene()
    body = world.manifest()
    sid = SessionId(blob(1))
    effects = tell(world, signed(world, body, sid, sid=sid))
    assert [r.rule for r in refusals(effects)] == ["3.4-1"]


@pytest.mark.parametrize("ready", [False, True])
def test_a_manifest_for_nothing_that_was_said_ready_is_ignored(ready) -> None:
    world = scene()
    envelope, _ = manifest_of(world)
    client = Client(
        identity=world.consortium.silos[ME],
        roster=world.consortium.roster,
        policy=world.clients[ME]._policy,
        entropy=world.consortium.entropy[ME],
        aggregator=AGGREGATOR,
    )
    if ready:
        client.handle(READY)
    effects = client.handle(events.Received(peer=AGGREGATOR, envelope=envelope))
    if ready:
        assert [r.rule for r in refusals(effects)] == ["4.1-3"]
    else:
        assert effects == [
            events.Ignored(peer=AGGREGATOR, type="Manifest", rule="3.4-6")
        ]


# --- in a session


def test_a_session_says_one_thing_a_round_and_ends_idle() -> None:
    world = scene()
    world.run()
    for client in world.clients.values():
        assert [envelope.type for envelope in client.sent] == [
            "AdvertiseKeys",
            "ShareKeys",
            "ShareAck",
            "MaskedInput",
            "Consistency",
            "Unmasking",
        ]
        assert (client.phase, client.sid) == (ClientPhase.IDLE, None)
        assert (client.outbox, client.transcript) == ((), None)


def test_the_update_is_spent_durably_before_root_and_shares_go_out() -> None:
    world = scene()
    world.run()
    marks = [kinds(e) for _, e in world.clients[ME].log if "PersistSpent" in kinds(e)]
    assert marks == [["PersistSpent", "Send"]] * 2


def test_the_head_is_durable_before_the_session_is_reported() -> None:
    world = scene()
    world.run()
    assert kinds(world.clients[ME].log[-1][1]) == ["PersistHead", "Completed"]


def test_a_list_that_comes_while_uploading_stops_the_upload_and_is_voted_on() -> None:
    world = scene(silent={2: "masked_input"}).started().pump()
    client = world.clients[ME]
    assert client.phase is ClientPhase.MASKING
    world.silent = {}
    world.tell_server(events.DeadlinePassed(round=Round.MASKED_INPUT))
    world.pump()
    listed = next(e for e in client.log if "StopUpload" in kinds(e[1]))
    assert kinds(listed[1]) == ["StopUpload", "PersistSummed", "Send"]
    end = client.end
    assert isinstance(end, events.Completed)
    assert not end.included
    assert "Unmasking" in types(client.effects)
    late = events.VectorMasked(sid=world.server.sid, root=blob(1))
    assert client.handle(late) == []


def test_a_vector_masked_for_another_session_or_twice_is_nothing() -> None:
    world = scene().started().until("consistency")
    client = world.clients[ME]
    assert (
        client.handle(events.VectorMasked(sid=SessionId(blob(1)), root=blob(2))) == []
    )
    assert client.handle(events.VectorMasked(sid=world.server.sid, root=blob(2))) == []
    assert client.phase is ClientPhase.MASKED
    assert (
        scene()
        .clients[ME]
        .handle(events.VectorMasked(sid=SessionId(blob(1)), root=blob(2)))
        == []
    )


@pytest.mark.parametrize(
    ("type_", "answer"),
    [
        ("Manifest", ["AdvertiseKeys"]),
        ("KeyList", ["ShareKeys"]),
        ("DealtShares", ["ShareAck"]),
        ("DealerList", []),
        ("InputList", ["Consistency"]),
        ("Certificate", ["Unmasking"]),
    ],
)
def test_3_4_6_a_repeat_is_answered_as_before_and_changes_nothing(
    type_, answer
) -> None:
    world = scene().started().until("unmasking")
    for carried in world.waiting("Certificate"):
        world._deliver(carried)
    client = world.clients[ME]
    said = [e.envelope for e in client.effects if isinstance(e, events.Send)]
    before = (client.phase, client._session)
    sent = next(s for s in world.sent_by_server(type_) if s.receiver == ME)
    effects = tell(world, sent.envelope)
    assert types(effects) == answer
    assert all(e.envelope in said for e in effects if isinstance(e, events.Send))
    assert (client.phase, client._session) == before
    world.pump()
    assert_completed(world, ALL)
    check_all(world.clients.values(), world.consortium.roster, 1)


def test_what_comes_under_the_sid_of_a_session_that_is_over_is_ignored() -> None:
    world = scene()
    world.run()
    for type_ in ("KeyList", "Certificate", "Result"):
        envelope = world.sent_by_server(type_)[0].envelope
        ignored = [events.Ignored(peer=AGGREGATOR, type=type_, rule="8-6")]
        assert tell(world, envelope) == ignored


def test_3_4_7_a_manifest_with_this_sid_and_other_bytes_is_refused() -> None:
    world = scene().started()
    world._deliver(world.waiting("Manifest", ME)[0])
    other = replace(world.sent_by_server("Manifest")[0].envelope, signature=bytes(64))
    effects = tell(world, other)
    assert [r.rule for r in refusals(effects)] == ["3.4-7"]
    assert world.clients[ME].sid is None


def test_a_breach_is_told_and_drops_the_session_but_not_what_is_ready() -> None:
    world = scene().started().until("share_keys")
    bad = signed(world, msg.KeyList(entries=()), world.server.sid)
    effects = tell(world, bad)
    assert [r.rule for r in refusals(effects)] == ["4.2-3"]
    end = effects[-1]
    assert isinstance(end, events.Aborted)
    assert (end.code, end.retry) == ("4.2-3", True)
    client = world.clients[ME]
    assert (client.sid, client.phase, client._session) == (None, "ready", None)
    assert "Joined" in kinds(tell(world, manifest_of(world, attempt=2)[0]))


def test_3_4_4_what_another_peer_says_is_refused() -> None:
    world = scene().started().until("share_keys")
    envelope = world.waiting("KeyList", ME)[0].envelope
    effects = tell(world, envelope, peer=silo(1))
    assert [r.rule for r in refusals(effects)] == ["3.4-4"]
    world = scene()
    effects = tell(world, manifest_of(world)[0], peer=silo(1))
    assert [r.rule for r in refusals(effects)] == ["3.4-4"]


def test_3_4_2_a_type_the_spec_does_not_have_is_refused() -> None:
    world = scene().started().until("share_keys")
    envelope = replace(world.waiting("KeyList", ME)[0].envelope, type="Surprise")
    assert [r.rule for r in refusals(tell(world, envelope))] == ["3.4-2"]


# --- ends


@pytest.mark.parametrize("attempt", [1, 2, 3])
@pytest.mark.parametrize(
    "phase", ["share_keys", "masked_input", "unmasking", "opening"]
)
def test_an_abort_keeps_the_update_before_a_root_and_up_to_the_third_attempt(
    phase, attempt
) -> None:
    world = scene().next_session(attempt=attempt)
    world._open = lambda effect: None  # type: ignore[method-assign]
    world.started().until(phase)
    abort = msg.Abort(rule="4.6-4", detail="", missing=silos(1))
    effects = tell(world, signed(world, abort, world.server.sid))
    end = effects[-1]
    assert isinstance(end, events.Aborted)
    spent = phase in {"unmasking", "opening"}
    assert end.retry == (attempt < 3 and not spent)
    assert (end.code, end.missing) == ("4.6-4", silos(1))
    client = world.clients[ME]
    assert client.phase == ("ready" if end.retry else "idle")
    assert client._session is None
    joined = "Joined" in kinds(tell(world, manifest_of(world, attempt=3)[0]))
    assert joined == end.retry


def test_i8_no_attempt_of_a_round_is_joined_after_a_release_whatever_is_ready() -> None:
    world = scene()
    world._open = lambda effect: None  # type: ignore[method-assign]
    world.started().until("opening")
    client = world.clients[ME]
    client.handle(READY)
    envelope, _ = manifest_of(world, attempt=2)
    assert [r.rule for r in refusals(tell(world, envelope))] == ["4.1-8"]
    later = replace(READY, round_no=2)
    client.handle(later)
    assert "Joined" in kinds(tell(world, manifest_of(world, round_no=2)[0]))


def test_our_own_side_may_stop_a_session() -> None:
    world = scene().started().until("share_ack")
    client = world.clients[ME]
    effects = client.handle(events.Stopped(code="0-1", reason="by hand"))
    end = effects[-1]
    assert isinstance(end, events.Aborted)
    assert (end.code, end.detail, end.retry) == ("0-1", "by hand", True)
    assert client.handle(events.Stopped(code="0-1", reason="again")) == []


def test_a_second_round_follows_on_the_link_of_the_first() -> None:
    world = scene()
    first = world.run()
    assert isinstance(first, events.Completed)
    second = world.next_session(round_no=2, link=first.link)
    end = second.run()
    assert isinstance(end, events.Completed)
    assert_completed(second, ALL)
    assert end.link != first.link
    check_all(second.clients.values(), second.consortium.roster, 1)


def test_it_shows_who_and_where_and_no_secret() -> None:
    world = scene().started().until("consistency")
    client = world.clients[ME]
    assert repr(client) == "Client(silo-002, masked)"
    shown = repr(client._session)
    for label in ("b_u", "s_sk", "c_sk", "poly_b", "poly_s"):
        for drawn in client.drawn[label]:
            assert drawn.hex() not in shown
            assert repr(drawn)[2:-1] not in shown
            assert str(int.from_bytes(drawn, "little")) not in shown


# --- the coin


def test_4_10_4_a_coin_is_opened_only_for_a_key_list_that_was_verified() -> None:
    """Once in a session: then its own commitment and all others are in h1."""
    world = scene(8, 0, graph="regular", losses=1).started().until("coin")
    client = world.clients[silo(1)]
    assert [e.type for e in client.sent] == ["AdvertiseKeys"]
    [listed] = world.waiting("KeyList", silo(1))
    bent = replace(listed.envelope, signature=bytes(64))
    refused = scene(8, 0, graph="regular", losses=1).started().until("coin")
    refused.tell_client(silo(1), events.Received(peer=AGGREGATOR, envelope=bent))
    assert "Coin" not in [e.type for e in refused.clients[silo(1)].sent]
    world.pump()
    assert [e.type for e in client.sent].count("Coin") == 1


def test_no_two_sessions_have_the_same_coin() -> None:
    world = scene(8, 0, graph="regular", losses=1)
    world.run()
    end = world.outcome(AGGREGATOR)
    assert isinstance(end, events.Completed)
    again = world.next_session(round_no=2, link=end.link)
    again.run()
    coins = [
        envelope.body
        for client in again.clients.values()
        for envelope in client.sent
        if envelope.type == "Coin"
    ]
    assert len(coins) == len(set(coins)) == 16
