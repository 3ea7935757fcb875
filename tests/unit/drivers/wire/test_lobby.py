import asyncio
import dataclasses

import pytest

from secagg import codec, errors
from secagg.consortium import Consortium
from secagg.crypto import transcript
from secagg.crypto.sign import SigningKey
from secagg.drivers.roster_book import RosterBook
from secagg.drivers.wire import admission, handshake, lobby, memory
from secagg.drivers.wire.door import Door
from secagg.drivers.wire.lobby import Standing
from secagg.drivers.wire.transport import ConnectionLost
from secagg.entropy import SeededEntropy
from secagg.identity import Identity
from secagg.messages import LOBBY_SID, Catchup, Challenge, Fetch, Hello, Ready, Welcome
from secagg.names import PeerId, SessionId
from secagg.roster import SignedRoster
from secagg.roster_chain import RosterChain
from secagg.signing import seal
from secagg.vector import envelope_frame
from tests.drivers.fake_clock import FakeClock

CONSORTIUM = Consortium.of(4, b"lobby")
SILO, OTHER = sorted(CONSORTIUM.silos)[:2]
AGGREGATOR = CONSORTIUM.aggregator.id


def door(peer: PeerId, **changes) -> Door:
    known = {**CONSORTIUM.silos, AGGREGATOR: CONSORTIUM.aggregator}
    given = Door(
        identity=known[peer],
        book=RosterBook(CONSORTIUM.roster),
        entropy=SeededEntropy(peer.encode()),
        clock=FakeClock(),
    )
    return dataclasses.replace(given, **changes)


async def meet(ours: Door, theirs: Door, standing=Standing(), chunk=None):  # noqa: B008
    near, far = memory.pair()
    return await asyncio.gather(
        lobby.enter(near, ours, AGGREGATOR, standing),
        closing(far, admission.admit(far, theirs, lambda peer, sid: chunk)),
        return_exceptions=True,
    )


async def closing(far, work):
    try:
        return await work
    except errors.RemoteProtocolError as error:
        await far.close(f"rule {error.rule}: {error.detail}")
        raise


async def test_both_sides_prove_themselves_and_agree_on_the_connection() -> None:
    sid = SessionId(bytes([7]) * 32)
    standing = Standing(session=sid, transcript=bytes(32))
    (ours, welcome), (theirs, hello) = await meet(
        door(SILO), door(AGGREGATOR), standing, chunk=3
    )
    assert (ours.peer, theirs.peer) == (AGGREGATOR, SILO)
    assert ours.hc == theirs.hc
    assert (hello.session, hello.transcript) == (sid, bytes(32))
    assert welcome.next_chunk == 3


async def test_a_silo_with_anothers_key_is_refused_by_rule_8_1() -> None:
    posing = dataclasses.replace(
        door(SILO), identity=type(CONSORTIUM.silos[SILO])(SILO, bytes([9]) * 32)
    )
    ours, theirs = await meet(posing, door(AGGREGATOR))
    assert isinstance(theirs, errors.RemoteProtocolError)
    # Nobody is proved, whatever name was claimed.
    assert (theirs.rule, theirs.culprits) == ("8-1", ())
    assert SILO in theirs.detail
    assert isinstance(ours, errors.NotEnrolled)
    assert "rule 8-9" in str(ours)


async def test_an_aggregator_with_another_key_is_refused_by_rule_8_1() -> None:
    posing = dataclasses.replace(
        door(AGGREGATOR), identity=type(CONSORTIUM.aggregator)(AGGREGATOR, bytes(32))
    )
    near, far = memory.pair()
    admitting = asyncio.create_task(
        admission.admit(far, posing, lambda peer, sid: None)
    )
    with pytest.raises(errors.ConnectionRefused, match=r"rule 8-1.*fingerprint"):
        await lobby.enter(near, door(SILO), AGGREGATOR, Standing())
    await near.close()
    await asyncio.gather(admitting, return_exceptions=True)


