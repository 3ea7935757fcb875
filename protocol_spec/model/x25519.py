"""X25519 (RFC 7748) and the checks on public keys (spec 3.2)."""

from __future__ import annotations

import functools

from protocol_spec.model.refusal import require

P = 2**255 - 19
BASE = (9).to_bytes(32, "little")
LOW_ORDER = (
    0,
    1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
    P - 1,
)


def check_public_key(key: bytes) -> None:
    """Rules 3.2-1, 3.2-2, 3.2-3."""
    number = int.from_bytes(key, "little")
    short = len(key) == 32 and number >> 255 == 0
    require("3.2-1", short, "a public key is not 32 bytes with the top bit 0")
    value = number % 2**255
    require("3.2-2", value < P, "a public key is not below 2^255 - 19")
    require("3.2-3", value not in LOW_ORDER, "a public key is a point of low order")


def agree(sk: bytes, pk: bytes) -> bytes:
    """X25519(sk, pk), never zero (rule 3.2-4)."""
    shared = x25519(sk, pk)
    require("3.2-4", shared != bytes(32), "the agreement gives zero")
    return shared


@functools.lru_cache(maxsize=100_000)
def x25519(sk: bytes, pk: bytes) -> bytes:
    """The Montgomery ladder of RFC 7748, section 5; the scalar is clamped here."""
    k = int.from_bytes(sk, "little")
    k = (k & ~7 & (2**255 - 1)) | 2**254
    u = int.from_bytes(pk, "little") % 2**255 % P
    x2, z2, x3, z3, swapped = 1, 0, u, 1, 0
    for bit in range(254, -1, -1):
        k_t = k >> bit & 1
        if swapped ^ k_t:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swapped = k_t
        x2, z2, x3, z3 = _ladder_step(u, x2, z2, x3, z3)
    if swapped:
        x2, z2 = x3, z3
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


def _ladder_step(
    u: int, x2: int, z2: int, x3: int, z3: int
) -> tuple[int, int, int, int]:
    """One step: (x2:z2) is doubled, (x3:z3) becomes the sum; names as in the RFC."""
    a, b = x2 + z2, x2 - z2
    aa, bb = a * a % P, b * b % P
    e = aa - bb
    da, cb = (x3 - z3) * a % P, (x3 + z3) * b % P
    return (
        aa * bb % P,
        e * (aa + 121665 * e) % P,
        (da + cb) * (da + cb) % P,
        u * (da - cb) * (da - cb) % P,
    )


def public_key(sk: bytes) -> bytes:
    """The public key of a secret key."""
    return x25519(sk, BASE)
