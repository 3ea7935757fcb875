"""What a malicious aggregator, or malicious members, may try, and what comes of it.

The aggregator has the real key and tells each client what it likes; members sign what
they like. After each attack I1 to I8 are read off the logs of the honest clients.
"""

import itertools
from dataclasses import replace

import pytest

from secagg import codec, events
from secagg import messages as msg
from secagg.cohort import Carried
from secagg.crypto import transcript
from secagg.names import PeerId, Round
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
from tests.invariants import check_all
from tests.machine.forge import lying, resigned
from tests.machine.split import split
from tests.samples import blob

ALL = silos(1, 2, 3, 4)
ME, OTHER = silo(2), silo(3)


def checked(world, honest=None, c=1):
    """I1 to I8, of all clients or of these."""
    clients = [world.clients[u] for u in honest or world.clients]
    return check_all(clients, world.consortium.roster, c)


def refusals(world):
    """The rule by which each client that refused did."""
    found = {u: client.refusals() for u, client in world.clients.items()}
    return {u: [r.rule for r in said] for u, said in found.items() if said}


def run_lying(**rewrites):
    """A session with a lying aggregator; its own machine goes on as it can."""
    world = scene()
    lying(world, **rewrites)
    world.run()
    checked(world)
    return world


def only(receiver, change):
    """Lie to one client alone."""
    return lambda message, to: change(message) if to == receiver else message


def anew(message):
    """The list of entries that a message is made of, to be changed."""
    [name] = message.__dataclass_fields__
    return name, list(getattr(message, name))


def without(message, *places):
    name, rows = anew(message)
    kept = [row for i, row in enumerate(rows) if i not in places]
    return replace(message, **{name: tuple(kept)})


def with_row(message, place, row):
    name, rows = anew(message)
    rows[place] = row
    return replace(message, **{name: tuple(rows)})


def doubled(message):
    name, rows = anew(message)
    return replace(message, **{name: (rows[0], *rows)})


# --- the aggregator: lists


@pytest.mark.parametrize(
    ("type_", "rule"),
    [
        ("KeyList", "4.2-1"),
        ("DealtShares", "4.3-2"),
        ("DealerList", "4.4-2"),
        ("InputList", "4.5-2"),
        ("Certificate", "4.6-2"),
    ],
)
def test_naming_one_peer_in_two_ways_is_refused(type_, rule) -> None:
    world = run_lying(**{type_: only(ME, doubled)})
    assert refusals(world) == {ME: [rule]}


@pytest.mark.parametrize(
    ("type_", "rule"),
    [
        ("KeyList", "4.2-4"),
        ("DealerList", "4.4-3"),
        ("InputList", "4.5-5"),
        ("Certificate", "4.6-4"),
    ],
)
def test_a_list_shrunk_below_its_floor_is_refused(type_, rule) -> None:
    world = run_lying(**{type_: only(ME, lambda m: without(m, 2, 3))})
    assert refusals(world) == {ME: [rule]}


@pytest.mark.parametrize("type_", ["KeyList", "DealerList", "InputList"])
def test_a_list_shrunk_to_its_floor_for_one_splits_it_off_and_leaks_nothing(
    type_,
) -> None:
    world = run_lying(**{type_: only(ME, lambda m: without(m, 3))})
    rules = refusals(world)
    assert set(rules) <= {ME}
    # What it goes on with is its own transcript: no other signature verifies under it.
    assert rules.get(ME, ["4.5-3"])[0] in {"4.5-3", "4.6-3", "4.5-2"}
    assert all(e.type != "Unmasking" for e in world.clients[ME].sent)


def test_a_member_left_out_of_the_key_list_refuses_it() -> None:
    world = run_lying(KeyList=only(ME, lambda m: without(m, 1)))
    assert refusals(world) == {ME: ["4.2-3"]}


def swap_keys(message, place, keys):
    return with_row(message, place, replace(message.entries[place], keys=keys))


def test_keys_of_a_peer_that_it_did_not_sign_are_refused() -> None:
    """The aggregator in the middle of two members: it has no signature of theirs."""
    evil = msg.AdvertiseKeys(c_pk=blob(9), s_pk=blob(8), b_commitment=blob(7))
    world = run_lying(KeyList=only(ME, lambda m: swap_keys(m, 2, evil)))
    assert refusals(world) == {ME: ["4.2-2"]}


