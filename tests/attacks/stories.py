"""Sessions in which an aggregator lies to honest clients, as far as it gets."""

from __future__ import annotations

from dataclasses import replace

from secagg import codec, events
from secagg import messages as msg
from secagg.crypto import transcript
from secagg.drivers.roster_book import RosterBook
from secagg.drivers.wire.door import Door
from secagg.entropy import SeededEntropy
from secagg.identity import Identity
from secagg.names import PeerId
from secagg.signing import seal
from tests.drivers.fake_clock import FakeClock
from tests.helpers import AGGREGATOR, Scene, scene, silo, silos
from tests.machine.forge import lying
from tests.machine.split import split
from tests.samples import blob

ME = silo(2)


def door_of(identity: Identity, book: RosterBook) -> Door:
    """Where one side of a handshake stands."""
    entropy = SeededEntropy(identity.id.encode())
    return Door(identity=identity, book=book, entropy=entropy, clock=FakeClock())


def tell(world, message, *, h=None, sid=None, to=ME):
    """Let the aggregator tell a client this."""
    here = world.server.sid if sid is None else sid
    envelope = seal(
        message,
        identity=world.consortium.aggregator,
        receiver=to,
        sid=here,
        h=here if h is None else h,
    )
    world.tell_client(to, events.Received(peer=AGGREGATOR, envelope=envelope))


def offer(world, **other):
    """Show silo 2 a Manifest over the same clients; return its sid."""
    body = world.manifest(**other)
    sid = transcript.session_id(codec.encode_body(body))
    tell(world, body, sid=sid)
    return sid


def joined(**other) -> bool:
    """Whether silo 2 joins the session of such a Manifest."""
    world = scene()
    sid: object = offer(world, **other)
    return world.clients[ME].sid == sid


def two_input_lists():
    """Both lists to the same clients: who votes twice, votes for two U3."""
    attack = split(4, 1, victim=silo(1), told_b=silos(1, 2, 3))
    for view in attack.views:
        for u in silos(1, 2, 3):
            attack._tell(u, attack._signed(view.inputs, attack._h2))
    return attack.world


def too_few_votes():
    """Certificates of what votes there are, to both parts of a split cohort."""
    attack = split(4, 1, victim=silo(1), told_b=silos(3))
    attack.run()
    return attack.world


def votes_on_another_h3():
    """The votes of one story as those of the other."""
    attack = split(4, 1, victim=silo(1), told_b=silos(3))
    first, second = attack.views
    for view in attack.views:
        for u in view.told:
            attack._tell(u, attack._signed(view.inputs, attack._h2))
            view.votes.update(attack._vote_of(u))
    rows = sorted({**first.votes, **second.votes}.items())
    votes = tuple(msg.SignedVote(peer=u, signature=sig) for u, sig in rows)
    certificate = attack._signed(msg.Certificate(votes=votes), second.h3)
    attack._tell(silo(3), certificate)
    return attack.world


def same_round_after_the_root():
    """A second attempt of a round in which the update was spent."""
    world = scene().started().until("consistency")
    tell(world, msg.Abort(rule="0-1", detail="", missing=()))
    world.clients[ME].handle(
        events.InputReady(task_id="task", round_no=1, model_hash=bytes(32))
    )
    offer(world, attempt=2)
    return world


def same_attempt_again():
    """A further session under the pair that was joined."""
    world = scene().started().until("share_ack")
    offer(world, attempt=1, durations=(1,) * 7)
    return world


def lonely() -> Scene:
    """Only silos 1 and 2 sent an input."""
    silent = {3: "masked_input", 4: "masked_input"}
    return scene(silent=silent).started().pump()


def made_up_inputs():
    """A U3 of members that never sent anything."""
    world = lonely()
    roots = world.server._state.roots
    made_up = msg.SignedRoot(peer=silo(3), root=blob(9), signature=blob(1, 64))
    rows = (*(roots[u] for u in silos(1, 2)), made_up)
    tell(world, msg.InputList(entries=rows), h=world.server._state.h2)
    return world


def small_u3():
    """A U3 of two: each of them learns the other's input."""
    world = lonely()
    roots = world.server._state.roots
    rows = tuple(roots[u] for u in silos(1, 2))
    tell(world, msg.InputList(entries=rows), h=world.server._state.h2)
    return world


def run_lying(**rewrites) -> Scene:
    """A session in which the aggregator tells silo 2 something else."""

    def to_me(change):
        return lambda message, to: change(message) if to == ME else message

    world = scene()
    lying(world, **{name: to_me(change) for name, change in rewrites.items()})
    return world.started().pump()


def keys_in_the_middle():
    """The aggregator's own keys under the name of silo 3."""
    evil = msg.AdvertiseKeys(c_pk=blob(9), s_pk=blob(8), b_commitment=blob(7))

    def swapped(message):
        rows = list(message.entries)
        rows[2] = replace(rows[2], keys=evil)
        return replace(message, entries=tuple(rows))

    return run_lying(KeyList=swapped)


def shrunk_key_list():
    """A U1 of two, from which a quorum of two might be taken."""
    return run_lying(KeyList=lambda m: replace(m, entries=m.entries[:2]))


def stranger() -> msg.Member:
    """A member of the aggregator's own making."""
    return msg.Member(peer=PeerId("zeta"), ready_nonce=blob(1))