async def test_a_silo_that_the_roster_does_not_know_is_refused_by_rule_8_1() -> None:
    roster = CONSORTIUM.roster
    smaller = dataclasses.replace(
        roster, members=tuple(m for m in roster.members if m.id != SILO)
    )
    ours, theirs = await meet(door(SILO), door(AGGREGATOR, book=RosterBook(smaller)))
    assert isinstance(theirs, errors.RemoteProtocolError)
    assert theirs.rule == "8-1"
    assert isinstance(ours, errors.ConnectionRefused)


async def test_rosters_that_differ_are_said_on_both_sides_by_rule_8_2() -> None:
    roster = CONSORTIUM.roster
    other = dataclasses.replace(roster, previous=bytes(32))
    ours, theirs = await meet(door(SILO, book=RosterBook(other)), door(AGGREGATOR))
    assert isinstance(theirs, errors.RemoteProtocolError)
    assert (theirs.rule, theirs.culprits) == ("8-2", (SILO,))
    assert isinstance(ours, errors.ConnectionRefused)
    assert "FORKED" in str(ours)
    assert "secagg roster show" in str(ours)


@pytest.mark.parametrize("ms", [-300_001, 300_001])
async def test_clocks_more_than_five_minutes_apart_are_refused_by_rule_8_3(ms) -> None:
    clock = FakeClock(FakeClock().now_ms() + ms)
    ours, theirs = await meet(door(SILO, clock=clock), door(AGGREGATOR))
    assert isinstance(theirs, errors.RemoteProtocolError)
    assert theirs.rule == "8-3"
    assert isinstance(ours, errors.ConnectionRefused)
    assert "NTP" in str(ours)


@pytest.mark.parametrize("ms", [-300_000, 300_000])
async def test_clocks_five_minutes_apart_are_let_through(ms) -> None:
    clock = FakeClock(FakeClock().now_ms() + ms)
    ours, theirs = await meet(door(SILO, clock=clock), door(AGGREGATOR))
    assert not isinstance(ours, BaseException)
    assert not isinstance(theirs, BaseException)


async def test_a_hello_that_answers_an_older_challenge_is_refused() -> None:
    near, far = memory.pair()
    admitting = asyncio.create_task(
        admission.admit(far, door(AGGREGATOR), lambda peer, sid: None)
    )
    await near.recv()
    hello = Hello(
        nonce=bytes(32),
        roster_version=1,
        roster_hash=CONSORTIUM.roster.hash,
        version="secagg",
        time_ms=FakeClock().now_ms(),
        session=None,
        transcript=None,
    )
    replayed = seal(
        hello,
        identity=CONSORTIUM.silos[SILO],
        receiver=AGGREGATOR,
        sid=LOBBY_SID,
        h=bytes([1]) * 32,
    )
    await near.send(envelope_frame(codec.encode_envelope(replayed)))
    with pytest.raises(errors.RemoteProtocolError) as caught:
        await admitting
    assert caught.value.rule == "8-1"


async def test_a_welcome_for_another_hello_is_refused() -> None:
    near, far = memory.pair()
    entering = asyncio.create_task(
        lobby.enter(near, door(SILO), AGGREGATOR, Standing())
    )
    with pytest.raises(ConnectionLost):
        await _welcome_with_another_nonce(far)
    with pytest.raises(errors.ConnectionRefused, match="rule 8-1"):
        await entering
    await near.close()


async def _welcome_with_another_nonce(far) -> None:
    theirs = door(AGGREGATOR)
    nonce = theirs.nonce()
    challenge = Challenge(
        nonce=nonce,
        roster_version=1,
        roster_hash=theirs.roster.hash,
        time_ms=theirs.clock.now_ms(),
    )
    await handshake.say(far, theirs, challenge, to=PeerId(""), h=handshake.ZERO)
    hello = (await handshake.receive(far, theirs)).body
    said = codec.decode_body("Hello", hello, members=5)
    assert isinstance(said, Hello)
    hc = transcript.connection(nonce, said.nonce)
    welcome = Welcome(nonce=bytes(32), next_chunk=None)
    await handshake.say(far, theirs, welcome, to=SILO, h=hc)
    await far.close()
    await far.recv()


