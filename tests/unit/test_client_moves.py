"""secagg.client_moves: a step names the phase, the state and the effects in order."""

from dataclasses import replace

from secagg import events
from secagg.client_moves import Moves
from secagg.client_state import Advertised, Dealt, Released, Voted, grow
from secagg.entropy import SeededEntropy
from secagg.messages import Certificate
from secagg.policy import Policy
from secagg.transitions import ClientPhase
from tests.helpers import AGGREGATOR, refused_rule, scene, silo
from tests.samples import blob

ME = silo(2)


def moves(world):
    return Moves(
        identity=world.consortium.silos[ME],
        roster=world.consortium.roster,
        entropy=SeededEntropy(b"moves"),
        aggregator=AGGREGATOR,
        policy=Policy(),
    )


def dealt():
    """A client that knows U2 and has stated nothing yet."""
    world = scene().started().until("consistency")
    session = world.clients[ME]._session
    assert isinstance(session, Dealt)
    silent = tuple(e for e in session.outbox if e.type != "MaskedInput")
    return world, replace(session, root=None, outbox=silent)


def kinds(step):
    return [type(effect).__name__ for effect in step.effects]


def test_a_session_begins_by_a_durable_mark() -> None:
    world = scene().started().until("share_keys")
    old = world.clients[ME]._session
    assert old is not None
    step = moves(world).advertise(
        old.manifest, old.sid, old.params, seen=blob(1), sums=()
    )
    assert kinds(step) == ["PersistJoined", "Joined", "Send"]
    assert isinstance(step.session, Advertised)
    assert step.session.seen == {"Manifest": blob(1)}


def test_keys_are_drawn_anew_for_every_session() -> None:
    world = scene().started().until("share_keys")
    old, made = world.clients[ME]._session, moves(world)
    assert old is not None
    first, second = (
        made.advertise(old.manifest, old.sid, old.params, seen=blob(1), sums=())
        for _ in range(2)
    )
    assert first.session.advert != second.session.advert


def test_a_root_spends_the_update_before_it_is_sent() -> None:
    world, session = dealt()
    step = moves(world).state_root(session, blob(9))
    assert kinds(step) == ["PersistSpent", "Send"]
    assert step.phase is ClientPhase.MASKED
    assert step.session.root == blob(9)
    assert step.session.outbox[-1] == step.effects[-1].envelope


def test_a_move_leaves_the_state_it_starts_from_alone() -> None:
    world, before = dealt()
    moves(world).state_root(before, blob(9))
    assert before.root is None
    assert all(envelope.type != "MaskedInput" for envelope in before.outbox)


def test_a_certificate_without_votes_moves_nothing() -> None:
    world, session = dealt()
    voted = grow(session, Voted, u3=session.u2, h3=blob(3))
    empty = Certificate(votes=())
    assert refused_rule(moves(world).after, empty, b"", voted) == "4.6-4"


def test_nothing_secret_is_left_in_the_state_after_a_release() -> None:
    world = scene().started()
    world._open = lambda effect: None  # type: ignore[method-assign]
    world.until("opening")
    session = world.clients[ME]._session
    assert isinstance(session, Released)
    kept = repr(vars(session))
    assert "SessionKeys" not in kept
    assert "HeldShares" not in kept


def test_a_step_is_only_what_its_effects_say() -> None:
    world, session = dealt()
    step = moves(world).state_root(session, blob(9))
    mark = step.effects[0]
    assert isinstance(mark, events.PersistSpent)
    manifest = step.session.manifest
    assert (mark.task_id, mark.round_no) == (manifest.task_id, manifest.round_no)
