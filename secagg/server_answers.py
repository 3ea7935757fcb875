"""What each message of a member adds to what the aggregator has collected (spec 4).

One method a message: the round's function checks, the result is the next state. Nothing
is written here; `secagg.server` stores it, or drops the member by the rule it broke.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from secagg import errors
from secagg import messages as msg
from secagg.names import SessionId
from secagg.params import Parameters
from secagg.rounds import (
    advertise_keys,
    coin,
    consistency,
    masked_input,
    share_ack,
    share_keys,
    unmasking,
)
from secagg.server_state import ServerState


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """How the aggregator takes the answers of a session's members."""

    sid: SessionId
    params: Parameters

    def taken(
        self, message: msg.Message, envelope: msg.Envelope, state: ServerState
    ) -> ServerState:
        """Return the state with one answer more.

        Args:
            message: what the envelope says; the transition table allows it now.
            envelope: its signature and its sender were checked.
            state: what was collected before it.

        Raises:
            RemoteProtocolError: the rule of its round that it breaks.
        """
        kinds: dict[type[msg.Message], Callable[..., ServerState]] = {
            msg.AdvertiseKeys: self._keys,
            msg.Coin: self._coin,
            msg.ShareKeys: self._shares,
            msg.ShareAck: self._ack,
            msg.MaskedInput: self._root,
            msg.Consistency: self._vote,
            msg.Unmasking: self._release,
        }
        peer, kind = envelope.sender, type(message)
        known = kind in kinds
        errors.require("3.4-6", known, "not a client's message", [peer])
        due = kind is msg.AdvertiseKeys or peer in state.u1
        detail = f"{envelope.type} of {peer}, which is not in U1"
        errors.require("3.4-6", due, detail, [peer])
        return kinds[kind](message, envelope, state)

    def _keys(
        self, message: msg.AdvertiseKeys, envelope: msg.Envelope, state: ServerState
    ) -> ServerState:
        peer = envelope.sender
        known = [entry.keys for entry in state.present(state.adverts).values()]
        advertise_keys.server_accept(message, known, tossed=self.params.tossed)
        entry = msg.SignedKeys(peer=peer, keys=message, signature=envelope.signature)
        return replace(state, adverts={**state.adverts, peer: entry})

    def _coin(
        self, message: msg.Coin, envelope: msg.Envelope, state: ServerState
    ) -> ServerState:
        peer = envelope.sender
        advert = state.adverts[peer].keys
        coin.server_accept(message, peer=peer, sid=self.sid, advert=advert)
        return replace(state, coins={**state.coins, peer: message.coin})

    def _shares(
        self, message: msg.ShareKeys, envelope: msg.Envelope, state: ServerState
    ) -> ServerState:
        peer = envelope.sender
        share_keys.server_accept(message, dealer=peer, near=state.near[peer])
        return replace(state, dealt={**state.dealt, peer: message})

    def _ack(
        self, message: msg.ShareAck, envelope: msg.Envelope, state: ServerState
    ) -> ServerState:
        peer, dealers = envelope.sender, frozenset(state.dealt)
        ones = share_ack.server_accept(
            message, holder=peer, near=state.near[peer], dealers=dealers
        )
        return replace(state, acks={**state.acks, peer: ones})

    def _root(
        self, message: msg.MaskedInput, envelope: msg.Envelope, state: ServerState
    ) -> ServerState:
        peer, root = envelope.sender, message.root
        errors.require("4.5-1", peer in state.u2, f"{peer} is not in U2", [peer])
        stored = state.stored.get(peer)
        masked_input.server_accept(stated=root, stored=stored, peer=peer)
        entry = msg.SignedRoot(peer=peer, root=root, signature=envelope.signature)
        return replace(state, roots={**state.roots, peer: entry})

    def _vote(
        self, message: msg.Consistency, envelope: msg.Envelope, state: ServerState
    ) -> ServerState:
        peer = envelope.sender
        consistency.server_accept(message, h3=state.h3, voter=peer)
        return replace(state, votes={**state.votes, peer: envelope.signature})

    def _release(
        self, message: msg.Unmasking, envelope: msg.Envelope, state: ServerState
    ) -> ServerState:
        peer = envelope.sender
        dealings = state.dealings(self.sid, self.params)
        unmasking.server_accept(message, holder=peer, dealings=dealings)
        return replace(state, releases={**state.releases, peer: message})