def test_two_members_whose_keys_are_exchanged_are_refused() -> None:
    def exchanged(message):
        third, fourth = message.entries[2:]
        message = with_row(message, 2, replace(third, peer=fourth.peer))
        return with_row(message, 3, replace(fourth, peer=third.peer))

    def sorted_again(message):
        rows = sorted(exchanged(message).entries, key=lambda e: e.peer)
        return replace(message, entries=tuple(rows))

    world = run_lying(KeyList=only(ME, sorted_again))
    assert refusals(world) == {ME: ["4.2-2"]}


def test_the_own_keys_altered_are_refused() -> None:
    """Even with a signature of its own, from an earlier session."""
    first = scene()
    first.run()
    link = first.clients[ME].end.link  # type: ignore[union-attr]
    old = first.server._state.adverts[ME]
    world = first.next_session(round_no=2, link=link)
    lying(world, KeyList=only(ME, lambda m: with_row(m, 1, old)))
    world.run()
    assert refusals(world) == {ME: ["4.2-2"]}
    checked(world)


@pytest.mark.parametrize("type_", ["DealerList", "InputList"])
def test_a_stranger_or_a_member_outside_the_set_before_is_refused(type_) -> None:
    rules = {"DealerList": "4.4-2", "InputList": "4.5-2"}

    def extended(message):
        name, rows = anew(message)
        if type_ == "InputList":
            extra = replace(rows[-1], peer=PeerId("zeta"))
        else:
            extra = PeerId("zeta")
        return replace(message, **{name: (*rows, extra)})

    world = run_lying(**{type_: only(ME, extended)})
    assert refusals(world) == {ME: [rules[type_]]}


def test_a_root_that_its_member_did_not_state_is_refused() -> None:
    def bent(message):
        return with_row(message, 2, replace(message.entries[2], root=blob(9)))

    world = run_lying(InputList=only(ME, bent))
    assert refusals(world) == {ME: ["4.5-3"]}


def test_members_that_never_sent_cannot_be_counted_into_u3() -> None:
    """The floor cannot be met by roots that the aggregator makes up itself."""
    world = scene(silent={3: "masked_input", 4: "masked_input"})
    world.started().pump()
    state = world.server._state
    made_up = msg.SignedRoot(peer=silo(3), root=blob(9), signature=blob(1, 64))
    rows = (*(state.roots[u] for u in silos(1, 2)), made_up)
    envelope = seal(
        msg.InputList(entries=rows),
        identity=world.consortium.aggregator,
        receiver=ME,
        sid=world.server.sid,
        h=state.h2,
    )
    world.tell_client(ME, events.Received(peer=AGGREGATOR, envelope=envelope))
    assert refusals(world) == {ME: ["4.5-3"]}
    checked(world)


# --- the aggregator: two stories


SPLITS = [
    (n, c, size) for n, c in [(4, 1), (5, 1), (7, 2)] for size in range(n - c + 1)
]


@pytest.mark.parametrize(("n", "c", "size"), SPLITS)
def test_of_two_u3_told_to_two_parts_at_most_one_is_certified(n, c, size) -> None:
    """With c members that vote for both, whatever the parts and the victim."""
    honest = silos(*range(1, n - c + 1))
    for told_b in itertools.combinations(honest, size):
        attack = split(n, c, victim=honest[0], told_b=told_b)
        attack.run()
        opened = check_all(attack.clients, attack.world.consortium.roster, c)
        assert 0 in attack.released()
        quorum = (n + c) // 2 + 1
        for view, released in zip(attack.views, attack.released(), strict=True):
            assert released == (len(view.told) if len(view.votes) >= quorum else 0)
        kinds = {kind for (_, v, kind), by in opened.items() if by and v == honest[0]}
        assert len(kinds) <= 1


