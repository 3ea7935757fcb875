"""The exact comparison of a uniform real with exp(-a/b), in integers.

What a vectorised sampler leaves undecided is decided here: the uniform real is read
word by word and exp(-a/b) is enclosed between two integers ever more finely, until the
two part. That they do is certain, as exp of a rational other than 0 is irrational.
"""

from __future__ import annotations

from typing import Protocol

from secagg.privacy import words

_GUARD_BITS = 32


class UniformWords(Protocol):
    """Words by position and lane; lane by lane they spell a uniform real."""

    def word(self, position: int, lane: int) -> int:
        """Return the word at `position` of lane `lane`."""
        ...


def enclose(numerator: int, denominator: int, bits: int) -> tuple[int, int]:
    """Return integers low <= 2^bits exp(-numerator / denominator) <= high.

    The series of exp(+x) has positive terms only. Each is bounded by rounding its
    recurrence term_k = term_(k-1) x / k down for `low` and up for `high`.

    Args:
        numerator: 0 or more.
        denominator: 1 or more.
        bits: binary places; high - low is a few units wide.
    """
    one = 1 << bits
    term_low = term_high = sum_low = sum_high = one
    k = 0
    # Past k = 2x a term is less than half the one before, so the tail beyond a term is
    # at most that term.
    while term_low or k * denominator < 2 * numerator:
        k += 1
        divisor = k * denominator
        term_low = term_low * numerator // divisor
        term_high = -(-term_high * numerator // divisor)
        sum_low += term_low
        sum_high += term_high
    sum_high += term_high
    return one * one // sum_high, -(-one * one // sum_low)


def uniform_is_below(
    source: UniformWords, position: int, numerator: int, denominator: int
) -> bool:
    """Return whether the uniform real at `position` is below exp(-gamma).

    So it is true with probability exp(-gamma), gamma = numerator / denominator. The
    real has 288 bits, 32 from each of the lanes 0..8; if they do not decide, which
    happens with probability below 2^-280, the answer is no.

    Args:
        source: the words.
        position: of the word that begins the real.
        numerator: 0 or more.
        denominator: 1 or more.
    """
    if numerator == 0:
        return True
    u = bits = 0
    for lane in range(words.LANES + 1):
        u = (u << 32) | source.word(position, lane)
        bits += 32
        low, high = enclose(numerator, denominator, bits + _GUARD_BITS)
        # The real lies in [u, u + 1) 2^-bits.
        if (u + 1) << _GUARD_BITS <= low:
            return True
        if u << _GUARD_BITS >= high:
            return False
    return False
