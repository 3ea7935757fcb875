"""Shamir sharing over GF(Q), Q = 2^256 - 189, in Python's integers: spec section 4.3.

Any t points of a polynomial of degree t - 1 give its value at 0; t - 1 give nothing.
Shamir, "How to share a secret", CACM 22(11), 1979. The x-coordinates are public and the
work that depends on them alone is done once for all secrets. Python's arithmetic is not
constant in time; secrets and shares serve one session (see the spec's section 13).
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Sequence
from typing import Final

from secagg import errors
from secagg.entropy import Entropy
from secagg.field import Q

SCALAR_SIZE: Final = 32
"""Bytes of an encoded scalar."""


def share(secret: int, coefficients: Sequence[int], xs: Sequence[int]) -> list[int]:
    """Return f(x) for each of `xs`, f(0) = `secret`.

    Args:
        secret: in [0, Q).
        coefficients: of x, x^2, ... x^(t-1), uniform in [0, Q), fresh for this secret.
        xs: the holders' coordinates, distinct, in [1, Q).

    Returns:
        The shares in the order of `xs`, each in [0, Q); any t rebuild the secret.

    Raises:
        ParameterError: a value is out of its range, or a coordinate is repeated.
    """
    _check_scalars("secret", (secret,))
    _check_scalars("coefficient", coefficients)
    _check_coordinates(xs)
    descending = (*reversed(coefficients), secret)
    return [_horner(descending, x) for x in xs]


def lagrange_at_zero(xs: Sequence[int]) -> list[int]:
    """Return the weights w_i with f(0) = sum w_i f(x_i) for every f of degree < k.

    Args:
        xs: k distinct coordinates in [1, Q). Once per set, not per secret.

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
        xs: n distinct coordinates in [1, Q).
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


def _horner(descending: Sequence[int], x: int) -> int:
    value = 0
    for coefficient in descending:
        value = (value * x + coefficient) % Q
    return value


def _times(a: int, b: int) -> int:
    return a * b % Q


@functools.lru_cache(maxsize=4)
def _barycentric(xs: tuple[int, ...]) -> list[int]:
    """Return v_i = 1 / prod over j != i of (x_i - x_j) mod Q.

    Remembered for the few sets in use, since every dealer's shares are opened over the
    same holders. The products stay short where the coordinates are small.
    """
    return [
        pow(math.prod(x - other for other in xs if other != x) % Q, -1, Q) for x in xs
    ]


def _check_scalars(name: str, values: Sequence[int]) -> None:
    """Refuse values outside [0, Q), without showing them: they are secret."""
    for index, value in enumerate(values):
        if not 0 <= value < Q:
            raise errors.ParameterError(f"{name} {index} is outside [0, 2^256 - 189)")


def _check_coordinates(xs: Sequence[int]) -> None:
    for x in xs:
        if not 0 < x < Q:
            raise errors.ParameterError(f"coordinate {x} is outside [1, 2^256 - 189)")
    if len(set(xs)) != len(xs):
        raise errors.ParameterError("two shares have the same coordinate")
