"""Attacks 5, 7, 22 and 39: on what members deal to each other, by who carries it."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from unittest import mock

from protocol_spec.model.shamir import rebuild, scalar_bytes
from secagg import codec
from secagg import messages as msg
from secagg.crypto import agree, transcript
from secagg.crypto.aead import open_sealed, seal
from secagg.graph import complete
from secagg.names import PeerId
from secagg.rounds import share_keys
from tests.attacks import prizes
from tests.attacks.attack import Attack, saying, without
from tests.attacks.stories import ME, tell
from tests.helpers import Scene, scene, silo, silos
from tests.machine.forge import Liar, lying, resigned
from tests.recording import body_of
from tests.rules_off import switched_off
from tests.samples import blob

# --- 5: the aggregator in the place of all others


def keys_in_the_middle() -> bool:
    """It deals with silo 2 alone, under keys of its own in the names of the others."""
    world = scene().started()
    [manifest] = world.waiting("Manifest", ME)
    world._deliver(manifest)
    pairs = {u: _pairs(i) for i, u in enumerate(silos(1, 3, 4))}
    rows = {u: _row(u, *pair) for u, pair in pairs.items()} | {ME: _own_row(world)}
    told = msg.KeyList(entries=tuple(rows[u] for u in sorted(rows)))
    tell(world, told)
    h1 = transcript.h1(world.server.sid, codec.encode_body(told))
    for message in (
        msg.DealtShares(entries=()),
        msg.DealerList(dealers=tuple(sorted(rows))),
    ):
        tell(world, message, h=h1)
    if ME not in world.inputs:
        return False
    members = tuple(sorted(rows))
    state = replace(world.server._state, adverts=rows, u2=members)
    world.server._state = replace(state, graph=complete(members))
    return prizes.is_bare(world, ME, _dealt_to(world, pairs, rows, h1))


def _pairs(i: int) -> tuple[agree.KeyPair, agree.KeyPair]:
    return agree.KeyPair(blob(10 + i)), agree.KeyPair(blob(20 + i))


def _row(u: PeerId, c: agree.KeyPair, s: agree.KeyPair) -> msg.SignedKeys:
    keys = msg.AdvertiseKeys(c_pk=c.public, s_pk=s.public, b_commitment=blob(7))
    return msg.SignedKeys(peer=u, keys=keys, signature=blob(1, 64))


def _own_row(world: Scene) -> msg.SignedKeys:
    [sent] = world.clients[ME].sent
    keys = body_of(sent)
    assert isinstance(keys, msg.AdvertiseKeys)
    return msg.SignedKeys(peer=ME, keys=keys, signature=sent.signature)


def _dealt_to(world, pairs, rows, h1) -> prizes.Secrets:
    """Both secrets of silo 2, from the shares it sealed for the others."""
    sid = world.server.sid
    points: dict[str, dict[int, int]] = {"b": {}, "s": {}}
    for entry, v in zip(_dealt_by(world, ME).entries, sorted(rows), strict=True):
        if entry.sealed is None:
            continue
        c_pks = rows[ME].keys.c_pk, rows[v].keys.c_pk
        agreed = agree.shared_secret(pairs[v][0], c_pks[0])
        key = transcript.channel_key(sid, agreed, ME, v, *c_pks)
        ad = transcript.share_context(sid, ME, v, h1, entry.com_b, entry.com_s)
        opened = open_sealed(key, entry.sealed, ad)
        for kind, share in (("b", opened[-64:-32]), ("s", opened[-32:])):
            x = world.server.params.x_of(v)
            points[kind][x] = int.from_bytes(share, "little")
    return {kind: scalar_bytes(rebuild(of)) for kind, of in points.items()}


# --- 7: two worlds


def a_share_of_one_world_in_the_other() -> bool:
    """Silos 1 and 2 were told a U1 without silo 4: does silo 3 take their shares?"""
    world = scene()
    liar = lying(world, KeyList=_without_4, Abort=lambda message, to: None)
    world.run()
    return took_from(world, liar, _entry(world, silo(1), silo(3)), silo(3), silo(1))


def _without_4(message, to):
    if to not in silos(1, 2):
        return message
    return replace(message, entries=message.entries[:3])


def _entry(world: Scene, dealer: PeerId, holder: PeerId) -> msg.DealtEntry:
    """What a dealer sent for a holder."""
    return _dealt_by(world, dealer).entries[sorted(world.clients).index(holder)]


def _dealt_by(world: Scene, dealer: PeerId) -> msg.ShareKeys:
    sent = next(e for e in world.clients[dealer].sent if e.type == "ShareKeys")
    dealt = body_of(sent)
    assert isinstance(dealt, msg.ShareKeys)
    return dealt


def took_from(
    world: Scene, liar: Liar, entry: msg.DealtEntry, holder: PeerId, dealer: PeerId
) -> bool:
    """Whether a holder that is shown this entry as a dealer's has a share of it."""
    assert entry.sealed is not None
    row = msg.DealtShare(
        dealer=dealer, sealed=entry.sealed, com_b=entry.com_b, com_s=entry.com_s
    )
    tell(
        world,
        msg.DealtShares(entries=(row,)),
        h=liar.told[world.server.sid, holder]["h1"],
        to=holder,
    )
    session = world.clients[holder]._session
    return session is not None and dealer in getattr(session, "held").b  # noqa: B009


