"""Shapes: what a field of a message may be on the wire (spec 3.3-6, 3.7).

Each knows how to pack a typed value into canonical msgpack's types and how to check and
unpack what came. `secagg.codec` composes them into the table of all messages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from secagg import errors
from secagg.crypto import canonical


class Shape(Protocol):
    """What a field may be on the wire."""

    def pack(self, value: Any) -> Any:
        """Turn a typed value into canonical msgpack's types."""

    def unpack(self, raw: Any) -> Any:
        """Turn decoded msgpack into the typed value; raises by rule 3.3-6."""


def need(condition: bool, detail: str) -> None:
    """Refuse a field that is not within its limits (rule 3.3-6)."""
    errors.require("3.3-6", condition, detail, error=errors.CodecError)


@dataclass(frozen=True, slots=True)
class Blob:
    """A byte string of exactly `size`, or of at most `limit`."""

    size: int | None = None
    limit: int = 0

    def pack(self, value: bytes) -> bytes:
        """Return `value` as it is."""
        return bytes(value)

    def unpack(self, raw: Any) -> bytes:
        """Check type and length."""
        need(isinstance(raw, bytes), "a byte string is expected")
        if self.size is None:
            need(len(raw) <= self.limit, f"{len(raw)} bytes exceed {self.limit}")
        else:
            need(len(raw) == self.size, f"{len(raw)} bytes instead of {self.size}")
        return bytes(raw)


@dataclass(frozen=True, slots=True)
class Number:
    """An integer in [low, high]."""

    low: int
    high: int

    def pack(self, value: int) -> int:
        """Return `value` as an int."""
        return int(value)

    def unpack(self, raw: Any) -> int:
        """Check type and range."""
        need(type(raw) is int, "an integer is expected")
        need(self.low <= raw <= self.high, f"{raw} not in {self.low}..{self.high}")
        return int(raw)


@dataclass(frozen=True, slots=True)
class Flag:
    """A truth value, 0 or 1 on the wire."""

    def pack(self, value: bool) -> int:
        """Return 0 or 1."""
        return int(value)

    def unpack(self, raw: Any) -> bool:
        """Check that it is 0 or 1."""
        return bool(Number(0, 1).unpack(raw))


@dataclass(frozen=True, slots=True)
class Real:
    """A finite binary64 in 8 bytes (rule 3.3-5)."""

    def pack(self, value: float) -> bytes:
        """Return the 8 bytes."""
        return canonical.real(value)

    def unpack(self, raw: Any) -> float:
        """Check and decode."""
        return canonical.from_real(Blob(8).unpack(raw))


@dataclass(frozen=True, slots=True)
class Word:
    """ASCII text that matches `pattern`, at most `limit` long."""

    pattern: re.Pattern[str]
    limit: int = 64

    def pack(self, value: str) -> str:
        """Return the text, cut at nothing: callers keep the limit."""
        return str(value)

    def unpack(self, raw: Any) -> str:
        """Check type, length and pattern."""
        need(isinstance(raw, str), "text is expected")
        matched = len(raw) <= self.limit and self.pattern.fullmatch(raw)
        need(bool(matched), f"text of {len(raw)} characters is not allowed here")
        return str(raw)


@dataclass(frozen=True, slots=True)
class Decimal:
    """An integer >= 0 of any size below 2^256, as decimal text."""

    def pack(self, value: int) -> str:
        """Return the digits."""
        return str(value)

    def unpack(self, raw: Any) -> int:
        """Check that it is the plain decimal form."""
        text = Word(re.compile(r"0|[1-9][0-9]*"), 78).unpack(raw)
        return int(text)


@dataclass(frozen=True, slots=True)
class Maybe:
    """`shape`, or nil for None."""

    shape: Shape

    def pack(self, value: Any) -> Any:
        """Return nil for None."""
        return None if value is None else self.shape.pack(value)

    def unpack(self, raw: Any) -> Any:
        """Return None for nil."""
        return None if raw is None else self.shape.unpack(raw)


@dataclass(frozen=True, slots=True)
class Rows:
    """A tuple of at most `limit` values of one shape."""

    shape: Shape
    limit: int = 4096

    def pack(self, value: Sequence[Any]) -> list[Any]:
        """Pack each."""
        return [self.shape.pack(item) for item in value]

    def unpack(self, raw: Any) -> tuple[Any, ...]:
        """Check the count, unpack each."""
        need(isinstance(raw, list | tuple), "an array is expected")
        need(len(raw) <= self.limit, f"{len(raw)} entries exceed {self.limit}")
        return tuple(self.shape.unpack(item) for item in raw)


@dataclass(frozen=True, slots=True)
class Record:
    """A fixed array of named fields, built into `make`."""

    make: Callable[..., Any]
    fields: tuple[tuple[str, Shape], ...]

    def pack(self, value: Any) -> list[Any]:
        """Pack the fields in order."""
        return [shape.pack(getattr(value, name)) for name, shape in self.fields]

    def unpack(self, raw: Any) -> Any:
        """Check the count, unpack the fields in order."""
        need(isinstance(raw, list | tuple), "an array is expected")
        count = len(self.fields)
        need(len(raw) == count, f"{len(raw)} fields instead of {count}")
        pairs = zip(self.fields, raw, strict=True)
        return self.make(**{name: shape.unpack(item) for (name, shape), item in pairs})


@dataclass(frozen=True, slots=True)
class Pair:
    """A plain tuple of two."""

    first: Shape
    second: Shape

    def pack(self, value: tuple[Any, Any]) -> list[Any]:
        """Pack both."""
        return [self.first.pack(value[0]), self.second.pack(value[1])]

    def unpack(self, raw: Any) -> tuple[Any, Any]:
        """Check and unpack both."""
        need(isinstance(raw, list | tuple) and len(raw) == 2, "a pair is expected")
        return self.first.unpack(raw[0]), self.second.unpack(raw[1])


def record(make: Callable[..., Any], **fields: Shape) -> Record:
    """Return the shape of `make`'s keyword arguments, in the order given."""
    return Record(make, tuple(fields.items()))