def test_both_input_lists_to_one_client_end_its_session_without_a_release() -> None:
    attack = split(4, 1, victim=silo(1), told_b=silos(1, 2, 3))
    first, second = attack.views
    for view in (second, first):
        for u in silos(1, 2, 3):
            attack._tell(u, attack._signed(view.inputs, attack._h2))
    assert refusals(attack.world) == {u: ["3.4-7"] for u in silos(1, 2, 3)}
    attack.run()
    assert attack.released() == [0, 0]
    checked(attack.world)


def test_two_key_lists_give_two_transcripts_and_no_certificate() -> None:
    """Half of the cohort is told that silo 4 never advertised."""
    half = silos(1, 2)
    lie = {
        "KeyList": lambda m, to: without(m, 3) if to in half else m,
        "DealtShares": lambda m, to: m if to not in half else without_dealer(m, 4),
    }
    world = scene()
    lying(world, **lie)
    world.run()
    checked(world)
    sent = [e for client in world.clients.values() for e in client.sent]
    assert all(e.type != "Unmasking" for e in sent)
    # The aggregator's own machine drops those that it split off.
    assert set(world.drops().values()) == {"3.4-3"}


def without_dealer(message, number):
    rows = tuple(row for row in message.entries if row.dealer != silo(number))
    return replace(message, entries=rows)


# --- the aggregator: shares and certificates


def test_shares_reflected_or_dealt_to_another_are_complained_of() -> None:
    """Each other dealer's entry is replaced by one sealed for somebody else."""
    captured: dict[PeerId, msg.DealtShares] = {}

    def crossed(message, to):
        captured[to] = message
        if to != ME:
            return message
        [first, *_] = captured[silo(1)].entries
        rows = [replace(first, dealer=row.dealer) for row in message.entries]
        return replace(message, entries=tuple(rows))

    world = run_lying(DealtShares=crossed)
    ack = next(e for e in world.clients[ME].sent if e.type == "ShareAck")
    assert codec.decode_body("ShareAck", ack.body, members=4) == msg.ShareAck(
        bitmap=bytes([0b0010])
    )
    # One complaint each is within c: the session goes on, and ME opens nothing of them.
    assert_exact(world, ALL)
    opened = checked(world)
    holders = {v: opened[world.server.sid, v, "b"] for v in ALL}
    assert all((ME in holders[v]) == (v == ME) for v in ALL)


def test_a_certificate_with_a_vote_on_another_h3_is_refused() -> None:
    def bent(message):
        row = replace(message.votes[0], signature=message.votes[2].signature)
        return with_row(message, 0, row)

    world = run_lying(Certificate=only(ME, bent))
    assert refusals(world) == {ME: ["4.6-3"]}
    assert all(e.type != "Unmasking" for e in world.clients[ME].sent)


def test_asking_twice_gets_the_same_shares_and_a_second_certificate_nothing() -> None:
    world = scene().started().until("unmasking")
    world._open = lambda effect: None  # type: ignore[method-assign]
    world.pump()
    client = world.clients[ME]
    first = next(s for s in world.sent_by_server("Certificate") if s.receiver == ME)
    event = events.Received(peer=AGGREGATOR, envelope=first.envelope)
    again = client.handle(event)
    sent = [e for e in client.sent if e.type == "Unmasking"]
    assert len(again) == 1
    assert len({codec.encode_envelope(e) for e in sent}) == 1
    body = codec.decode_body("Certificate", first.envelope.body, members=4)
    shorter = seal(
        without(body, 2),
        identity=world.consortium.aggregator,
        receiver=ME,
        sid=world.server.sid,
        h=world.server._state.h3,
    )
    client.handle(events.Received(peer=AGGREGATOR, envelope=shorter))
    assert refusals(world) == {ME: ["3.4-7"]}
    assert len([e for e in client.sent if e.type == "Unmasking"]) == 2
    checked(world)


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("4.8-1", {"u3": silos(1, 2, 3)}),
        ("4.8-2", {"vector": msg.BlobRef(hash=blob(1), size=4, width=4)}),
        (
            "4.8-3",
            {
                "dp": msg.NoiseRecord(
                    mechanism="discrete-gaussian",
                    noise_multiplier=1.0,
                    sigma_squared=1,
                    sensitivity_squared=1,
                )
            },
        ),
    ],
)
def test_a_result_that_says_something_else_moves_no_head(rule, change) -> None:
    world = run_lying(Result=only(ME, lambda m: replace(m, **change)))
    assert refusals(world) == {ME: [rule]}
    heads = [e for e in world.clients[ME].effects if isinstance(e, events.PersistHead)]
    assert heads == []
    end = world.clients[ME].end
    assert isinstance(end, events.Aborted)
    assert not end.retry


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


