"""Dealing, opening and rebuilding shares (spec 4.3, 4.4, 4.7)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from protocol_spec.model import aead, x25519
from protocol_spec.model.entropy import Entropy
from protocol_spec.model.field import Q
from protocol_spec.model.keys import (
    KeyBook,
    Secrets,
    b_commitment,
    com_b,
    com_s,
    share_ad,
    share_head,
)
from protocol_spec.model.messages import Body
from protocol_spec.model.refusal import RefusedError, require
from protocol_spec.model.shamir import rebuild, scalar_bytes, share


@dataclass
class Held:
    """The shares a client verified, by dealer, and why others were not."""

    b: dict[str, bytes] = field(default_factory=dict)
    s: dict[str, bytes] = field(default_factory=dict)
    complaints: dict[str, str] = field(default_factory=dict)


def deal(
    u: str,
    secrets: Secrets,
    book: KeyBook,
    holders: list[str],
    x_of: dict[str, int],
    t: int,
    entropy: Entropy,
) -> tuple[Body, Held]:
    """The body of ShareKeys, and the dealer's own shares (spec 4.3).

    `holders` are N[u] within U1.
    """
    poly_b = [entropy.scalar("poly_b") for _ in range(t - 1)]
    poly_s = [entropy.scalar("poly_s") for _ in range(t - 1)]
    rows: list[list[bytes | None]] = []
    held = Held()
    for v in holders:
        share_b = scalar_bytes(share(secrets.b_u, poly_b, x_of[v]))
        share_s = scalar_bytes(share(secrets.s_sk, poly_s, x_of[v]))
        if v == u:
            held.b[u], held.s[u] = share_b, share_s
            commits = [com_b(book.sid, u, u, share_b), com_s(book.sid, u, u, share_s)]
            rows.append([None, *commits])
        else:
            channel = book.channel(secrets.c_sk, u, u, v)
            nonce = entropy.draw("nonce", 12)
            head = share_head(u, v, x_of[v])
            rows.append(sealed_row(book, channel, nonce, u, v, head, share_b, share_s))
    return {"entries": rows}, held


def sealed_row(
    book: KeyBook,
    channel: bytes,
    nonce: bytes,
    u: str,
    v: str,
    head: bytes,
    share_b: bytes,
    share_s: bytes,
) -> list[bytes | None]:
    """[E_uv, com^b, com^s] (spec 3.6)."""
    commit_b = com_b(book.sid, u, v, share_b)
    commit_s = com_s(book.sid, u, v, share_s)
    ad = share_ad(book.sid, u, v, book.h1, commit_b, commit_s)
    sealed = aead.seal(channel, nonce, head + share_b + share_s, ad)
    return [sealed, commit_b, commit_s]


def open_entry(
    row: list[Any], v: str, secrets: Secrets, book: KeyBook, x_v: int
) -> tuple[bytes, bytes]:
    """Open and check one dealer's entry (rules 4.3-4, 4.3-5, 4.3-6)."""
    u, sealed, commit_b, commit_s = row
    channel = book.channel(secrets.c_sk, v, u, v)
    ad = share_ad(book.sid, u, v, book.h1, commit_b, commit_s)
    plaintext = aead.open_sealed(channel, sealed, ad)
    head = share_head(u, v, x_v)
    named = plaintext[: len(head)] == head and len(plaintext) == len(head) + 64
    require("4.3-5", named, "the plaintext names others")
    share_b, share_s = plaintext[-64:-32], plaintext[-32:]
    require("4.3-5", below_q(share_b) and below_q(share_s), "a share is not below Q")
    matches = commit_b == com_b(book.sid, u, v, share_b)
    matches = matches and commit_s == com_s(book.sid, u, v, share_s)
    require("4.3-6", matches, "a share does not match its commitment")
    return share_b, share_s


def open_dealt(
    body: Body, v: str, secrets: Secrets, book: KeyBook, x_v: int, held: Held
) -> None:
    """Keep what verifies; what does not is a complaint, never an abort (spec 4.3)."""
    for row in body["entries"]:
        try:
            held.b[row[0]], held.s[row[0]] = open_entry(row, v, secrets, book, x_v)
        except RefusedError as refused:
            held.complaints[row[0]] = refused.rule


def below_q(data: bytes) -> bool:
    """Whether 32 bytes are an element of GF(Q)."""
    return int.from_bytes(data, "little") < Q


def bitmap(near: list[str], verified: set[str]) -> bytes:
    """Bit i (byte i // 8, value 1 << (i % 8)) for the i-th of N[v] in U1 (spec 4.4)."""
    bits = bytearray((len(near) + 7) // 8)
    for i, v in enumerate(near):
        bits[i // 8] |= (v in verified) << (i % 8)
    return bytes(bits)


def read_bitmap(bits: bytes, near: list[str], dealers: set[str]) -> set[str]:
    """The dealers that a ShareAck confirms (rule 4.4-1)."""
    require("4.4-1", len(bits) == (len(near) + 7) // 8, "a bitmap of another length")
    number = int.from_bytes(bits, "little")
    require("4.4-1", number >> len(near) == 0, "bits behind the last")
    ones = {v for i, v in enumerate(near) if number >> i & 1}
    require("4.4-1", ones <= dealers, "a one for a member that did not deal")
    return ones


def check_rebuilt(
    kind: str, v: str, points: dict[int, int], t: int, book: KeyBook
) -> int:
    """The secret of v from its t shares with the lowest x (rule 4.7-4)."""
    lowest = {x: points[x] for x in sorted(points)[:t]}
    secret = rebuild(lowest)
    if kind == "b":
        found = b_commitment(book.sid, v, scalar_bytes(secret)) == book.b_commitment[v]
    else:
        found = x25519.public_key(scalar_bytes(secret)) == book.s_pk[v]
    require("4.7-4", found, f"the shares of {v} give another secret", (v,))
    return secret
