"""secagg.transitions: the tables as the spec's section 4 tells them."""

import itertools
import re

from secagg.messages import HEADERS
from secagg.names import Round
from secagg.transitions import CLIENT, COLLECTING, ORDER, SERVER
from secagg.transitions import ClientPhase as C
from secagg.transitions import ServerPhase as S

TAKEN_BY_CLIENT = [
    "Manifest",
    "KeyList",
    "CoinList",
    "DealtShares",
    "DealerList",
    "InputList",
    "Certificate",
    "Result",
]
TYPES = {kind.__name__: header for kind, header in HEADERS.items()}


def test_every_phase_has_its_row() -> None:
    assert set(CLIENT) == set(C)
    assert set(SERVER) == set(S)


def test_a_client_that_goes_on_takes_the_specs_messages_in_their_order() -> None:
    phase, taken = C.READY, []
    for trigger in TAKEN_BY_CLIENT:
        assert trigger in CLIENT[phase]
        taken.append(trigger)
        phase = CLIENT[phase][trigger][0]
        if phase is C.MASKING:
            phase = CLIENT[phase]["VectorMasked"][0]
    assert taken == TAKEN_BY_CLIENT
    assert phase is C.IDLE


def test_but_for_a_manifest_each_phase_takes_one_message_of_the_aggregator() -> None:
    due = {phase: [t for t in row if t in TYPES] for phase, row in CLIENT.items()}
    later = {phase: [t for t in row if t != "Manifest"] for phase, row in due.items()}
    assert all(len(row) <= 1 for row in later.values())


def test_a_manifest_is_taken_in_every_phase_before_a_root_but_idle() -> None:
    takes = {phase for phase, row in CLIENT.items() if "Manifest" in row}
    assert takes == set(C) - {C.IDLE, C.MASKED, C.RELEASED}


def test_an_input_may_be_made_ready_only_outside_a_session_that_may_go_on() -> None:
    takes = {phase for phase, row in CLIENT.items() if "InputReady" in row}
    assert takes == {C.IDLE, C.READY, C.RELEASED}


def test_a_vote_comes_once_and_a_release_only_after_it() -> None:
    before = [phase for phase, row in CLIENT.items() if "Certificate" in row]
    votes = [p for p, row in CLIENT.items() if C.VOTED in sum(row.values(), ())]
    assert before == [C.VOTED]
    assert C.VOTED not in votes


def test_the_server_collects_each_type_in_the_phase_of_its_name() -> None:
    names = {t for row in SERVER.values() for t in row if t in TYPES}
    assert names == {
        name
        for name, header in TYPES.items()
        if not header.from_aggregator and header.transcript in {"sid", "h1", "h2", "h3"}
    } - {"Refusal"}
    for phase in COLLECTING:
        last = list(SERVER[phase])[-1]
        snake = re.sub("(?<!^)([A-Z])", r"_\1", last).lower()
        assert phase.value == snake


def test_the_servers_phases_follow_each_other() -> None:
    for phase, following in itertools.pairwise(ORDER):
        last = list(SERVER[phase].values())[-1]
        assert last[0] == following


def test_the_coin_is_the_only_phase_that_may_be_left_out() -> None:
    shared = SERVER[S.ADVERTISE_KEYS]["AdvertiseKeys"], CLIENT[C.ADVERTISED]["KeyList"]
    assert shared == ((S.COIN, S.SHARE_KEYS), (C.TOSSED, C.SHARED))
    ends = [last for row in SERVER.values() for last in row.values()]
    assert [last for last in ends if len(last) > 1] == [(S.COIN, S.SHARE_KEYS)]
    assert SERVER[S.OPENING] == {"SumOpened": (S.DONE,)}
    assert SERVER[S.DONE] == SERVER[S.ABORTED] == {}


def test_the_servers_phases_have_the_names_of_the_rounds() -> None:
    assert [phase.value for phase in COLLECTING] == [r.value for r in Round][1:8]
