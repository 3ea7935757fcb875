"""What a malicious aggregator may try within a session, and what comes of it.

The aggregator has the real key and tells each client what it likes. After each attack
I1 to I8 are read off the logs of the honest clients.
"""

import itertools
from dataclasses import replace

import pytest

from secagg import codec, events
from secagg import messages as msg
from secagg.names import PeerId
from secagg.signing import seal
from tests.helpers import (
    AGGREGATOR,
    assert_exact,
    scene,
    silo,
    silos,
)
from tests.invariants import check_all
from tests.machine.forge import lying
from tests.machine.lies import (
    ALL,
    ME,
    anew,
    checked,
    doubled,
    only,
    refusals,
    run_lying,
    with_row,
    without,
)
from tests.machine.split import split
from tests.samples import blob

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