# --- malicious members, with an honest aggregator


def corrupting(world, peer, type_, change):
    """Let `peer` say something else of this type, signed by itself."""

    def network(carried):
        envelope = carried.envelope
        if carried.sender != peer or envelope.type != type_:
            return (carried,)
        body = codec.decode_body(type_, envelope.body, members=len(world.clients))
        held = world.server._state.transcript(
            world.server.sid, msg.HEADERS[type(body)].transcript
        )
        signed = resigned(world, peer, change(body), held)
        return (Carried(peer, AGGREGATOR, signed),)

    world.network = network
    return world


def spoiling(*holders):
    """ShareKeys whose entries for these places of U1 do not open."""

    def spoil(message):
        rows = list(message.entries)
        for place in holders:
            rows[place] = replace(rows[place], sealed=blob(1, 100))
        return replace(message, entries=tuple(rows))

    return spoil


def test_a_dealer_of_up_to_c_bad_shares_is_borne() -> None:
    world = corrupting(scene(), silo(4), "ShareKeys", spoiling(0))
    world.run()
    assert_exact(world, ALL)
    opened = checked(world, silos(1, 2, 3))
    assert silo(1) not in opened[world.server.sid, silo(4), "b"]


def test_a_dealer_of_more_bad_shares_is_not_in_u2_and_the_rest_goes_on() -> None:
    world = corrupting(scene(), silo(4), "ShareKeys", spoiling(0, 1))
    world.run()
    assert world.server.sets["u2"] == silos(1, 2, 3)
    assert_exact(world, silos(1, 2, 3))
    assert_completed(world, ALL)
    assert world.drops() == {}
    checked(world, silos(1, 2, 3))


@pytest.mark.parametrize("liars", [(4,), (3, 4)])
def test_c_false_complaints_frame_nobody_and_more_only_exclude(liars) -> None:
    world = scene(7, 2)

    def network(carried):
        if carried.sender in silos(*liars) and carried.envelope.type == "ShareAck":
            held = world.server._state.h1
            accused = msg.ShareAck(bitmap=bytes([0b01111110]))
            signed = resigned(world, carried.sender, accused, held)
            return (Carried(carried.sender, AGGREGATOR, signed),)
        return (carried,)

    world.network = network
    world.run()
    assert silo(1) in world.server.sets["u2"]
    assert_exact(world, silos(*range(1, 8)))
    end = world.outcome(AGGREGATOR)
    assert isinstance(end, events.Completed)


@pytest.mark.parametrize("kind", ["b", "s"])
def test_an_equivocating_dealer_is_blamed_by_its_own_signature(kind) -> None:
    """Its shares match their commitments, and rebuild another secret."""
    silent = {} if kind == "b" else {4: "masked_input"}
    world = scene(silent=silent).started().until("share_keys")
    for carried in world.waiting("KeyList"):
        if carried.receiver != silo(4):
            world._queue.remove(carried)
            world._deliver(carried)
    dealer = world.clients[silo(4)]
    session = dealer._session
    secret = {"b": {"b_u": 5}, "s": {"s_scalar": 5}}[kind]
    dealer._session = replace(session, keys=replace(session.keys, **secret))  # type: ignore[type-var,union-attr]
    world.pump()
    while world.outcome(AGGREGATOR) is None:
        round_ = Round(world.server.phase.value)
        world.tell_server(events.DeadlinePassed(round=round_))
        world.pump()
    end = world.outcome(AGGREGATOR)
    assert isinstance(end, events.Aborted)
    assert (end.code, end.culprits, end.retry) == ("4.7-4", (silo(4),), False)
    checked(world, silos(1, 2, 3))


def test_a_wrong_share_drops_its_holder_and_the_rest_open_the_sum() -> None:
    def bent(message):
        return msg.Unmasking(shares=(blob(1), *message.shares[1:]))

    world = corrupting(scene(), silo(4), "Unmasking", bent)
    world.run()
    assert world.drops() == {silo(4): "4.7-2"}
    assert_exact(world, ALL)
    assert_completed(world, silos(1, 2, 3))


