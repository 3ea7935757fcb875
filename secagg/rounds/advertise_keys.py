"""AdvertiseKeys: fresh keys of a session, collected and agreed (spec 3.2, 4.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from secagg import errors, shamir
from secagg.crypto import agree, transcript
from secagg.entropy import Entropy
from secagg.messages import AdvertiseKeys, KeyList, SignedKeys
from secagg.names import PeerId, SessionId
from secagg.params import Parameters
from secagg.roster import Roster
from secagg.signing import all_signed_by


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionKeys:
    """A client's secrets of one session; never written anywhere."""

    c: agree.KeyPair = field(repr=False)
    s: agree.KeyPair = field(repr=False)
    s_scalar: int = field(repr=False)
    b_u: int = field(repr=False)
    coin: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyBook:
    """U1 and its keys, as h1 fixes them."""

    h1: bytes
    keys: Mapping[PeerId, AdvertiseKeys]

    @property
    def u1(self) -> tuple[PeerId, ...]:
        """U1, sorted."""
        return tuple(self.keys)


def client_advertise(
    entropy: Entropy, *, sid: SessionId, me: PeerId, tossed: bool
) -> tuple[SessionKeys, AdvertiseKeys]:
    """Draw the session's keys and b_u, and say their public halves.

    `tossed`: draw a coin as well, and commit to it (spec 4.10).
    """
    c = agree.KeyPair(entropy.draw("c_sk", 32))
    s_scalar = shamir.draw_scalar(entropy, "s_sk")
    s = agree.KeyPair(shamir.scalar_to_bytes(s_scalar))
    b_u = shamir.draw_scalar(entropy, "b_u")
    coin = entropy.draw("coin", 32) if tossed else None
    advert = AdvertiseKeys(
        c_pk=c.public,
        s_pk=s.public,
        b_commitment=transcript.b_commitment(sid, me, shamir.scalar_to_bytes(b_u)),
        coin_commitment=coin and transcript.coin_commitment(sid, me, coin),
    )
    return SessionKeys(c=c, s=s, s_scalar=s_scalar, b_u=b_u, coin=coin), advert


def server_accept(
    advert: AdvertiseKeys, known: Iterable[AdvertiseKeys], *, tossed: bool
) -> None:
    """Check an advert's keys; `known` are those of the other members so far.

    Raises:
        RemoteProtocolError: rules 3.2-1 to 3.2-3, 3.2-5, 4.2-5.
    """
    _check_keys(advert, tossed=tossed)
    _check_distinct([*known, advert], "a key of AdvertiseKeys is in use already")


def _check_keys(advert: AdvertiseKeys, *, tossed: bool) -> None:
    agree.check_public_key(advert.c_pk)
    agree.check_public_key(advert.s_pk)
    committed = advert.coin_commitment is not None
    detail = "a commitment to a coin that the graph does not ask for, or none"
    errors.require("4.2-5", committed == tossed, detail)


def _check_distinct(adverts: Iterable[AdvertiseKeys], detail: str) -> None:
    columns = [key for advert in adverts for key in (advert.c_pk, advert.s_pk)]
    errors.require("3.2-5", len(set(columns)) == len(columns), detail)


def server_key_list(
    adverts: Mapping[PeerId, SignedKeys], params: Parameters
) -> KeyList:
    """Close the round: L1 of those that advertised.

    Raises:
        RemoteProtocolError: rule 4.2-4, |U1| < q.
    """
    check_size("4.2-4", "U1", len(adverts), params.q)
    return KeyList(entries=tuple(adverts[peer] for peer in sorted(adverts)))


def check_size(rule: str, name: str, size: int, least: int) -> None:
    """Check that a set is not below its floor, by `rule`."""
    errors.require(rule, size >= least, f"|{name}| = {size} is below {least}")


def check_sorted_within(
    rule: str, name: str, peers: list[PeerId], allowed: set[PeerId]
) -> None:
    """Check that a list is sorted, distinct and within `allowed`, by `rule`."""
    errors.require(
        rule,
        peers == sorted(set(peers)) and set(peers) <= allowed,
        f"the list of {name} is not sorted, not distinct or names a stranger",
    )


def client_accept_key_list(
    key_list: KeyList,
    *,
    body: bytes,
    own: AdvertiseKeys,
    me: PeerId,
    sid: SessionId,
    params: Parameters,
    roster: Roster,
    aggregator: PeerId,
) -> KeyBook:
    """Check L1 and return the key book that h1 fixes.

    Raises:
        RemoteProtocolError: rules 3.2-1 to 3.2-5, 4.2-1 to 4.2-5.
    """
    peers = [entry.peer for entry in key_list.entries]
    check_sorted_within("4.2-1", "U1", peers, set(params.members))
    for entry in key_list.entries:
        _check_keys(entry.keys, tossed=params.tossed)
    _check_signatures(key_list.entries, sid=sid, roster=roster, aggregator=aggregator)
    keys = {entry.peer: entry.keys for entry in key_list.entries}
    errors.require("4.2-3", keys.get(me) == own, f"the entry of {me} was altered")
    check_size("4.2-4", "U1", len(keys), params.q)
    _check_distinct(keys.values(), "two keys of the KeyList are the same")
    return KeyBook(h1=transcript.h1(sid, body), keys=keys)


def _check_signatures(
    entries: Sequence[SignedKeys],
    *,
    sid: SessionId,
    roster: Roster,
    aggregator: PeerId,
) -> None:
    quoted = (
        (entry.peer, roster.member(entry.peer).key, entry.signature, entry.keys)
        for entry in entries
    )
    genuine = all_signed_by(quoted, receiver=aggregator, sid=sid, h=sid)
    for entry, signed in zip(entries, genuine, strict=True):
        errors.require("4.2-2", signed, f"{entry.peer} did not sign these keys")
