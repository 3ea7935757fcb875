"""secagg.client_state: what a client knows in each phase; each adds to the last."""

from dataclasses import fields

import pytest

from secagg.client_state import (
    Acked,
    Advertised,
    Dealt,
    Listed,
    Released,
    Shared,
    TaskMemory,
    Voted,
    grow,
    transcript_of,
)
from secagg.messages import Transcript
from tests.helpers import scene, silo
from tests.parties import Parties
from tests.samples import blob, sound_manifest

P = Parties()
ME = silo(2)
FIRST = Advertised(
    me=ME,
    sid=P.sid,
    params=P.party(ME).params,
    keys=P.keys[ME],
    manifest=sound_manifest(),
    advert=P.adverts[ME],
    seen={"Manifest": blob(1)},
    outbox=(),
    sums=(),
)
LISTED = grow(FIRST, Listed, book=P.book)
SHARED = grow(LISTED, Shared, graph=P.graph, near=P.near[ME], own=P.dealt[ME][1])
ACKED = grow(SHARED, Acked, held=P.held[ME])
DEALT = grow(ACKED, Dealt, u2=P.members, h2=blob(2), root=None)
VOTED = grow(DEALT, Voted, u3=P.members, h3=blob(3))
RELEASED = grow(VOTED, Released, u1=P.book.u1)
STATES = [FIRST, LISTED, SHARED, ACKED, DEALT, VOTED]


@pytest.mark.parametrize("place", range(5))
def test_a_grown_state_keeps_all_that_was_known(place) -> None:
    before, after = STATES[place], STATES[place + 1]
    for item in fields(before):
        assert getattr(after, item.name) is getattr(before, item.name)
    assert isinstance(after, type(before))


def test_a_state_cannot_skip_what_it_must_know() -> None:
    with pytest.raises(TypeError, match="book"):
        grow(FIRST, Shared, graph=P.graph, near=P.near[ME], own=P.dealt[ME][1])


def test_the_last_transcript_is_the_furthest() -> None:
    last = [transcript_of(state) for state in STATES]
    assert last == [P.sid, P.book.h1, P.book.h1, P.book.h1, blob(2), blob(3)]


def test_every_transcript_is_kept_to_the_end() -> None:
    kinds = (Transcript.SID, Transcript.H1, Transcript.H2, Transcript.H3)
    found = [transcript_of(VOTED, kind) for kind in kinds]
    assert found == [P.sid, P.book.h1, blob(2), blob(3)]


def test_4_7_7_after_the_release_no_secret_is_left() -> None:
    known = {item.name for item in fields(RELEASED)}
    assert not known & {"keys", "own", "held", "book"}
    assert transcript_of(RELEASED) == blob(3)
    assert RELEASED.u3 == VOTED.u3


def test_a_task_without_a_past_starts_at_nothing() -> None:
    assert TaskMemory() == TaskMemory(last_joined=(0, 0), head=bytes(32), spent_round=0)


def test_no_state_shows_a_share_or_a_key() -> None:
    shown = repr(VOTED)
    secrets = [*P.held[ME].b.values(), *P.held[ME].s.values()]
    secrets += [P.keys[ME].s.secret, P.keys[ME].c.secret]
    for secret in secrets:
        assert secret.hex() not in shown
        assert repr(secret)[2:-1] not in shown


PHASES = ["share_keys", "share_ack", "masked_input", "consistency", "unmasking"]
STATES_OF_A_RUN = [Advertised, Shared, Acked, Dealt, Voted]


def walked(world, phases):
    """The types of a client's states, at the beginning of these phases."""
    client = world.started().clients[ME]
    return [type(client._session) for phase in phases if world.until(phase)]


def test_the_machine_walks_these_states() -> None:
    assert walked(scene(), PHASES) == STATES_OF_A_RUN


def test_on_the_regular_graph_it_waits_for_the_coins_in_between() -> None:
    world = scene(8, 0, graph="regular", losses=1)
    walk = walked(world, ["coin", *PHASES])
    assert walk == [Advertised, Listed, *STATES_OF_A_RUN[1:]]
