"""secagg.server: the aggregator's machine over a session (4)."""

from dataclasses import replace

import pytest

from secagg import codec, errors, events
from secagg import messages as msg
from secagg.alike import carried_out_by
from secagg.names import PeerId, Round, SessionId
from secagg.server import Server
from secagg.signing import seal
from secagg.simulation.meter import SharedWork
from secagg.transitions import COLLECTING, ServerPhase
from tests.helpers import (
    AGGREGATOR,
    assert_aborted,
    assert_exact,
    refused_rule,
    scene,
    silo,
    silos,
)
from tests.samples import blob

PHASES = [phase for phase in COLLECTING if phase is not ServerPhase.COIN]
"""Those of the complete graph in which members answer."""

ALL = silos(1, 2, 3, 4)


def spoken(world, peer, message, h, **other):
    """An envelope that `peer` signs."""
    return replace(
        seal(
            message,
            identity=world.consortium.silos[peer],
            receiver=AGGREGATOR,
            sid=world.server.sid,
            h=h,
        ),
        **other,
    )


def tell(world, peer, message, h, **other):
    envelope = spoken(world, peer, message, h, **other)
    return world.server.handle(events.Received(peer=peer, envelope=envelope))


def restarted(world):
    """A new machine that took what the journal has."""
    journal = [
        effect.event
        for effect in world.effects[AGGREGATOR]
        if isinstance(effect, events.Journal)
    ]
    server = Server(
        identity=world.consortium.aggregator,
        roster=world.consortium.roster,
        manifest=world.server.manifest,
    )
    effects = server.start()
    for event in journal:
        effects += server.handle(event)
    return server, effects


# --- opening


@pytest.mark.parametrize(
    ("rule", "bent"),
    [
        ("2.2-1", {"corruption_bound": 2}),
        ("4.1-1", {"aggregator": silo(1)}),
        ("4.1-2", {"roster_hash": blob(1)}),
    ],
)
def test_no_session_is_opened_that_no_client_would_join(rule, bent) -> None:
    world = scene()
    refused = refused_rule(
        Server,
        identity=world.consortium.aggregator,
        roster=world.consortium.roster,
        manifest=world.manifest(**bent),
    )
    assert refused == rule


def test_it_starts_with_the_manifest_to_all_and_a_deadline() -> None:
    *sends, deadline = scene().server.start()
    assert [e.receiver for e in sends if isinstance(e, events.Send)] == list(ALL)
    assert deadline == events.SetDeadline(
        round=Round.ADVERTISE_KEYS, duration_ms=10_000
    )


# --- a session that goes well


def test_a_session_without_losses_sends_each_list_once_to_each() -> None:
    world = scene()
    world.run()
    for type_ in ("Manifest", "KeyList", "DealerList", "InputList", "Certificate"):
        sent = world.sent_by_server(type_)
        assert [send.receiver for send in sent] == list(ALL), type_
        assert len({send.envelope.signature for send in sent}) == 1
    dealt = world.sent_by_server("DealtShares")
    assert [send.envelope.receiver for send in dealt] == list(ALL)


def test_every_phase_has_its_deadline_from_the_manifest() -> None:
    world = scene(durations=(1, 2, 3, 4, 5, 6, 7))
    world.run()
    deadlines = [
        (effect.round.value, effect.duration_ms)
        for effect in world.effects[AGGREGATOR]
        if isinstance(effect, events.SetDeadline)
    ]
    assert deadlines == [(phase.value, i + 1) for i, phase in enumerate(PHASES)]


def test_the_coin_has_the_deadline_of_the_keys() -> None:
    world = scene(8, 0, durations=(1, 2, 3, 4, 5, 6, 7), graph="regular", losses=1)
    world.run()
    deadlines = {
        effect.round.value: effect.duration_ms
        for effect in world.effects[AGGREGATOR]
        if isinstance(effect, events.SetDeadline)
    }
    assert deadlines.pop("coin") == deadlines["advertise_keys"] == 1
    assert list(deadlines.values()) == [1, 2, 3, 4, 5, 6]


def test_9_3_what_was_accepted_is_journaled_before_anything_is_sent() -> None:
    world = scene(silent={4: "masked_input"})
    steps: list[tuple[events.ServerEvent, list[events.ServerEffect]]] = []

    class Noted(Server):
        def handle(self, event):
            steps.append((event, super().handle(event)))
            return steps[-1][1]

    world.server = Noted(
        identity=world.consortium.aggregator,
        roster=world.consortium.roster,
        manifest=world.server.manifest,
    )
    world.run()
    assert len(steps) > 20
    for event, effects in steps:
        assert effects[0] == events.Journal(event=event)