async def test_anything_before_the_handshake_is_refused_by_rule_8_1() -> None:
    near, far = memory.pair()
    admitting = asyncio.create_task(
        admission.admit(far, door(AGGREGATOR), lambda peer, sid: None)
    )
    ready = seal(
        Ready(task_id="t", round_no=1, model_hash=bytes(32), ready_nonce=bytes(32)),
        identity=CONSORTIUM.silos[SILO],
        receiver=AGGREGATOR,
        sid=LOBBY_SID,
        h=bytes(32),
    )
    await near.send(envelope_frame(codec.encode_envelope(ready)))
    with pytest.raises(errors.RemoteProtocolError) as caught:
        await admitting
    assert caught.value.rule == "8-1"


async def proved():
    (ours, _), (theirs, _) = await meet(door(SILO), door(AGGREGATOR))
    return ours, theirs


async def test_a_lobby_message_is_read_on_the_connection_it_was_signed_for() -> None:
    ours, theirs = await proved()
    said = Catchup(task_id="demo", head=bytes(32))
    envelope = lobby.lobby_seal(said, door=door(SILO), connection=ours)
    assert lobby.lobby_open(envelope, door=door(AGGREGATOR), connection=theirs) == said


async def test_a_lobby_message_of_another_connection_is_refused_by_rule_8_6() -> None:
    ours, theirs = await proved()
    ours.hc = bytes(32)
    said = Fetch(hash=bytes(32), offset=0)
    envelope = lobby.lobby_seal(said, door=door(SILO), connection=ours)
    with pytest.raises(errors.RemoteProtocolError) as caught:
        lobby.lobby_open(envelope, door=door(AGGREGATOR), connection=theirs)
    assert caught.value.rule == "8-6"


async def test_a_session_message_is_no_lobby_message_by_rule_8_6() -> None:
    ours, theirs = await proved()
    envelope = lobby.lobby_seal(
        Fetch(hash=bytes(32), offset=0), door=door(SILO), connection=ours
    )
    moved = dataclasses.replace(envelope, type="Consistency")
    with pytest.raises(errors.RemoteProtocolError) as caught:
        lobby.lobby_open(moved, door=door(AGGREGATOR), connection=theirs)
    assert caught.value.rule == "8-6"


async def test_a_lobby_message_in_anothers_name_is_refused_by_rule_3_4_4() -> None:
    ours, theirs = await proved()
    envelope = lobby.lobby_seal(
        Fetch(hash=bytes(32), offset=0), door=door(OTHER), connection=ours
    )
    with pytest.raises(errors.RemoteProtocolError) as caught:
        lobby.lobby_open(envelope, door=door(AGGREGATOR), connection=theirs)
    assert caught.value.rule == "3.4-4"


async def test_a_handshake_that_is_cut_is_a_lost_connection() -> None:
    near, far = memory.pair()
    await far.close()
    with pytest.raises(ConnectionLost):
        await lobby.enter(near, door(SILO), AGGREGATOR, Standing())


# --- only the Challenge


async def test_the_challenge_is_read_and_nothing_is_said() -> None:
    near, far = memory.pair()
    admitting = asyncio.create_task(
        admission.admit(far, door(AGGREGATOR), lambda peer, sid: None)
    )
    challenge = await lobby.challenged(near, door(SILO), AGGREGATOR)
    assert challenge.roster_hash == CONSORTIUM.roster.hash
    assert challenge.time_ms == FakeClock().now_ms()
    await near.close()
    with pytest.raises(ConnectionLost):
        await admitting


async def test_a_challenge_of_another_key_is_refused_by_rule_8_1() -> None:
    posing = dataclasses.replace(
        door(AGGREGATOR), identity=type(CONSORTIUM.aggregator)(AGGREGATOR, bytes(32))
    )
    near, far = memory.pair()
    admitting = asyncio.create_task(
        admission.admit(far, posing, lambda peer, sid: None)
    )
    with pytest.raises(errors.ConnectionRefused, match=r"rule 8-1"):
        await lobby.challenged(near, door(SILO), AGGREGATOR)
    await near.close()
    await asyncio.gather(admitting, return_exceptions=True)