def test_a_share_of_the_other_kind_is_not_taken() -> None:
    world = scene(silent={4: "masked_input"})
    held: dict[str, bytes] = {}

    def bent(message):
        return msg.Unmasking(shares=(held["s"], *message.shares[1:]))

    corrupting(world, silo(3), "Unmasking", bent)
    world.started().until("masked_input")
    held["s"] = world.clients[silo(3)]._session.held.s[silo(1)]  # type: ignore[union-attr]
    while world.outcome(AGGREGATOR) is None:
        world.pump()
        round_ = Round(world.server.phase.value)
        world.tell_server(events.DeadlinePassed(round=round_))
    assert world.drops() == {silo(3): "4.7-2"}


def test_a_vote_on_another_h3_drops_its_voter() -> None:
    world = corrupting(
        scene(), silo(4), "Consistency", lambda m: msg.Consistency(h3=blob(1))
    )
    world.run()
    assert world.drops() == {silo(4): "4.6-1"}
    assert_exact(world, ALL)


def test_a_false_root_drops_its_member_and_the_rest_go_on() -> None:
    world = corrupting(
        scene(), silo(4), "MaskedInput", lambda m: msg.MaskedInput(root=blob(1))
    )
    world.run()
    assert world.drops() == {silo(4): "4.5-1"}
    assert_exact(world, silos(1, 2, 3))


def test_a_copied_key_drops_the_copier_and_not_its_owner() -> None:
    world = scene().started()
    [first] = world.waiting("Manifest", silo(1))
    world._queue.remove(first)
    world._deliver(first)
    world._deliver(world.waiting("AdvertiseKeys")[0])
    owner = world.server._state.adverts[silo(1)].keys

    def copied(message):
        return replace(message, c_pk=owner.s_pk)

    corrupting(world, silo(4), "AdvertiseKeys", copied)
    world._queue = type(world._queue)(
        c for c in world._queue if c.envelope.type != "AdvertiseKeys"
    )
    world.pump()
    assert world.drops() == {silo(4): "3.2-5"}
    assert_exact(world, silos(1, 2, 3))


def test_speaking_in_anothers_name_drops_the_speaker() -> None:
    def impostor(carried):
        if carried.sender == silo(4) and carried.envelope.type == "ShareAck":
            claimed = replace(carried.envelope, sender=silo(1))
            return (Carried(silo(4), AGGREGATOR, claimed),)
        return (carried,)

    world = scene(network=impostor)
    world.run()
    assert world.drops() == {silo(4): "3.4-4"}
    assert_exact(world, silos(1, 2, 3))


@pytest.mark.parametrize("type_", ["KeyList", "DealerList", "InputList"])
def test_echoing_the_aggregator_drops_the_echo(type_) -> None:
    def echo(carried):
        if carried.receiver == silo(4) and carried.envelope.type == type_:
            back = Carried(silo(4), AGGREGATOR, carried.envelope)
            return (carried, back)
        return (carried,)

    world = scene(network=echo)
    world.run()
    assert world.drops() == {silo(4): "3.4-6"}
    assert isinstance(world.outcome(AGGREGATOR), events.Completed)
    checked(world)


def test_c_members_that_fall_silent_after_lying_cost_no_more_than_d() -> None:
    """Seven members, two corrupt: they deal badly, complain falsely and then vanish."""
    world = scene(7, 2, silent={6: "masked_input", 7: "consistency"})

    def network(carried):
        if carried.sender not in silos(6, 7):
            return (carried,)
        envelope = carried.envelope
        if envelope.type == "ShareAck":
            accused = msg.ShareAck(bitmap=bytes([0b01111110]))
            signed = resigned(world, carried.sender, accused, world.server._state.h1)
            return (Carried(carried.sender, AGGREGATOR, signed),)
        return (carried,)

    world.network = network
    world.run()
    assert_exact(world, silos(1, 2, 3, 4, 5, 7))
    checked(world, silos(1, 2, 3, 4, 5), c=2)