@pytest.mark.parametrize("silent", [{}, {4: "masked_input"}, {1: 0, 2: 0}, {3: 5}])
def test_9_3_the_journal_rebuilds_the_machine_and_all_it_sent(silent) -> None:
    world = scene(silent=silent)
    world.run()
    server, effects = restarted(world)
    assert server._state == world.server._state
    assert effects == world.effects[AGGREGATOR]


@pytest.mark.parametrize("phase", [phase.value for phase in PHASES])
def test_9_3_a_session_restarted_in_any_phase_ends_as_it_would_have(phase) -> None:
    world, undisturbed = scene(), scene()
    undisturbed.run()
    world.started().until(phase)
    world.server, _ = restarted(world)
    world.pump()
    assert_exact(world, ALL)
    assert world.server.sets == undisturbed.server.sets
    assert world.outcome(AGGREGATOR) == undisturbed.outcome(AGGREGATOR)


def test_the_evidence_of_a_session_is_its_manifest_certificate_and_result() -> None:
    world = scene()
    with pytest.raises(errors.LocalProtocolError, match="Result"):
        world.server.evidence()
    world.run()
    past = world.server.evidence()
    sent = {t: world.sent_by_server(t)[0].envelope for t in ("Manifest", "Result")}
    assert past.manifest == codec.encode_envelope(sent["Manifest"])
    assert past.result == codec.encode_envelope(sent["Result"])
    assert past.certificate == world.sent_by_server("Certificate")[0].envelope.body


# --- what is dropped


def test_3_2_5_a_member_that_repeats_another_ones_key_is_dropped_and_not_listed() -> (
    None
):
    world = scene(5).started()
    world.pump()
    fresh = scene(5, seed=b"other").started()
    keys = [msg.AdvertiseKeys(c_pk=blob(9), s_pk=blob(8), b_commitment=blob(7))] * 2
    first, second = (
        tell(fresh, u, k, fresh.server.sid)
        for u, k in zip(silos(1, 2), keys, strict=True)
    )
    assert isinstance(first[0], events.Journal)
    dropped = [e for e in second if isinstance(e, events.Drop)]
    assert [(e.peer, e.rule) for e in dropped] == [(silo(2), "3.2-5")]


def test_the_vote_of_a_member_dropped_since_is_not_in_the_certificate() -> None:
    world = scene(5).started().until("consistency")
    world._deliver(world.waiting("InputList", silo(1))[0])
    world._deliver(world.waiting("Consistency")[0])
    h3 = world.server._state.h3
    second = tell(world, silo(1), msg.Consistency(h3=blob(1)), h3)
    assert [e.rule for e in second if isinstance(e, events.Drop)] == ["3.4-7"]
    world.pump()
    sent = world.sent_by_server("Certificate")[0].envelope
    certificate = codec.decode_body("Certificate", sent.body, members=5)
    assert isinstance(certificate, msg.Certificate)
    assert silo(1) not in {vote.peer for vote in certificate.votes}
    assert_exact(world, silos(1, 2, 3, 4, 5))


def test_an_ack_of_a_dropped_member_makes_no_dealer_recoverable() -> None:
    world = scene(4).started().until("share_ack")
    for u in ALL[:3]:
        for carried in world.waiting("DealtShares", u):
            world._deliver(carried)
    for carried in world.waiting("ShareAck"):
        if carried.sender in ALL[:3]:
            world._deliver(carried)
    tell(world, silo(1), msg.ShareAck(bitmap=b"\x0e"), world.server._state.h1)
    effects = world.server.handle(events.DeadlinePassed(round=Round.SHARE_ACK))
    aborted = next(e for e in effects if isinstance(e, events.Aborted))
    assert (aborted.code, aborted.missing) == ("4.4-3", silos(1, 4))


def test_a_refusal_takes_its_sender_out_by_the_rule_it_names() -> None:
    world = scene().started()
    refusal = msg.Refusal(rule="4.1-5", detail="my policy")
    effects = tell(world, silo(2), refusal, world.server.sid)
    assert [e.rule for e in effects if isinstance(e, events.Drop)] == ["4.1-5"]
    assert world.server.dropped == {silo(2): "4.1-5"}


