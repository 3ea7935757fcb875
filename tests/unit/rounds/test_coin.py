"""secagg.rounds.coin: committed, opened by all, and the graph they draw (4.10)."""

import itertools

import pytest

from secagg import errors
from secagg.crypto.kdf import digest
from secagg.messages import Coin, CoinList
from secagg.names import SessionId
from secagg.rounds import coin
from tests.helpers import refused_rule, silo
from tests.parties import Parties
from tests.samples import blob

P = Parties(8, 0, losses=1)
ME = silo(1)
ALL = tuple(P.coins.values())


def accept(given=ALL, sid=P.sid):
    return coin.client_accept(CoinList(coins=tuple(given)), sid=sid, book=P.book)


def server_accept(opened, peer, sid=P.sid):
    advert = P.adverts[peer]
    coin.server_accept(Coin(coin=opened), peer=peer, sid=sid, advert=advert)


def test_every_member_opens_what_it_committed_to() -> None:
    for u in P.members:
        server_accept(P.coins[u], u)
    assert len(set(ALL)) == 8


def test_4_10_1_refuses_a_coin_of_another_member_session_or_none_at_all() -> None:
    for u, v in itertools.permutations(P.members, 2):
        assert refused_rule(server_accept, P.coins[v], u) == "4.10-1"
    assert refused_rule(server_accept, blob(1), ME) == "4.10-1"
    other = SessionId(blob(2))
    assert refused_rule(server_accept, P.coins[ME], ME, other) == "4.10-1"


def test_the_breach_of_4_10_1_names_its_member() -> None:
    with pytest.raises(errors.RemoteProtocolError) as caught:
        server_accept(blob(1), silo(3))
    assert caught.value.culprits == (silo(3),)


def test_the_list_has_the_coins_in_the_order_of_u1() -> None:
    given = {u: P.coins[u] for u in reversed(P.members)}
    assert coin.server_coin_list(given, P.members).coins == ALL


def test_4_10_3_needs_every_coin_of_u1_and_names_whose_is_not_there() -> None:
    for silent in P.members:
        some = {u: P.coins[u] for u in P.members if u != silent}
        with pytest.raises(errors.RemoteProtocolError, match=silent) as caught:
            coin.server_coin_list(some, P.members)
        assert caught.value.rule == "4.10-3"


def test_the_seed_is_the_hash_of_h1_and_all_coins_in_order() -> None:
    assert accept() == digest("secagg/1/graph", P.book.h1, *ALL)


@pytest.mark.parametrize("count", [0, 1, 7, 9])
def test_4_10_2_refuses_another_number_of_coins(count) -> None:
    assert refused_rule(accept, (*ALL, blob(1))[:count]) == "4.10-2"


def test_4_10_1_refuses_a_list_with_a_swapped_or_an_exchanged_coin() -> None:
    for place in range(8):
        bent = [*ALL[:place], blob(1), *ALL[place + 1 :]]
        assert refused_rule(accept, bent) == "4.10-1"
    assert refused_rule(accept, [ALL[1], ALL[0], *ALL[2:]]) == "4.10-1"
    assert refused_rule(accept, sid=SessionId(blob(2))) == "4.10-1"
