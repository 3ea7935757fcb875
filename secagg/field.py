"""Vectors modulo p_w and the scalar modulus Q: spec section 0.

A vector lives in memory as uint32 elements in [0, p_w), where p_w is the largest prime
below 2^w and w is 16 to 32. Sums are taken lazily in wider integers and reduced once;
the bound that keeps each of them exact stands beside it. Knows no keys, floats, bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg import errors

MIN_WIDTH: Final = 16
MAX_WIDTH: Final = 32

# 2^w - p_w for w = 16..32.
_GAPS: Final = (15, 1, 5, 1, 3, 9, 3, 15, 3, 39, 5, 39, 57, 3, 35, 1, 5)

PRIMES: Final[Mapping[int, int]] = MappingProxyType(
    {w: 2**w - gap for w, gap in enumerate(_GAPS, start=MIN_WIDTH)}
)
"""p_w, the largest prime below 2^w, by width w = 16..32."""

Q: Final = 2**256 - 189
"""The prime modulus of secret sharing."""

# Elements handled at a time where a temporary is needed: 256 KiB of uint32.
_BLOCK: Final = 1 << 16


def prime(width: int) -> int:
    """Return p_w.

    Raises:
        ParameterError: `width` is outside 16..32.
    """
    if width not in PRIMES:
        raise errors.ParameterError(
            f"width = {width} is outside {MIN_WIDTH}..{MAX_WIDTH} bits"
        )
    return PRIMES[width]


def narrowest_width(bound: int) -> int:
    """Return the smallest w such that p_w holds every integer in [-bound, bound].

    Args:
        bound: n * x_max plus any noise tail; not negative.

    Raises:
        ParameterError: `bound` is negative or above (p_32 - 1) / 2 = 2,147,483,645.
    """
    if bound < 0:
        raise errors.ParameterError(f"bound = {bound} is negative")
    for width, p in PRIMES.items():
        if (p - 1) // 2 >= bound:
            return width
    raise errors.ParameterError(
        f"a sum bounded by {bound} does not fit the widest field, whose bound is"
        f" {(PRIMES[MAX_WIDTH] - 1) // 2}: fewer clients or fewer bits"
    )


def to_field(values: NDArray[np.int64], p: int) -> NDArray[np.uint32]:
    """Return `values` mod p as field elements.

    Args:
        values: any int64 values, any shape.
        p: a prime p_w.
    """
    if values.size and (values.min() < -p or values.max() >= p):
        # numpy's remainder takes the sign of p, hence [0, p).
        return np.remainder(values, np.int64(p)).astype(np.uint32)
    # For -p <= v < p, several times faster: the low 32 bits of v are v mod 2^32, and
    # where v is negative adding p wraps them to v + p, in [0, p).
    elements = values.astype(np.uint32)
    borrow = (values < 0).astype(np.uint32)
    borrow *= np.uint32(p)
    elements += borrow
    return elements


def centre(elements: NDArray[np.uint32], p: int) -> NDArray[np.int64]:
    """Return the representative of each element in [-(p-1)/2, (p-1)/2].

    Args:
        elements: values in [0, p), any shape.
        p: a prime p_w.
    """
    signed = elements.astype(np.int64)
    # Looking up those above the half, at random places, takes twelve times as long.
    beyond = (elements > (p - 1) // 2).astype(np.int64)
    beyond *= p
    signed -= beyond
    return signed


def reduce(
    sums: NDArray[np.uint64],
    p: int,
    *,
    out: NDArray[np.uint32] | None = None,
    scratch: NDArray[np.uint64] | None = None,
) -> NDArray[np.uint32]:
    """Return lazy sums mod p.

    Args:
        sums: any uint64 values, any shape; overwritten.
        p: a prime p_w.
        out: where to write, of the same shape; None allocates it.
        scratch: of the same shape; None allocates it.
    """
    # sums // p * p <= sums < 2^64, so neither the product nor the difference wraps. A
    # division by a scalar is several times faster in numpy than its remainder.
    quotient = np.floor_divide(sums, np.uint64(p), out=scratch)
    quotient *= np.uint64(p)
    sums -= quotient
    if out is None:
        return sums.astype(np.uint32)
    np.copyto(out, sums, casting="same_kind")
    return out


def lazy_terms(width: int) -> int:
    """Return how many elements of GF(p_w) may be added to one, lazily, in 32 bits.

    With k elements added to or taken from one, and k p beforehand so that it never is
    negative, the sum is below (k + 1) p. Two bounds hold it:

    - (k + 1) p <= 2^32, so that it does not wrap;
    - (k + 1) (2^w - p) <= p, so that `reduce_narrow` needs to fold but once.

    Returns:
        4,367 at w = 16, halving from 32,767 at w = 17 to 1 at w = 31, and 0 at w = 32.

    Raises:
        ParameterError: the width is outside its range.
    """
    p = prime(width)
    gap = (1 << width) - p
    return min((1 << MAX_WIDTH) // p, p // gap) - 1


def reduce_narrow(
    sums: NDArray[np.uint32], width: int, scratch: NDArray[np.uint32]
) -> None:
    """Reduce lazy sums in 32 bits mod p_w, in place.

    Args:
        sums: below (`lazy_terms` + 1) p_w, shape (k,).
        width: w, 16..31.
        scratch: of the same shape; overwritten.
    """
    p = prime(width)
    # As 2^w = gap mod p, the bits above w count gaps. They are at most lazy_terms, so
    # what results is below 2^w + (p - gap) = 2 p.
    np.right_shift(sums, np.uint32(width), out=scratch)
    np.bitwise_and(sums, np.uint32((1 << width) - 1), out=sums)
    gap = (1 << width) - p
    if gap > 1:
        np.multiply(scratch, np.uint32(gap), out=scratch)
    np.add(sums, scratch, out=sums)
    # Below p the difference wraps to the larger of the two.
    np.subtract(sums, np.uint32(p), out=scratch)
    np.minimum(sums, scratch, out=sums)


def squared_norm(values: NDArray[np.signedinteger[Any]]) -> int:
    """Return the exact squared L2 norm of `values`.

    Args:
        values: any int64 values or narrower ones, shape (m,).
    """
    total = 0
    for begin in range(0, len(values), _BLOCK):
        block = values[begin : begin + _BLOCK].astype(np.int64, copy=False)
        largest = max(int(block.max()), -int(block.min()))
        if len(block) * largest**2 < 1 << 63:
            # Integers all the way, as numpy adds products of int64 in int64.
            total += int(np.dot(block, block))
        else:
            total += _squared_norm_of_block(block)
    return total


def _squared_norm_of_block(values: NDArray[np.int64]) -> int:
    """Return the squared norm of at most 2^16 values, by halves.

    With |v| = h 2^32 + l, v^2 = h^2 2^64 + 2 h l 2^32 + l^2. As |v| <= 2^63, h <= 2^31:
    2^16 terms of h^2 <= 2^62 would not fit 64 bits, nor would those of l^2. So each
    product of halves is itself summed by halves: 2^16 terms below 2^32.
    """
    # abs(-2^63) is -2^63 in int64, which as uint64 is 2^63, the right magnitude.
    magnitude = np.abs(values).view(np.uint64)
    high = magnitude >> np.uint64(32)
    low = magnitude & np.uint64(0xFFFFFFFF)
    return (
        (_exact_sum(high * high) << 64)
        + (_exact_sum(high * low) << 33)
        + _exact_sum(low * low)
    )


def _exact_sum(terms: NDArray[np.uint64]) -> int:
    """Return the sum of at most 2^16 uint64 terms; each sum of halves is below 2^48."""
    high = int(np.sum(terms >> np.uint64(32)))
    return (high << 32) + int(np.sum(terms & np.uint64(0xFFFFFFFF)))
