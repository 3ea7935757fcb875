"""A malicious aggregator with other terms, further attempts, and old messages."""

from dataclasses import replace

import pytest

from secagg import codec, events
from secagg import messages as msg
from secagg.crypto import transcript
from secagg.policy import Policy
from secagg.signing import seal
from tests.helpers import (
    AGGREGATOR,
    assert_completed,
    assert_exact,
    scene,
    silo,
    silos,
)
from tests.machine.forge import lying
from tests.machine.lies import ALL, ME, checked, only, refusals, run_lying
from tests.samples import blob

# --- the aggregator: manifests


def manifests(**other):
    """A session in which silo 2 alone is shown another Manifest."""
    return run_lying(Manifest=only(ME, lambda m: replace(m, **other)))


@pytest.mark.parametrize(
    ("rule", "other"),
    [
        ("4.1-4", {"model_hash": blob(9)}),
        ("4.1-4", {"task_id": "other"}),
        ("4.1-4", {"round_no": 2}),
        ("4.1-2", {"roster_hash": blob(9)}),
        ("4.1-5", {"corruption_bound": 0}),
        ("4.1-6", {"attempt": 0}),
        ("4.1-7", {"previous_link": blob(9)}),
    ],
)
def test_another_manifest_for_one_client_is_refused_by_it_alone(rule, other) -> None:
    world = manifests(**other)
    assert refusals(world) == {ME: [rule]}
    assert_exact(world, silos(1, 3, 4))


@pytest.mark.parametrize("other", [{"bits": 12}, {"clip": 2.0, "ranges": ((3, 2.0),)}])
def test_a_client_shown_other_parameters_is_in_a_session_of_its_own(other) -> None:
    """Its sid differs, and with it every key, mask and signature."""
    world = scene()
    liar = lying(world, Manifest=only(ME, lambda m: replace(m, **other)))
    world.run()
    checked(world)
    alone = world.clients[ME].sid
    assert alone is not None
    assert alone != world.server.sid
    assert (alone, ME) in liar.told
    assert_exact(world, silos(1, 3, 4))
    # What the others signed cannot be shown to it, nor what it signed to them.
    rows = world.server._state.adverts
    own = msg.SignedKeys(
        peer=ME,
        keys=codec.decode_body(
            "AdvertiseKeys", world.clients[ME].sent[0].body, members=4
        ),  # type: ignore[arg-type]
        signature=world.clients[ME].sent[0].signature,
    )
    mixed = msg.KeyList(entries=(rows[silo(1)], own, rows[silo(3)], rows[silo(4)]))
    envelope = seal(
        mixed,
        identity=world.consortium.aggregator,
        receiver=ME,
        sid=alone,
        h=alone,
    )
    world.tell_client(ME, events.Received(peer=AGGREGATOR, envelope=envelope))
    assert refusals(world) == {ME: ["4.2-2"]}


def test_a_session_below_a_hospitals_own_floor_is_refused_by_4_1_5() -> None:
    world = scene(5, policy=Policy(min_members=6))
    world.run()
    assert set(refusals(world)) == set(silos(1, 2, 3, 4, 5))
    assert {rule for rules in refusals(world).values() for rule in rules} == {"4.1-5"}


def manifest_to(world, **other):
    """Send a Manifest over the same clients to silo 2."""
    body = world.manifest(**other)
    sid = transcript.session_id(codec.encode_body(body))
    identity = world.consortium.aggregator
    envelope = seal(body, identity=identity, receiver=ME, sid=sid, h=sid)
    world.tell_client(ME, events.Received(peer=AGGREGATOR, envelope=envelope))
    return sid


def test_a_stale_attempt_is_refused() -> None:
    world = scene().started().until("share_ack")
    second = manifest_to(world, attempt=2)
    assert world.clients[ME].sid == second
    for attempt in (1, 2):
        other = {"durations": (attempt,) * 7}
        manifest_to(world, attempt=attempt, **other)
    assert refusals(world) == {ME: ["4.1-6", "4.1-6"]}
    assert world.clients[ME].sid == second
    checked(world)