def _no_h1_in_the_binding():
    real = transcript.share_context

    def unbound(sid, u, v, h1, com_b, com_s):
        return real(sid, u, v, bytes(32), com_b, com_s)

    return mock.patch.object(transcript, "share_context", unbound)


# --- 22: what one sent comes back


def a_sealed_share_sent_back_to_its_dealer() -> bool:
    """What silo 2 sealed for silo 3, to silo 2 as what silo 3 sealed for it."""
    world = scene()
    liar = lying(world, DealtShares=lambda m, to: None, Abort=lambda m, to: None)
    world.run()
    return took_from(world, liar, _entry(world, ME, silo(3)), ME, silo(3))


@contextlib.contextmanager
def _nothing_has_a_direction():
    """Nor the key, nor what is bound to it, nor what is in it, nor what commits."""
    key, context = transcript.channel_key, transcript.share_context

    def of_both(sid, agreed, u, v, u_pk, v_pk):
        (u, u_pk), (v, v_pk) = sorted([(u, u_pk), (v, v_pk)])
        return key(sid, agreed, u, v, u_pk, v_pk)

    def unordered(sid, u, v, *rest):
        return context(sid, *sorted([u, v]), *rest)

    with (
        switched_off("4.3-5", "4.3-6"),
        mock.patch.object(transcript, "channel_key", of_both),
        mock.patch.object(transcript, "share_context", unordered),
    ):
        yield


# --- 39: one sealed text, two shares


def a_holder_blamed_for_what_a_dealer_sealed() -> bool:
    """Silo 4 commits to one share for silo 2 and seals another one."""
    world = scene()

    def made(envelope):
        dealt = body_of(envelope)
        assert isinstance(dealt, msg.ShareKeys)
        rows = list(dealt.entries)
        rows[1] = replace(rows[1], sealed=_other_share(world, rows[1]))
        changed = replace(dealt, entries=tuple(rows))
        return resigned(world, silo(4), changed, world.server._state.h1)

    saying(world, silo(4), "ShareKeys", made).run()
    return ME in world.drops()


def _other_share(world: Scene, entry: msg.DealtEntry) -> bytes:
    session = world.clients[silo(4)]._session
    party, book = session.party, session.book  # type: ignore[union-attr]
    key = share_keys._channel_key(party, book, dealer=silo(4), holder=ME)
    ad = transcript.share_context(
        party.sid, silo(4), ME, book.h1, entry.com_b, entry.com_s
    )
    head = share_keys._plaintext(silo(4), ME, party.params.x_of(ME))
    return seal(key, bytes(12), head + blob(1) + blob(2), ad)


ATTACKS = [
    Attack(5, keys_in_the_middle, without("4.2-2")),
    Attack(7, a_share_of_one_world_in_the_other, _no_h1_in_the_binding),
    Attack(22, a_sealed_share_sent_back_to_its_dealer, _nothing_has_a_direction),
    Attack(39, a_holder_blamed_for_what_a_dealer_sealed, without("4.3-6")),
]
