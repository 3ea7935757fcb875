"""Shamir's sharing over GF(Q) (spec 4.3, 4.7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from protocol_spec.model.field import Q


def share(secret: int, coefficients: Sequence[int], x: int) -> int:
    """f(x) with f(0) = secret and the further coefficients a_1, a_2, ... in order."""
    total = 0
    for coefficient in reversed([secret, *coefficients]):
        total = (total * x + coefficient) % Q
    return total


def rebuild(points: Mapping[int, int]) -> int:
    """f(0) of the polynomial through `points`, x to y, by Lagrange."""
    total = 0
    for x, y in points.items():
        numerator, denominator = 1, 1
        for other in points:
            if other != x:
                numerator = numerator * other % Q
                denominator = denominator * (other - x) % Q
        total = (total + y * numerator * pow(denominator, -1, Q)) % Q
    return total


def scalar_bytes(value: int) -> bytes:
    """An element of GF(Q) as 32 bytes."""
    return value.to_bytes(32, "little")