def test_a_dropped_member_is_sent_nothing_more_and_what_it_sends_is_ignored() -> None:
    world = scene().started()
    tell(world, silo(2), msg.Refusal(rule="4.1-5", detail=""), world.server.sid)
    world.pump()
    assert silo(2) not in {s.receiver for s in world.sent_by_server("KeyList")}
    advert = world.clients[silo(2)].sent[0]
    effects = world.server.handle(events.Received(peer=silo(2), envelope=advert))
    assert effects == [events.Ignored(peer=silo(2), type="AdvertiseKeys", rule="3.4-8")]


@pytest.mark.parametrize("bound", [{}, {"sid": SessionId(blob(1))}])
def test_3_4_8_a_stranger_is_ignored(bound) -> None:
    world = scene(5)
    some = {u: world.clients[u] for u in ALL}
    world.clients = some
    server = Server(
        identity=world.consortium.aggregator,
        roster=world.consortium.roster,
        manifest=world.manifest(),
    )
    world.server = server
    advert = msg.AdvertiseKeys(c_pk=blob(9), s_pk=blob(8), b_commitment=blob(7))
    effects = tell(world, silo(5), advert, server.sid, **bound)
    rule = "8-6" if bound else "3.4-8"
    assert effects == [events.Ignored(peer=silo(5), type="AdvertiseKeys", rule=rule)]


def test_3_4_6_a_member_outside_u1_may_not_go_on() -> None:
    world = scene(silent={4: "advertise_keys"}).started().pump()
    world.tell_server(events.DeadlinePassed(round=Round.ADVERTISE_KEYS))
    entries = (msg.DealtEntry(sealed=None, com_b=blob(1), com_s=blob(2)),)
    late = msg.ShareKeys(entries=entries)
    effects = tell(world, silo(4), late, world.server._state.h1)
    assert [e.rule for e in effects if isinstance(e, events.Drop)] == ["3.4-6"]


# --- the vector


def uploading():
    """A session in which all are uploading and nothing has arrived."""
    world = scene().started().until("masked_input")
    world._mask = lambda peer, effect: None  # type: ignore[method-assign]
    return world.pump()


def test_4_5_1_a_root_is_taken_once_the_chunks_are_stored_and_only_theirs() -> None:
    world = uploading()
    h2 = world.server._state.h2
    stored = events.VectorStored(peer=silo(1), root=blob(1))
    assert world.server.handle(stored) == [events.Journal(event=stored)]
    tell(world, silo(1), msg.MaskedInput(root=blob(1)), h2)
    assert silo(1) in world.server._state.roots
    world.server.handle(events.VectorStored(peer=silo(2), root=blob(2)))
    for peer, root in ((silo(2), blob(3)), (silo(3), blob(3))):
        effects = tell(world, peer, msg.MaskedInput(root=root), h2)
        assert [e.rule for e in effects if isinstance(e, events.Drop)] == ["4.5-1"]


def test_a_vector_stored_twice_late_or_of_a_dropped_member_is_ignored() -> None:
    world = uploading()
    once = events.VectorStored(peer=silo(1), root=blob(1))
    world.server.handle(once)
    before = world.server._state
    ignored = [events.Ignored(peer=silo(1), type="VectorStored", rule="3.4-6")]
    assert world.server.handle(replace(once, root=blob(2))) == ignored
    assert world.server._state == before
    tell(world, silo(2), msg.Refusal(rule="0-1", detail=""), world.server.sid)
    gone = world.server.handle(events.VectorStored(peer=silo(2), root=blob(1)))
    assert isinstance(gone[0], events.Ignored)
    early = scene().server
    assert isinstance(early.handle(once)[0], events.Ignored)


# --- ends


def test_a_missed_floor_aborts_names_the_missing_and_tells_all_that_are_left() -> None:
    world = scene(silent={1: "advertise_keys", 3: "advertise_keys"})
    world.run()
    assert_aborted(world, "4.2-4", silos(1, 3))
    told = world.sent_by_server("Abort")
    assert [send.receiver for send in told] == list(ALL)
    body = codec.decode_body("Abort", told[0].envelope.body, members=4)
    assert isinstance(body, msg.Abort)
    assert (body.rule, body.missing) == ("4.2-4", silos(1, 3))


