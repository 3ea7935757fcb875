"""Coins: everybody's share in drawing the regular graph (spec 4.10).

Committed to with the keys, opened once L1 is fixed: nobody chooses the graph.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence

from secagg import errors
from secagg.crypto import transcript
from secagg.messages import AdvertiseKeys, Coin, CoinList
from secagg.names import PeerId, SessionId
from secagg.rounds.advertise_keys import KeyBook, SessionKeys


def client_open(keys: SessionKeys) -> Coin:
    """Open the coin.

    Pre: the session's graph is drawn from coins, and h1 is latched (rule 4.10-4).
    """
    assert keys.coin is not None  # noqa: S101 drawn with the keys on such a graph
    return Coin(coin=keys.coin)


def server_accept(
    message: Coin, *, peer: PeerId, sid: SessionId, advert: AdvertiseKeys
) -> None:
    """Check that a coin is the one its member committed to.

    Raises:
        RemoteProtocolError: rule 4.10-1.
    """
    _check_opens(message.coin, peer, sid, advert)


def server_coin_list(coins: Mapping[PeerId, bytes], u1: Sequence[PeerId]) -> CoinList:
    """Close the round: the coins of all of U1.

    A graph over those who care to open would be one that a few had chosen.

    Raises:
        RemoteProtocolError: rule 4.10-3.
    """
    silent = [u for u in u1 if u not in coins]
    errors.require("4.10-3", not silent, f"no coin of {', '.join(silent)}")
    return CoinList(coins=tuple(coins[u] for u in u1))


def client_accept(message: CoinList, *, sid: SessionId, book: KeyBook) -> bytes:
    """Check all coins against L1 and return the graph's seed.

    Raises:
        RemoteProtocolError: rules 4.10-1, 4.10-2.
    """
    count, members = len(message.coins), len(book.u1)
    errors.require("4.10-2", count == members, f"{count} coins for |U1| = {members}")
    for (peer, advert), coin in zip(book.keys.items(), message.coins, strict=False):
        _check_opens(coin, peer, sid, advert)
    return transcript.graph_seed(book.h1, message.coins)


def _check_opens(
    coin: bytes, peer: PeerId, sid: SessionId, advert: AdvertiseKeys
) -> None:
    found = transcript.coin_commitment(sid, peer, coin)
    opens = hmac.compare_digest(found, advert.coin_commitment or b"")
    errors.require("4.10-1", opens, f"not the coin that {peer} committed to", [peer])
