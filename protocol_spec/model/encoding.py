"""LP, H, HKDF and the canonical encoding (spec 1, 3.3)."""

from __future__ import annotations

import hashlib
import hmac
import math
import struct
from typing import Any

from protocol_spec.model.refusal import RefusedError, require

MAX_DEPTH = 8


def lp(*parts: bytes | str) -> bytes:
    """LP(a, b, ...): for each part its length as 4 bytes, then the part (spec 1)."""
    out = b""
    for part in parts:
        raw = part.encode("ascii") if isinstance(part, str) else part
        out += len(raw).to_bytes(4, "little") + raw
    return out


def h(label: str, *parts: bytes | str) -> bytes:
    """H(label, ...) = SHA-256(LP(label, ...)) (spec 1)."""
    return hashlib.sha256(lp(label, *parts)).digest()


def hkdf(ikm: bytes, info: bytes, salt: bytes, size: int = 32) -> bytes:
    """HKDF-SHA256 of RFC 5869; the protocol's salt is the sid (spec 1)."""
    prk = hmac.digest(salt or bytes(32), ikm, "sha256")
    out, block = b"", b""
    for counter in range(1, math.ceil(size / 32) + 1):
        block = hmac.digest(prk, block + info + bytes([counter]), "sha256")
        out += block
    return out[:size]


def real(value: float) -> bytes:
    """A real number: 8 bytes of binary64, little endian (spec 3.3)."""
    return struct.pack("<d", value)


def from_real(data: bytes) -> float:
    """The real in 8 bytes (rule 3.3-5)."""
    value = float(struct.unpack("<d", data)[0])
    negative_zero = value == 0 and math.copysign(1, value) < 0
    ok = math.isfinite(value) and not negative_zero
    require("3.3-5", ok, "a real is not finite or is negative zero")
    return value


def pack(value: Any) -> bytes:
    """canon(x): the one shortest msgpack form (spec 3.3)."""
    if value is None:
        return b"\xc0"
    if isinstance(value, int) and not isinstance(value, bool):
        return _pack_int(value)
    if isinstance(value, bytes):
        return _head(len(value), None, (0xC4, 0xC5, 0xC6)) + value
    if isinstance(value, str):
        return _head(len(value), (0xA0, 31), (0xD9, 0xDA, 0xDB)) + value.encode("ascii")
    if isinstance(value, list):
        items = b"".join(pack(item) for item in value)
        return _head(len(value), (0x90, 15), (None, 0xDC, 0xDD)) + items
    raise TypeError(f"{type(value).__name__} has no canonical encoding")


def _head(
    length: int, fixed: tuple[int, int] | None, codes: tuple[int | None, int, int]
) -> bytes:
    """The type byte and the length, as short as may be."""
    if fixed is not None and length <= fixed[1]:
        return bytes([fixed[0] | length])
    if codes[0] is not None and length < 1 << 8:
        return bytes([codes[0], length])
    if length < 1 << 16:
        return bytes([codes[1]]) + length.to_bytes(2, "big")
    return bytes([codes[2]]) + length.to_bytes(4, "big")


def _pack_int(value: int) -> bytes:
    """An integer in [-2^63, 2^64), shortest form."""
    if -32 <= value < 128:
        return value.to_bytes(1, "big", signed=value < 0)
    for power, size in enumerate((1, 2, 4, 8)):
        if 0 <= value < 1 << 8 * size:
            return bytes([0xCC + power]) + value.to_bytes(size, "big")
        if -(1 << (8 * size - 1)) <= value < 0:
            return bytes([0xD0 + power]) + value.to_bytes(size, "big", signed=True)
    raise ValueError("an integer outside [-2^63, 2^64)")


def unpack(data: bytes, limit: int) -> Any:
    """Decode, accepting nothing but the canonical form (rules 3.3-1 to 3.3-4)."""
    require("3.3-1", len(data) <= limit, f"{len(data)} bytes exceed {limit}")
    reader = _Reader(data)
    value = reader.value(1)
    require("3.3-2", reader.place == len(data), "bytes follow the value")
    require("3.3-4", pack(value) == data, "not the shortest form")
    return value


class _Reader:
    """Reads msgpack from the front; the allowed types only."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.place = 0

    def take(self, size: int) -> bytes:
        end = self.place + size
        require("3.3-2", end <= len(self.data), "the value is cut off")
        taken = self.data[self.place : end]
        self.place = end
        return taken

    def number(self, size: int, *, signed: bool = False) -> int:
        return int.from_bytes(self.take(size), "big", signed=signed)

    def value(self, depth: int) -> Any:
        code = self.take(1)[0]
        if code < 0x80 or code >= 0xE0:
            return code if code < 0x80 else code - 256
        if 0x90 <= code <= 0x9F:
            return self.array(code & 15, depth)
        if 0xA0 <= code <= 0xBF:
            return self.text(code & 31)
        return self.long_form(code, depth)

    def long_form(self, code: int, depth: int) -> Any:
        if code == 0xC0:
            return None
        if 0xC4 <= code <= 0xC6:
            return self.take(self.number(1 << code - 0xC4))
        if 0xCC <= code <= 0xCF:
            return self.number(1 << code - 0xCC)
        if 0xD0 <= code <= 0xD3:
            return self.number(1 << code - 0xD0, signed=True)
        if 0xD9 <= code <= 0xDB:
            return self.text(self.number(1 << code - 0xD9))
        if code in {0xDC, 0xDD}:
            return self.array(self.number(2 << code - 0xDC), depth)
        rule = "3.3-2" if code == 0xC1 else "3.3-3"
        raise RefusedError(rule, "no value, or a map, float, boolean or extension")

    def array(self, count: int, depth: int) -> list[Any]:
        require("3.3-2", depth <= MAX_DEPTH, "nested too deep")
        return [self.value(depth + 1) for _ in range(count)]

    def text(self, size: int) -> str:
        raw = self.take(size)
        require("3.3-3", raw.isascii(), "text that is not ASCII")
        return raw.decode("ascii")
