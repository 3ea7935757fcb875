"""secagg.server_answers: what each answer adds; who it is due from (4)."""

from dataclasses import replace

import pytest

from secagg import messages as msg
from secagg.messages import Envelope
from secagg.server_answers import Answers
from secagg.server_state import ServerState
from tests.helpers import refused_rule, silo
from tests.parties import Parties
from tests.samples import SAMPLES, blob

P = Parties(8, 0, losses=1)
ME = silo(2)
ANSWERS = Answers(sid=P.sid, params=P.params)
LISTED = ServerState(
    adverts={entry.peer: entry for entry in P.key_list.entries},
    u1=P.members,
    h1=P.book.h1,
    graph=P.graph,
    near=P.near,
    h3=blob(3),
)


def envelope(message: msg.Message, peer=ME) -> Envelope:
    """An envelope of which only the sender and the signature count here."""
    return Envelope(
        type=type(message).__name__,
        sid=P.sid,
        sender=peer,
        receiver=silo(1),
        body=b"",
        signature=blob(7, 64),
    )


def taken(message, state=LISTED, peer=ME):
    return ANSWERS.taken(message, envelope(message, peer), state)


def test_an_advert_is_kept_with_the_signature_it_came_with() -> None:
    found = taken(P.adverts[ME], ServerState()).adverts[ME]
    assert (found.keys, found.signature) == (P.adverts[ME], blob(7, 64))


def test_each_answer_adds_itself_and_nothing_else() -> None:
    dealt, _ = P.dealt[ME]
    said: list[tuple[str, msg.Message, object]] = [
        ("coins", msg.Coin(coin=P.coins[ME]), P.coins[ME]),
        ("dealt", dealt, dealt),
        ("votes", msg.Consistency(h3=blob(3)), blob(7, 64)),
    ]
    for name, message, kept in said:
        found = taken(message)
        assert getattr(found, name) == {ME: kept}
        assert replace(found, **{name: {}}) == LISTED


def test_an_ack_is_kept_as_the_dealers_it_confirms() -> None:
    state = replace(LISTED, dealt={ME: P.dealt[ME][0]})
    bitmap = bytes([1 << P.near[ME].index(ME)])
    assert taken(msg.ShareAck(bitmap=bitmap), state).acks == {ME: frozenset({ME})}


def test_a_root_is_kept_once_its_chunks_are_stored() -> None:
    message = msg.MaskedInput(root=blob(1))
    state = replace(LISTED, u2=P.members, stored={ME: blob(1)})
    assert taken(message, state).roots[ME].root == blob(1)
    assert refused_rule(taken, message, replace(state, stored={})) == "4.5-1"
    assert refused_rule(taken, message, replace(state, u2=())) == "4.5-1"


LATER = [
    SAMPLES[kind][0]
    for kind in (
        msg.Coin,
        msg.ShareKeys,
        msg.ShareAck,
        msg.MaskedInput,
        msg.Consistency,
        msg.Unmasking,
    )
]


@pytest.mark.parametrize("message", LATER, ids=lambda m: type(m).__name__)
def test_3_4_6_refuses_an_answer_of_one_that_is_not_in_u1(message) -> None:
    without = replace(LISTED, u1=tuple(u for u in P.members if u != ME))
    assert refused_rule(taken, message, without) == "3.4-6"


def test_3_4_6_refuses_what_is_no_answer() -> None:
    assert refused_rule(taken, SAMPLES[msg.KeyList][0]) == "3.4-6"
