"""Ed25519 (RFC 8032), verified strictly and without the cofactor (spec 3.1)."""

from __future__ import annotations

import functools
import hashlib

from protocol_spec.model.refusal import require

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
SQRT_MINUS_1 = pow(2, (P - 1) // 4, P)

Point = tuple[int, int, int, int]
"""Extended coordinates (X, Y, Z, T): x = X/Z, y = Y/Z, T = xy Z."""

IDENTITY: Point = (0, 1, 1, 0)


def add(a: Point, b: Point) -> Point:
    """RFC 8032, 5.1.4."""
    x1, y1, z1, t1 = a
    x2, y2, z2, t2 = b
    m, n = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    c, d = 2 * t1 * t2 * D % P, 2 * z1 * z2 % P
    e, f, g, hh = n - m, d - c, d + c, n + m
    return (e * f % P, g * hh % P, f * g % P, e * hh % P)


def multiply(k: int, point: Point) -> Point:
    """[k] point, by doubling and adding."""
    total = IDENTITY
    for bit in bin(k)[2:]:
        total = add(total, total)
        if bit == "1":
            total = add(total, point)
    return total


def encode(point: Point) -> bytes:
    """y, and the lowest bit of x as the top bit."""
    x, y, z, _ = point
    inverse = pow(z, P - 2, P)
    x, y = x * inverse % P, y * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decode(data: bytes) -> Point | None:
    """The point of an encoding, y reduced mod p; None if there is none."""
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number % 2**255 % P
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * SQRT_MINUS_1 % P
    if (x * x - square) % P:
        return None
    if x & 1 != sign:
        x = (P - x) % P
    return (x, y, 1, x * y % P)


BASE_ENCODED = (4 * pow(5, -1, P) % P).to_bytes(32, "little")


@functools.cache
def _doubled_base() -> list[Point]:
    """[2^i] B for i = 0..255."""
    powers = [decode(BASE_ENCODED) or IDENTITY]
    for _ in range(255):
        powers.append(add(powers[-1], powers[-1]))
    return powers


def multiply_base(k: int) -> Point:
    """[k] B, adding up the powers of two that k holds."""
    total = IDENTITY
    for bit, power in enumerate(_doubled_base()):
        if k >> bit & 1:
            total = add(total, power)
    return total


@functools.lru_cache(maxsize=10_000)
def fault_of(key: bytes) -> str:
    """What is wrong with a public key; empty if nothing is."""
    if len(key) != 32:
        return "not 32 bytes"
    point = decode(key)
    if point is None:
        return "not on the curve"
    if encode(point) != key:
        return "not canonical"
    return "of small order" if encode(multiply(8, point)) == encode(IDENTITY) else ""


def check_public_key(key: bytes) -> None:
    """A key MUST be canonical and not of small order (rule 3.1-1)."""
    fault = fault_of(key)
    require("3.1-1", not fault, f"a key is {fault}")


@functools.lru_cache(maxsize=10_000)
def _expand(secret: bytes) -> tuple[int, bytes, bytes]:
    """The scalar, the prefix and the public key of a 32-byte secret."""
    digest = hashlib.sha512(secret).digest()
    scalar = int.from_bytes(digest[:32], "little")
    scalar = (scalar & ~7 & (2**255 - 1)) | 2**254
    return scalar, digest[32:], encode(multiply_base(scalar))


def public_key(secret: bytes) -> bytes:
    """The public key of a 32-byte secret (RFC 8032, 5.1.5)."""
    return _expand(secret)[2]


def sign(secret: bytes, message: bytes) -> bytes:
    """RFC 8032, 5.1.6; deterministic."""
    scalar, prefix, public = _expand(secret)
    r = _hash(prefix, message) % ORDER
    encoded = encode(multiply_base(r))
    k = _hash(encoded, public, message) % ORDER
    return encoded + ((r + k * scalar) % ORDER).to_bytes(32, "little")


def _hash(*parts: bytes) -> int:
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little")


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether a signature is good; refuses by 3.1-1 what is not to be judged."""
    check_public_key(public)
    s = int.from_bytes(signature[32:], "little")
    whole = len(signature) == 64 and s < ORDER
    require("3.1-1", whole, "the scalar is not below the group order")
    return _equation(public, message, signature)


@functools.lru_cache(maxsize=100_000)
def _equation(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether R equals the encoding of [S]B - [k]A."""
    a = decode(public)
    if a is None:
        return False
    s = int.from_bytes(signature[32:], "little")
    k = _hash(signature[:32], public, message) % ORDER
    minus_a = (P - a[0], a[1], a[2], P - a[3])
    return encode(add(multiply_base(s), multiply(k, minus_a))) == signature[:32]
