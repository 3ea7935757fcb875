"""Shamir sharing over GF(Q), Q = 2^256 - 189: spec section 4.3.

Any t points of a polynomial of degree t - 1 give its value at 0; t - 1 give nothing.
Shamir, "How to share a secret", CACM 22(11), 1979. The x-coordinates are public and the
work that depends on them alone is done once for all secrets. Dealing evaluates all
polynomials at all coordinates together, in limbs of 32 bits. Python's arithmetic is not
constant in time; secrets and shares serve one session (see the spec's section 13).
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from secagg import errors
from secagg.entropy import Entropy
from secagg.field import Q

SCALAR_SIZE: Final = 32
"""Bytes of an encoded scalar."""

MAX_COORDINATE: Final = 4096
"""The largest x: a Manifest has at most as many members (spec 3.7)."""

Words: TypeAlias = NDArray[np.uint64]

_LIMBS: Final = 8
_LIMB_BITS: Final = np.uint64(32)
_LIMB: Final = np.uint64(2**32 - 1)
_FOLD: Final = np.uint64(2**256 - Q)
"""2^256 is 189 mod Q."""


def share(secret: int, coefficients: Sequence[int], xs: Sequence[int]) -> list[int]:
    """Return f(x) for each of `xs`, f(0) = `secret`.

    Args:
        secret: in [0, Q).
        coefficients: of x, x^2, ... x^(t-1), uniform in [0, Q), fresh for this secret.
        xs: the holders' coordinates, distinct, in [1, 4096].

    Returns:
        The shares in the order of `xs`, each in [0, Q); any t rebuild the secret.

    Raises:
        ParameterError: a value is out of its range, or a coordinate is repeated.
    """
    return share_all([(secret, *coefficients)], xs)[0]


def share_all(
    polynomials: Sequence[Sequence[int]], xs: Sequence[int]
) -> list[list[int]]:
    """Return, for each polynomial, its values at `xs`: many secrets dealt at once.

    Args:
        polynomials: each its coefficients in [0, Q), the secret first; of one length.
        xs: the holders' coordinates, distinct, in [1, 4096].

    Raises:
        ParameterError: a value is out of its range, the lengths differ, or a coordinate
            is repeated.
    """
    for polynomial in polynomials:
        _check_scalars("coefficient", polynomial)
    _check_coordinates(xs)
    if len({len(polynomial) for polynomial in polynomials}) != 1:
        raise errors.ParameterError("the polynomials are not all of one length")
    values = _horner(_in_limbs(polynomials), np.array(xs, dtype=np.uint64))
    return [_from_limbs(values[:, k]) for k in range(len(polynomials))]


def lagrange_at_zero(xs: Sequence[int]) -> list[int]:
    """Return the weights w_i with f(0) = sum w_i f(x_i) for every f of degree < k.

    Args:
        xs: k distinct coordinates in [1, 4096]. Once per set, not per secret.

    Raises:
        ParameterError: a coordinate is out of its range or repeated.
    """
    _check_coordinates(xs)
    # w_i = prod over j != i of x_j / (x_j - x_i) = (-1)^(k-1) v_i prod of x_j, with v_i
    # the weights of `_barycentric`. The products leave one x out each, from both ends.
    before = itertools.accumulate((1, *xs), _times)
    after = list(itertools.accumulate((1, *reversed(xs)), _times))[-2::-1]
    sign = -1 if len(xs) % 2 == 0 else 1
    parts = zip(_barycentric(tuple(xs)), before, after, strict=False)
    return [sign * v * low * high % Q for v, low, high in parts]


def rebuild(shares: Sequence[int], weights: Sequence[int]) -> int:
    """Return the secret whose shares these are.

    Args:
        shares: f(x_i), each in [0, Q), in the order of the weights.
        weights: `lagrange_at_zero` of their coordinates.

    Raises:
        ParameterError: a share is out of its range, or the numbers differ.
    """
    _check_scalars("share", shares)
    if len(shares) != len(weights):
        raise errors.ParameterError(
            f"{len(shares)} shares do not fit {len(weights)} weights"
        )
    secret: int = sum(map(operator.mul, shares, weights)) % Q
    return secret


def on_one_polynomial(xs: Sequence[int], ys: Sequence[int], t: int) -> bool:
    """Return whether all points lie on one polynomial of degree < t.

    True of any t points or fewer. The values of such polynomials are a Reed-Solomon
    code; its dual says that the points are in it exactly if, for k = 0 .. n - t - 1,
    the sum over i of v_i x_i^k y_i is 0.

    Args:
        xs: n distinct coordinates in [1, 4096].
        ys: n values in [0, Q).
        t: the threshold, at least 1.

    Raises:
        ParameterError: a value is out of its range, or the numbers differ.
    """
    _check_coordinates(xs)
    _check_scalars("share", ys)
    if len(xs) != len(ys) or t < 1:
        raise errors.ParameterError(
            f"{len(xs)} coordinates, {len(ys)} shares and t = {t} do not fit"
        )
    terms = [v * y % Q for v, y in zip(_barycentric(tuple(xs)), ys, strict=True)]
    for _ in range(len(xs) - t):
        if sum(terms) % Q:
            return False
        terms = [term * x % Q for term, x in zip(terms, xs, strict=True)]
    return True


def draw_scalar(entropy: Entropy, label: str) -> int:
    """Return a uniform scalar in [0, Q): 32 bytes, redrawn if they are not below Q."""
    while True:
        value = int.from_bytes(entropy.draw(label, SCALAR_SIZE), "little")
        if value < Q:
            return value


def scalar_to_bytes(scalar: int) -> bytes:
    """Return a scalar of [0, Q) as 32 bytes, little endian.

    Raises:
        ParameterError: it is out of its range.
    """
    _check_scalars("scalar", (scalar,))
    return scalar.to_bytes(SCALAR_SIZE, "little")


def scalar_from_bytes(data: bytes) -> int:
    """Return the scalar that 32 bytes encode.

    A peer's bytes are first put to `is_scalar`, under the rule of their message.

    Raises:
        ParameterError: not 32 bytes, or the value is not below Q.
    """
    if not is_scalar(data):
        raise errors.ParameterError(
            f"{len(data)} bytes are not the 32 bytes of a scalar below 2^256 - 189"
        )
    return int.from_bytes(data, "little")


def is_scalar(data: bytes) -> bool:
    """Return whether these are the 32 bytes of a scalar below Q."""
    return len(data) == SCALAR_SIZE and int.from_bytes(data, "little") < Q


def are_scalars(data: Iterable[bytes]) -> bool:
    """Return whether `is_scalar` holds for each: a million in a large session."""
    known = [*data]
    values = map(_from_bytes, known, itertools.repeat("little"))
    return {*map(len, known)} <= {SCALAR_SIZE} and max(values, default=0) < Q


def scalars_from_bytes(data: Iterable[bytes]) -> list[int]:
    """Return what `scalar_from_bytes` gives for each.

    Raises:
        ParameterError: one is not 32 bytes, or its value is not below Q.
    """
    known = [*data]
    if not are_scalars(known):
        raise errors.ParameterError(
            f"of {len(known)} scalars one is not 32 bytes below 2^256 - 189"
        )
    return [*map(_from_bytes, known, itertools.repeat("little"))]


_from_bytes: Final[Callable[[bytes, str], int]] = int.from_bytes  # type: ignore[assignment]  # the name of an order is a literal


def _in_limbs(polynomials: Sequence[Sequence[int]]) -> Words:
    """Return coefficients as limbs, least first, shape (t, 8, polynomials, 1)."""
    data = b"".join(
        coefficient.to_bytes(SCALAR_SIZE, "little")
        for polynomial in polynomials
        for coefficient in polynomial
    )
    limbs = np.frombuffer(data, dtype="<u4").reshape(len(polynomials), -1, _LIMBS)
    return limbs.transpose(1, 2, 0)[..., np.newaxis].astype(np.uint64)


def _from_limbs(values: Words) -> list[int]:
    """Return the scalars of shape (8, n), whatever the limbs hold beyond 32 bits."""
    low, high = (
        part.T.astype("<u4").tobytes()
        for part in (values & _LIMB, values >> _LIMB_BITS)
    )
    # A limb's high half counts 2^32 more.
    return [
        (
            int.from_bytes(low[at : at + SCALAR_SIZE], "little")
            + (int.from_bytes(high[at : at + SCALAR_SIZE], "little") << 32)
        )
        % Q
        for at in range(0, len(low), SCALAR_SIZE)
    ]


def _horner(coefficients: Words, xs: Words) -> Words:
    """Return the polynomials' values at `xs`, shape (8, polynomials, n), not reduced.

    Horner's rule on all values at once. Settled limbs are below 3 * 2^32; after k more
    steps they are below 2^32 (3 X^k + k X^(k-1)), X the largest coordinate, which
    `steps_between_carries` keeps at 2^64 at most.
    """
    terms, steps = len(coefficients), steps_between_carries(int(xs.max(initial=1)))
    values = np.zeros((_LIMBS, coefficients.shape[2], len(xs)), dtype=np.uint64)
    carries = np.empty_like(values)
    for done, coefficient in enumerate(coefficients[::-1], start=1):
        values *= xs
        values += coefficient
        if done % steps == 0 and done < terms:
            _settle(values, carries)
    return values


def steps_between_carries(largest: int) -> int:
    """Return the most steps of Horner's rule, at least 2, that overflow no limb: k.

    The largest k with 3 X^k + k X^(k-1) <= 2^32: 3 for up to a thousand holders.

    Args:
        largest: X, the largest coordinate, in [1, 4096].
    """
    # Beyond 32 steps, which X = 1 allows, carries cost nothing any more.
    fitting = (
        k for k in range(2, 33) if 3 * largest**k + k * largest ** (k - 1) <= 1 << 32
    )
    return max(fitting)


def _settle(values: Words, carries: Words) -> None:
    """Carry once, so that every limb is below 3 * 2^32; the values stay, mod Q.

    Each carry is below 2^32. The top one comes in below, 189-fold; what it makes of the
    lowest limb is below 190 * 2^32, so its carry is below 2^8.
    """
    np.right_shift(values, _LIMB_BITS, out=carries)
    values &= _LIMB
    values[1:] += carries[:-1]
    lowest = values[0]
    lowest += carries[-1] * _FOLD
    values[1] += lowest >> _LIMB_BITS
    lowest &= _LIMB


def _times(a: int, b: int) -> int:
    return a * b % Q


@functools.lru_cache(maxsize=4)
def _barycentric(xs: tuple[int, ...]) -> list[int]:
    """Return v_i = 1 / prod over j != i of (x_i - x_j) mod Q.

    Remembered for the few sets in use, since every dealer's shares are opened over the
    same holders. The products stay short where the coordinates are small.
    """
    products = [math.prod(x - other for other in xs if other != x) % Q for x in xs]
    return _inverses(products)


def _inverses(values: Sequence[int]) -> list[int]:
    """Return 1 / v mod Q of values that are not 0, by one inversion (Montgomery)."""
    # before[i] is the product of all ahead of i; going back, `inverse` is 1 over the
    # product of those up to i.
    before = list(itertools.accumulate((1, *values), _times))
    inverse = pow(before[-1], -1, Q)
    found = []
    for value, product in zip(reversed(values), before[-2::-1], strict=True):
        found.append(inverse * product % Q)
        inverse = inverse * value % Q
    return found[::-1]


def _check_scalars(name: str, values: Sequence[int]) -> None:
    """Refuse values outside [0, Q), without showing them: they are secret."""
    if values and min(values) >= 0 and max(values) < Q:
        return
    for index, value in enumerate(values):
        if not 0 <= value < Q:
            raise errors.ParameterError(f"{name} {index} is outside [0, 2^256 - 189)")


def _check_coordinates(xs: Sequence[int]) -> None:
    for x in xs:
        if not 1 <= x <= MAX_COORDINATE:
            raise errors.ParameterError(
                f"coordinate {x} is outside [1, {MAX_COORDINATE}]"
            )
    if len(set(xs)) != len(xs):
        raise errors.ParameterError("two shares have the same coordinate")