@pytest.mark.parametrize("phase", ["consistency", "unmasking"])
def test_i8_an_update_whose_root_was_stated_enters_no_second_attempt(phase) -> None:
    """The difference of two sums of the same updates would be a hospital."""
    world = scene()
    world._open = lambda effect: None  # type: ignore[method-assign]
    world.started().until(phase)
    world.server.handle(events.Stopped(code="0-1", reason=""))
    abort = msg.Abort(rule="4.6-4", detail="", missing=())
    identity, sid = world.consortium.aggregator, world.server.sid
    for u in ALL:
        envelope = seal(abort, identity=identity, receiver=u, sid=sid, h=sid)
        world.tell_client(u, events.Received(peer=AGGREGATOR, envelope=envelope))
    manifest_to(world, attempt=2)
    client = world.clients[ME]
    assert client.sid is None
    client.handle(events.InputReady(task_id="task", round_no=1, model_hash=bytes(32)))
    manifest_to(world, attempt=2)
    assert refusals(world) == {ME: ["4.1-8"]}
    checked(world)


# --- the aggregator: replays


def two_rounds(**rewrites):
    """A first round that went well, and a second with an aggregator that lies."""
    first = scene()
    end = first.run()
    assert isinstance(end, events.Completed)
    world = first.next_session(round_no=2, link=end.link)
    lying(world, **rewrites)
    return first, world


def test_an_old_message_is_ignored_and_its_session_is_over() -> None:
    first, world = two_rounds()
    world.started().until("share_keys")
    for send in first.effects[AGGREGATOR]:
        if isinstance(send, events.Send) and send.receiver == ME:
            event = events.Received(peer=AGGREGATOR, envelope=send.envelope)
            before = world.clients[ME]._session
            effects = world.clients[ME].handle(event)
            told = [e for e in effects if isinstance(e, events.Ignored)]
            assert len(told) == 1
            assert world.clients[ME]._session is before
    world.pump()
    assert_completed(world, ALL)
    checked(world)


def test_an_old_manifest_is_refused_for_its_nonce() -> None:
    first, world = two_rounds()
    old = first.sent_by_server("Manifest")[0].envelope
    world.clients[ME].handle(events.Received(peer=AGGREGATOR, envelope=old))
    assert [r.rule for r in world.clients[ME].refusals()] == ["4.1-3"]
    checked(world)


@pytest.mark.parametrize(
    ("type_", "rule"),
    [
        ("KeyList", "4.2-2"),
        ("DealtShares", None),
        ("InputList", "4.5-3"),
        ("Certificate", "4.6-3"),
    ],
)
def test_lists_of_an_older_session_signed_anew_are_refused(type_, rule) -> None:
    first = scene()
    end = first.run()
    assert isinstance(end, events.Completed)
    sends = first.sent_by_server(type_)
    old = {
        s.receiver: codec.decode_body(type_, s.envelope.body, members=4) for s in sends
    }
    world = first.next_session(round_no=2, link=end.link)
    lying(world, **{type_: only(ME, lambda m: old[ME])})
    before = len(world.clients[ME].refusals())
    world.run()
    said = [r.rule for r in world.clients[ME].refusals()[before:]]
    if rule is not None:
        assert said == [rule]
    else:
        # Sealed shares of another session are complained of, one by one.
        acks = [e for e in world.clients[ME].sent if e.type == "ShareAck"]
        assert codec.decode_body("ShareAck", acks[-1].body, members=4) == msg.ShareAck(
            bitmap=bytes([0b0010])
        )
    checked(world)


@pytest.mark.parametrize(
    "type_", ["AdvertiseKeys", "ShareKeys", "ShareAck", "MaskedInput", "Consistency"]
)
def test_a_clients_own_message_sent_back_to_it_ends_its_session(type_) -> None:
    world = scene().started().until("unmasking")
    client = world.clients[ME]
    own = next(e for e in client.sent if e.type == type_)
    client.handle(events.Received(peer=AGGREGATOR, envelope=own))
    assert refusals(world) == {ME: ["3.4-6"]}
    checked(world)