@pytest.mark.parametrize("attempt", [1, 2, 3])
@pytest.mark.parametrize("phase", range(6))
def test_another_attempt_is_allowed_before_a_root_and_up_to_the_third(
    phase, attempt
) -> None:
    world = scene(silent={1: phase, 3: phase}).next_session(attempt=attempt)
    end = world.run()
    assert isinstance(end, events.Aborted)
    assert end.retry == (phase < 3 and attempt < 3)


@pytest.mark.parametrize("phase", [phase.value for phase in PHASES])
def test_the_operator_may_stop_it_in_any_phase_and_nobody_is_missing(phase) -> None:
    world = scene().started().until(phase)
    stop = events.Stopped(code="0-1", reason="stopped\nby hand")
    effects = world.server.handle(stop)
    assert effects[0] == events.Journal(event=stop)
    end = effects[-1]
    assert isinstance(end, events.Aborted)
    assert (end.code, end.missing, end.retry) == ("0-1", (), False)
    sends = [e for e in effects if isinstance(e, events.Send)]
    assert [send.receiver for send in sends] == list(ALL)
    told = codec.decode_body("Abort", sends[0].envelope.body, members=4)
    assert isinstance(told, msg.Abort)
    assert told.detail == "stopped?by hand"
    assert world.server.handle(stop) == []


def test_a_deadline_of_another_phase_is_nothing() -> None:
    world = scene().started()
    assert world.server.handle(events.DeadlinePassed(round=Round.CONSISTENCY)) == []
    world.pump()
    assert world.server.handle(events.DeadlinePassed(round=Round.UNMASKING)) == []


def test_a_sum_is_taken_only_when_one_is_being_opened() -> None:
    world = scene()
    world.run()
    result = world.server.handle
    end = world.outcome(AGGREGATOR)
    assert isinstance(end, events.Completed)
    with pytest.raises(errors.LocalProtocolError, match="done"):
        result(events.SumOpened(result=end.result))
    with pytest.raises(errors.LocalProtocolError, match="advertise_keys"):
        scene().server.handle(events.SumOpened(result=end.result))


def test_it_says_whom_it_waits_for() -> None:
    world = scene(silent={2: "share_keys"}).started()
    assert world.server.expected == set(ALL)
    world.pump()
    assert world.server.expected == {silo(2)}


# --- a member that reconnects, rule 8-5


def test_a_member_that_reconnects_gets_what_follows_the_transcript_it_holds() -> None:
    world = scene()
    world.run()
    state, sid = world.server._state, world.server.sid
    types = ["Manifest", "KeyList", "DealtShares", "DealerList"]
    types += ["InputList", "Certificate", "Result"]
    for held, after in ((sid, 1), (state.h1, 2), (state.h2, 4), (state.h3, 5)):
        sent = world.server.replay(silo(1), held)
        assert [envelope.type for envelope in sent] == types[after:]
    for other in (None, blob(1), b""):
        sent = world.server.replay(silo(1), other)
        assert [envelope.type for envelope in sent] == types
    assert world.server.replay(PeerId("stranger"), None) == []


def test_a_replay_is_of_ones_own_shares() -> None:
    world = scene()
    world.run()
    for u in ALL:
        dealt = [e for e in world.server.replay(u, None) if e.type == "DealtShares"]
        assert [envelope.receiver for envelope in dealt] == [u]


def test_it_shows_session_and_phase() -> None:
    server = scene().server
    assert repr(server) == f"Server({server.sid.hex()[:12]}, advertise_keys)"


# --- who has too few neighbours left


def test_4_5_7_who_is_left_out_of_u3_votes_releases_and_gets_the_result() -> None:
    """Of 45 members 19 of silo 7's neighbours are lost, one fewer than may be."""
    world = scene(45, 0, 1, graph="regular", losses=20)
    with carried_out_by(SharedWork()):
        world.started().until("share_keys")
        degree, lonely = world.server.params.degree, silo(7)
        near = world.server._state.graph.neighbours(lonely)
        lost = near[: degree.k - degree.least + 1]
        world.silent = dict.fromkeys(lost, Round.MASKED_INPUT)
        world.pump()
        assert world.server.left_out == set()
        while world.outcome(AGGREGATOR) is None:
            round_ = Round(world.server.phase.value)
            world.tell_server(events.DeadlinePassed(round=round_))
            world.pump()
    assert_exact(world, {*world.clients} - {*lost, lonely})
    assert world.server.left_out == {lonely}
    assert world.server.dropped == {}
    end = world.clients[lonely].end
    assert isinstance(end, events.Completed)
    assert not end.included
