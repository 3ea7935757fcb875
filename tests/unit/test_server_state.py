"""secagg.server_state: the sets are read off what was collected (1, 4)."""

from dataclasses import replace

import pytest

from secagg.messages import (
    AdvertiseKeys,
    ShareKeys,
    SignedKeys,
    SignedRoot,
    Transcript,
    Unmasking,
)
from secagg.names import SessionId
from secagg.server_state import ServerState
from secagg.transitions import COLLECTING
from secagg.transitions import ServerPhase as S
from tests.helpers import silo, silos
from tests.samples import blob, keys

ALL = silos(1, 2, 3, 4, 5)
SID = SessionId(blob(1))
ADVERTS = {
    u: SignedKeys(peer=u, keys=keys(10 * i), signature=blob(i, 64))
    for i, u in enumerate(ALL, start=1)
}
NOTHING = ShareKeys(entries=())
FULL = ServerState(
    adverts=ADVERTS,
    u1=ALL,
    h1=blob(2),
    coins={u: blob(6) for u in ALL[1:3]},
    near=dict.fromkeys(ALL, ALL),
    dealt=dict.fromkeys(ALL[:4], NOTHING),
    acks={u: frozenset(ALL[:4]) for u in ALL[1:]},
    u2=ALL[:4],
    h2=blob(3),
    stored={u: blob(9) for u in ALL[:3]},
    roots={u: SignedRoot(peer=u, root=blob(9), signature=blob(9, 64)) for u in ALL[:3]},
    u3=ALL[:3],
    h3=blob(4),
    votes={u: blob(5, 64) for u in ALL[1:]},
    releases={u: Unmasking(shares=()) for u in ALL[2:]},
)


def test_an_empty_session_has_no_sets_but_its_members() -> None:
    empty = ServerState()
    assert empty.sets(ALL) == {
        "u0": ALL,
        "u1": (),
        "u2": (),
        "u3": (),
        "u4": (),
        "u5": (),
    }
    assert empty.phase is S.ADVERTISE_KEYS


def test_the_sets_are_who_answered() -> None:
    assert FULL.sets(ALL) == {
        "u0": ALL,
        "u1": ALL,
        "u2": ALL[:4],
        "u3": ALL[:3],
        "u4": ALL[1:],
        "u5": ALL[2:],
    }


EXPECTED = {
    S.ADVERTISE_KEYS: ALL,
    S.COIN: ALL,
    S.SHARE_KEYS: ALL,
    S.SHARE_ACK: ALL[:4],
    S.MASKED_INPUT: ALL[1:4],
    S.CONSISTENCY: ALL[:3],
    S.UNMASKING: ALL[1:],
    S.OPENING: (),
    S.DONE: (),
    S.ABORTED: (),
}
ANSWERED = {
    S.ADVERTISE_KEYS: ALL,
    S.COIN: ALL[1:3],
    S.SHARE_KEYS: ALL[:4],
    S.SHARE_ACK: ALL[1:],
    S.MASKED_INPUT: ALL[:3],
    S.CONSISTENCY: ALL[1:],
    S.UNMASKING: ALL[2:],
    S.OPENING: (),
    S.DONE: (),
    S.ABORTED: (),
}


@pytest.mark.parametrize("phase", list(S))
def test_a_phase_waits_for_those_the_spec_names(phase) -> None:
    assert replace(FULL, phase=phase).expected(ALL) == set(EXPECTED[phase])


@pytest.mark.parametrize("phase", list(S))
def test_nobody_waits_for_a_dropped_member(phase) -> None:
    state = replace(FULL, phase=phase, dropped={ALL[2]: "3.4-7"})
    assert state.expected(ALL) == set(EXPECTED[phase]) - {ALL[2]}


@pytest.mark.parametrize("phase", list(S))
def test_who_answered_a_phase_is_read_off_its_answers(phase) -> None:
    assert FULL.answered(phase) == set(ANSWERED[phase])


@pytest.mark.parametrize("phase", [p for p in COLLECTING if p is not S.SHARE_ACK])
def test_what_a_phase_was_given_is_its_answers(phase) -> None:
    assert replace(FULL, phase=phase).gave(1) == set(ANSWERED[phase])


def test_a_share_ack_is_given_by_dealers_with_at_most_c_complaints() -> None:
    state = replace(FULL, phase=S.SHARE_ACK)
    assert state.gave(1) == set(ALL[1:4])
    complained = {u: ack - {ALL[2]} for u, ack in FULL.acks.items()}
    one = {**FULL.acks, ALL[1]: complained[ALL[1]]}
    assert replace(state, acks=one).gave(1) == set(ALL[1:4])
    two = {**one, ALL[3]: complained[ALL[3]]}
    assert replace(state, acks=two).gave(1) == {ALL[1], ALL[3]}
    dropped = replace(state, acks=two, dropped={ALL[3]: "3.4-7"})
    assert ALL[2] in dropped.gave(1)


def test_each_transcript_is_the_one_that_was_fixed() -> None:
    kinds = (Transcript.SID, Transcript.H1, Transcript.H2, Transcript.H3)
    assert [FULL.transcript(SID, k) for k in kinds] == [SID, blob(2), blob(3), blob(4)]


def test_the_keys_are_those_of_u1() -> None:
    state = replace(FULL, u1=ALL[:2])
    assert state.keys() == {u: ADVERTS[u].keys for u in ALL[:2]}
    assert all(isinstance(k, AdvertiseKeys) for k in state.keys().values())


def test_nothing_dealt_or_released_is_shown() -> None:
    shown = repr(replace(FULL, releases={silo(1): Unmasking(shares=(blob(0xAB),))}))
    assert "dealt" not in shown
    assert "releases" not in shown
