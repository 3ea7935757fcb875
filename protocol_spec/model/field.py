"""GF(p_w) for vectors and GF(Q) for secrets (spec 1)."""

from __future__ import annotations

Q = 2**256 - 189
WIDTHS = range(16, 33)
GAPS = (15, 1, 5, 1, 3, 9, 3, 15, 3, 39, 5, 39, 57, 3, 35, 1, 5)
"""2^w - p_w for w = 16..32."""


def prime(w: int) -> int:
    """p_w, the largest prime below 2^w."""
    return int(2**w - GAPS[w - 16])


def centred(value: int, p: int) -> int:
    """The representative of `value` mod p in -(p-1)/2..(p-1)/2."""
    value %= p
    return value - p if value > (p - 1) // 2 else value