# --- who is behind

KEY = SigningKey(b"consortium".ljust(32, b"."))
MEMBERS = CONSORTIUM.roster.members
ONE = RosterChain.founded("lobby", MEMBERS, KEY)
TWO = ONE.followed_by(MEMBERS, KEY)
THREE = TWO.followed_by(MEMBERS, KEY)


def book_door(peer, chain, **changes):
    return door(peer, book=RosterBook(chain), **changes)


async def test_a_silo_that_is_behind_is_given_all_it_lacks_and_pins_it() -> None:
    ours = book_door(SILO, ONE)
    entered, told = await meet(ours, book_door(AGGREGATOR, THREE))
    assert entered is None
    assert told == admission.Informed(peer=SILO, version=1)
    assert ours.roster == THREE.newest
    (connection, _), _ = await meet(ours, book_door(AGGREGATOR, THREE))
    assert connection.roster == THREE.newest


async def test_8_8_rosters_are_not_taken_by_a_silo_that_is_not_behind() -> None:
    near, far = memory.pair()
    theirs, ours = book_door(AGGREGATOR, TWO), book_door(SILO, TWO)
    entering = asyncio.create_task(lobby.enter(near, ours, AGGREGATOR, Standing()))
    challenge = Challenge(
        nonce=theirs.nonce(),
        roster_version=2,
        roster_hash=TWO.newest.hash,
        time_ms=theirs.clock.now_ms(),
    )
    await handshake.say(far, theirs, challenge, to=PeerId(""), h=handshake.ZERO)
    await far.recv()
    older = admission._rosters_after(book_door(AGGREGATOR, THREE), TWO.newest)
    await handshake.say(far, theirs, older, to=SILO, h=bytes(32))
    with pytest.raises(errors.ConnectionRefused, match="rule 8-8"):
        await entering
    assert ours.roster == TWO.newest


async def test_what_a_silo_is_told_while_behind_names_no_session() -> None:
    sid = SessionId(bytes([7]) * 32)
    near, far = memory.pair()
    ours, theirs = book_door(SILO, ONE), book_door(AGGREGATOR, TWO)
    entering = asyncio.create_task(
        lobby.enter(near, ours, AGGREGATOR, Standing(session=sid, transcript=sid))
    )
    challenge = Challenge(
        nonce=bytes(32),
        roster_version=2,
        roster_hash=TWO.newest.hash,
        time_ms=theirs.clock.now_ms(),
    )
    await handshake.say(far, theirs, challenge, to=PeerId(""), h=handshake.ZERO)
    envelope = await handshake.receive(far, theirs)
    hello = codec.decode_body("Hello", envelope.body, members=5)
    assert isinstance(hello, Hello)
    assert (hello.session, hello.transcript) == (None, None)
    await far.close()
    with pytest.raises(ConnectionLost):
        await entering


async def test_8_9_a_pinned_silo_is_told_to_install_and_pins_nothing() -> None:
    ours = door(SILO, book=RosterBook(ONE, grows=False))
    refused, told = await meet(ours, book_door(AGGREGATOR, TWO))
    assert isinstance(refused, errors.ConnectionRefused)
    assert "secagg roster install" in str(refused)
    assert ours.roster == ONE.newest
    assert isinstance(told, admission.Informed)


async def test_a_silo_that_is_ahead_waits_for_the_aggregator() -> None:
    waits, theirs = await meet(book_door(SILO, TWO), book_door(AGGREGATOR, ONE))
    assert isinstance(waits, ConnectionLost)
    assert "its operator has to install" in str(waits)
    assert isinstance(theirs, errors.RemoteProtocolError)
    assert theirs.rule == "8-2"


def without(peer, chain):
    return chain.followed_by([m for m in MEMBERS if m.id != peer], KEY)


