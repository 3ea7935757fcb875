"""ShareKeys: b_u and s_u^SK dealt to N[u] in U1, sealed and committed (spec 4.3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from secagg import errors, shamir
from secagg.crypto import agree, transcript
from secagg.crypto.aead import open_sealed, seal
from secagg.crypto.kdf import lp
from secagg.entropy import Entropy
from secagg.messages import DealtEntry, DealtShare, DealtShares, ShareKeys
from secagg.names import PeerId, SessionId
from secagg.params import Parameters
from secagg.rounds.advertise_keys import (
    KeyBook,
    SessionKeys,
    check_size,
    check_sorted_within,
)
from secagg.rounds.neighbourhood import Neighbourhoods, place
from secagg.shapes import made


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldShares:
    """The shares a client verified, by dealer; its own among them."""

    b: Mapping[PeerId, bytes] = field(repr=False)
    s: Mapping[PeerId, bytes] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """Who a client is in this session, for the functions that need it all."""

    me: PeerId
    sid: SessionId
    params: Parameters
    keys: SessionKeys = field(repr=False)


def client_deal(
    party: Party, book: KeyBook, near: Sequence[PeerId], entropy: Entropy
) -> tuple[ShareKeys, HeldShares]:
    """Deal shares of both secrets; return the message and the own shares.

    Args:
        party: this client, with its secrets.
        book: U1 and its keys.
        near: to whom, N[u] in U1.
        entropy: draws ``poly_b``, ``poly_s`` and one ``nonce`` a holder.
    """
    b_shares, s_shares = _share(party, near, entropy)
    entries = []
    own: HeldShares | None = None
    for v, share_b, share_s in zip(near, b_shares, s_shares, strict=True):
        com_b, com_s = transcript.share_commitments(
            party.sid, party.me, v, share_b, share_s
        )
        sealed = None
        if v == party.me:
            own = HeldShares(b={v: share_b}, s={v: share_s})
        else:
            plaintext = (
                _plaintext(party.me, v, party.params.x_of(v)) + share_b + share_s
            )
            ad = transcript.share_context(party.sid, party.me, v, book.h1, com_b, com_s)
            key = _channel_key(party, book, dealer=party.me, holder=v)
            sealed = seal(key, entropy.draw("nonce", 12), plaintext, ad)
        entries.append(DealtEntry(sealed=sealed, com_b=com_b, com_s=com_s))
    assert own is not None  # noqa: S101 rule 4.2-3 put this client into U1
    return ShareKeys(entries=tuple(entries)), own


def _share(party: Party, near: Sequence[PeerId], entropy: Entropy) -> list[list[bytes]]:
    """Return the shares of b_u and those of s_u^SK, in the order of `near`."""
    t, xs = party.params.t, [party.params.x_of(v) for v in near]
    secrets = {"poly_b": party.keys.b_u, "poly_s": party.keys.s_scalar}
    polynomials = [
        [secret, *(shamir.draw_scalar(entropy, label) for _ in range(t - 1))]
        for label, secret in secrets.items()
    ]
    shares = shamir.share_all(polynomials, xs)
    return [[shamir.scalar_to_bytes(y) for y in ys] for ys in shares]


def _plaintext(dealer: PeerId, holder: PeerId, x: int) -> bytes:
    names = lp(dealer.encode("ascii"), holder.encode("ascii"))
    return names + x.to_bytes(4, "little")


def _channel_key(
    party: Party, book: KeyBook, *, dealer: PeerId, holder: PeerId
) -> bytes:
    other = holder if dealer == party.me else dealer
    agreed = agree.shared_secret(party.keys.c, book.keys[other].c_pk)
    return transcript.channel_key(
        party.sid,
        agreed,
        dealer,
        holder,
        book.keys[dealer].c_pk,
        book.keys[holder].c_pk,
    )


def server_accept(
    message: ShareKeys, *, dealer: PeerId, near: Sequence[PeerId]
) -> None:
    """Check the shape of what a dealer dealt; `near` is its N[u] in U1.

    Raises:
        RemoteProtocolError: rule 4.3-1.
    """
    own = [entry.sealed is None for entry in message.entries]
    errors.require(
        "4.3-1",
        own == [v == dealer for v in near],
        f"{len(own)} entries for {len(near)} holders, or a nil out of place",
        [dealer],
    )


def server_deal_out(
    dealt: Mapping[PeerId, ShareKeys], near: Neighbourhoods, params: Parameters
) -> Iterator[tuple[PeerId, DealtShares]]:
    """Close the round: for each of U1 the entries dealt to it by its neighbours.

    One after the other, since all of them are a million entries at a thousand members.

    Raises:
        RemoteProtocolError: rule 4.3-7, fewer than q dealt.
    """
    check_size("4.3-7", "dealers", len(dealt), params.q)

    def to(v: PeerId) -> DealtShares:
        dealers = [u for u in near[v] if u != v and u in dealt]
        rows = [dealt[u].entries[place(near[u], v)] for u in dealers]
        columns: dict[str, Sequence[object]] = {
            "dealer": dealers,
            "sealed": [row.sealed or b"" for row in rows],
            "com_b": [row.com_b for row in rows],
            "com_s": [row.com_s for row in rows],
        }
        return DealtShares(entries=tuple(made(DealtShare, columns, len(rows))))

    return ((v, to(v)) for v in near)


def client_open_shares(
    message: DealtShares,
    *,
    party: Party,
    book: KeyBook,
    near: Sequence[PeerId],
    own: HeldShares,
) -> HeldShares:
    """Open and verify what N(u) dealt; what is wrong is left out, a complaint.

    Raises:
        RemoteProtocolError: rule 4.3-2, the list itself is wrong.
    """
    dealers = [entry.dealer for entry in message.entries]
    others = set(near) - {party.me}
    check_sorted_within("4.3-2", "dealers", dealers, others)
    b, s = dict(own.b), dict(own.s)
    for entry in message.entries:
        try:
            b[entry.dealer], s[entry.dealer] = _open_entry(entry, party, book)
        except errors.RemoteProtocolError:
            continue
    return HeldShares(b=b, s=s)


def _open_entry(entry: DealtShare, party: Party, book: KeyBook) -> tuple[bytes, bytes]:
    u, v = entry.dealer, party.me
    key = _channel_key(party, book, dealer=u, holder=v)
    ad = transcript.share_context(party.sid, u, v, book.h1, entry.com_b, entry.com_s)
    plaintext = open_sealed(key, entry.sealed, ad)
    head = _plaintext(u, v, party.params.x_of(v))
    share_b, share_s = plaintext[-64:-32], plaintext[-32:]
    below = shamir.is_scalar(share_b) and shamir.is_scalar(share_s)
    errors.require(
        "4.3-5",
        plaintext[:-64] == head and len(plaintext) == len(head) + 64 and below,
        "the sealed share names another dealer, holder or place",
        [u],
    )
    committed = transcript.share_commitments(party.sid, u, v, share_b, share_s)
    errors.require(
        "4.3-6",
        committed == (entry.com_b, entry.com_s),
        "the sealed shares do not match their commitments",
        [u],
    )
    return share_b, share_s