async def test_8_9_a_silo_that_was_revoked_learns_it_from_the_consortium() -> None:
    after = without(SILO, TWO)
    ours = book_door(SILO, ONE)
    entered, told = await meet(ours, book_door(AGGREGATOR, after))
    assert entered is None
    assert isinstance(told, admission.Informed)
    refused, theirs = await meet(ours, book_door(AGGREGATOR, after))
    assert isinstance(refused, errors.NotEnrolled)
    assert "revoked it after version 2" in str(refused)
    assert isinstance(theirs, errors.RemoteProtocolError)
    assert theirs.rule == "8-1"


def rotated(peer, chain):
    """The identity of a member's next key, and the chain in which it has it."""
    identity = Identity.generate(peer, SeededEntropy(b"next"))
    members = [
        dataclasses.replace(m, key=identity.key.public) if m.id == peer else m
        for m in MEMBERS
    ]
    return identity, chain.followed_by(members, KEY)


@pytest.mark.parametrize("pinned", [ONE, TWO])
async def test_a_silo_with_its_next_key_comes_in_with_an_older_roster(pinned) -> None:
    identity, after = rotated(SILO, TWO)
    ours = book_door(SILO, pinned, identity=identity)
    assert (await meet(ours, book_door(AGGREGATOR, after)))[0] is None
    _, (connection, _) = await meet(ours, book_door(AGGREGATOR, after))
    assert connection.peer == SILO


async def test_8_9_a_silo_with_a_key_of_before_is_told_of_its_new_one() -> None:
    _, after = rotated(SILO, TWO)
    ours = book_door(SILO, after)
    refused, _ = await meet(ours, book_door(AGGREGATOR, after))
    assert isinstance(refused, errors.NotEnrolled)
    assert after.newest.fingerprint(SILO) in str(refused)


async def test_rosters_are_taken_from_an_aggregator_with_another_key() -> None:
    identity, after = rotated(AGGREGATOR, TWO)
    ours = book_door(SILO, TWO)
    theirs = book_door(AGGREGATOR, after, identity=identity)
    assert (await meet(ours, theirs))[0] is None
    (connection, _), _ = await meet(ours, theirs)
    assert connection.peer == AGGREGATOR


async def asked(ours, theirs):
    near, far = memory.pair()
    updated, _ = await asyncio.gather(
        lobby.update(near, ours, AGGREGATOR),
        closing(far, admission.admit(far, theirs, lambda peer, sid: None)),
        return_exceptions=True,
    )
    return updated


async def test_whoever_answers_may_give_rosters_and_nothing_else() -> None:
    stranger = Identity(AGGREGATOR, bytes([3]) * 32)
    ours = book_door(SILO, ONE)
    assert await asked(ours, book_door(AGGREGATOR, TWO, identity=stranger)) is True
    assert ours.roster == TWO.newest
    near, far = memory.pair()
    theirs = book_door(AGGREGATOR, TWO, identity=stranger)
    admitting = asyncio.create_task(
        admission.admit(far, theirs, lambda peer, sid: None)
    )
    assert await lobby.update(near, ours, AGGREGATOR) is False
    await near.close()
    await asyncio.gather(admitting, return_exceptions=True)


async def test_a_challenge_that_does_not_come_is_a_lost_line(monkeypatch) -> None:
    monkeypatch.setattr(handshake, "HANDSHAKE_SECONDS", 0)
    near, _ = memory.pair()
    with pytest.raises(ConnectionLost, match="did not begin"):
        await lobby.challenged(near, door(SILO), AGGREGATOR)


async def test_2_1_2_rosters_of_another_consortium_are_not_pinned() -> None:
    forger = SigningKey(bytes([5]) * 32)
    chain = RosterChain.founded("lobby", MEMBERS, KEY)
    forged = RosterChain(
        KEY.public,
        (*chain.versions, SignedRoster.sign(chain.newest.followed_by(MEMBERS), forger)),
    )
    ours = book_door(SILO, ONE)
    refused, _ = await meet(ours, book_door(AGGREGATOR, forged))
    assert isinstance(refused, errors.ConnectionRefused)
    assert "rule 2.1-2" in str(refused)
    assert ours.roster == ONE.newest
