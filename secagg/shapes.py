"""Shapes: what a field of a message may be on the wire (spec 3.3-6, 3.7).

Each knows how to pack a typed value into canonical msgpack's types and how to check and
unpack what came. `secagg.codec` composes them into the table of all messages.

The lists of a session have an entry a member, and the aggregator reads a list from
every member: a million entries at a thousand. So a shape also takes all values of a
field at once, a column of the list, and checks them in loops that the interpreter runs
in C; where something is wrong, one by one, to say what.
"""

from __future__ import annotations

import abc
import collections
import dataclasses
import functools
import itertools
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from secagg import errors
from secagg.crypto import canonical


class Shape(abc.ABC):
    """What a field may be on the wire."""

    __slots__ = ()

    @abc.abstractmethod
    def pack(self, value: Any) -> Any:
        """Turn a typed value into canonical msgpack's types."""

    @abc.abstractmethod
    def unpack(self, raw: Any) -> Any:
        """Turn decoded msgpack into the typed value; raises by rule 3.3-6."""

    def pack_all(self, values: Sequence[Any]) -> Sequence[Any]:
        """Pack each of many."""
        return [self.pack(value) for value in values]

    def unpack_all(self, raws: Sequence[Any]) -> Sequence[Any]:
        """Unpack each of many; raises by rule 3.3-6."""
        return [self.unpack(raw) for raw in raws]


def need(condition: bool, detail: str) -> None:
    """Refuse a field that is not within its limits (rule 3.3-6)."""
    errors.require("3.3-6", condition, detail, error=errors.CodecError)


@dataclass(frozen=True, slots=True)
class Blob(Shape):
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

    def pack_all(self, values: Sequence[bytes]) -> Sequence[bytes]:
        """Return the values as they are."""
        return (
            values
            if set(map(type, values)) <= {bytes}
            else Shape.pack_all(self, values)
        )

    def unpack_all(self, raws: Sequence[Any]) -> Sequence[bytes]:
        """Check types and lengths."""
        if set(map(type, raws)) <= {bytes}:
            sizes = set(map(len, raws))
            fit = max(sizes, default=0) <= self.limit
            if sizes <= {self.size} or (self.size is None and fit):
                return raws
        return Shape.unpack_all(self, raws)


@dataclass(frozen=True, slots=True)
class Number(Shape):
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
class Flag(Shape):
    """A truth value, 0 or 1 on the wire."""

    def pack(self, value: bool) -> int:
        """Return 0 or 1."""
        return int(value)

    def unpack(self, raw: Any) -> bool:
        """Check that it is 0 or 1."""
        return bool(Number(0, 1).unpack(raw))


@dataclass(frozen=True, slots=True)
class Real(Shape):
    """A finite binary64 in 8 bytes (rule 3.3-5)."""

    def pack(self, value: float) -> bytes:
        """Return the 8 bytes."""
        return canonical.real(value)

    def unpack(self, raw: Any) -> float:
        """Check and decode."""
        return canonical.from_real(Blob(8).unpack(raw))


@dataclass(frozen=True, slots=True)
class Word(Shape):
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

    def pack_all(self, values: Sequence[str]) -> Sequence[str]:
        """Return the texts."""
        return (
            values if set(map(type, values)) <= {str} else Shape.pack_all(self, values)
        )

    def unpack_all(self, raws: Sequence[Any]) -> Sequence[str]:
        """Check types, lengths and the pattern."""
        if set(map(type, raws)) <= {str}:
            fit = max(map(len, raws), default=0) <= self.limit
            if fit and all(map(self.pattern.fullmatch, raws)):
                return raws
        return Shape.unpack_all(self, raws)


@dataclass(frozen=True, slots=True)
class Decimal(Shape):
    """An integer >= 0 of any size below 2^256, as decimal text."""

    def pack(self, value: int) -> str:
        """Return the digits."""
        return str(value)

    def unpack(self, raw: Any) -> int:
        """Check that it is the plain decimal form."""
        text = Word(re.compile(r"0|[1-9][0-9]*"), 78).unpack(raw)
        return int(text)


@dataclass(frozen=True, slots=True)
class Maybe(Shape):
    """`shape`, or nil for None."""

    shape: Shape

    def pack(self, value: Any) -> Any:
        """Return nil for None."""
        return None if value is None else self.shape.pack(value)

    def unpack(self, raw: Any) -> Any:
        """Return None for nil."""
        return None if raw is None else self.shape.unpack(raw)

    def pack_all(self, values: Sequence[Any]) -> Sequence[Any]:
        """Return nil for each None."""
        return _where_given(self.shape.pack_all, values)

    def unpack_all(self, raws: Sequence[Any]) -> Sequence[Any]:
        """Return None for each nil."""
        return _where_given(self.shape.unpack_all, raws)


def _where_given(
    many: Callable[[Sequence[Any]], Sequence[Any]], values: Sequence[Any]
) -> Sequence[Any]:
    """Apply `many` to the values that are not None; leave the others in place."""
    given = [value for value in values if value is not None]
    done = iter(many(given))
    return [None if value is None else next(done) for value in values]


@dataclass(frozen=True, slots=True)
class Rows(Shape):
    """A tuple of at most `limit` values of one shape."""

    shape: Shape
    limit: int = 4096

    def pack(self, value: Sequence[Any]) -> list[Any]:
        """Pack each."""
        return list(self.shape.pack_all(value))

    def unpack(self, raw: Any) -> tuple[Any, ...]:
        """Check the count, unpack each."""
        need(isinstance(raw, list | tuple), "an array is expected")
        need(len(raw) <= self.limit, f"{len(raw)} entries exceed {self.limit}")
        return tuple(self.shape.unpack_all(raw))


@dataclass(frozen=True, slots=True)
class Record(Shape):
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

    def pack_all(self, values: Sequence[Any]) -> Sequence[list[Any]]:
        """Pack column by column."""
        columns = [
            shape.pack_all([*map(operator.attrgetter(name), values)])
            for name, shape in self.fields
        ]
        return [list(row) for row in zip(*columns, strict=True)]

    def unpack_all(self, raws: Sequence[Any]) -> Sequence[Any]:
        """Check the counts, unpack column by column."""
        columns = columns_of(raws, len(self.fields))
        if columns is None:
            return Shape.unpack_all(self, raws)
        unpacked = {
            name: shape.unpack_all(column)
            for (name, shape), column in zip(self.fields, columns, strict=True)
        }
        return made(self.make, unpacked, len(raws))


def made(
    make: Callable[..., Any], columns: Mapping[str, Sequence[Any]], count: int
) -> list[Any]:
    """Return `make(**row)` for each of `count` rows.

    A plain frozen class is filled slot by slot, all values of a column at once: its
    own `__init__` goes through `object.__setattr__` and takes six times as long.

    Args:
        make: a class, or what makes a value of keyword arguments.
        columns: by field, each of `count` values that fit it.
        count: how many.
    """
    if not _is_plain(make, tuple(columns)):
        rows = zip(*columns.values(), strict=True)
        return [make(**dict(zip(columns, row, strict=True))) for row in rows]
    blank: Any = object.__new__
    rows_made = list(map(blank, itertools.repeat(make, count)))
    for name, column in columns.items():
        fill = getattr(make, name).__set__
        collections.deque(map(fill, rows_made, column), maxlen=0)
    return rows_made


@functools.cache
def _is_plain(make: Callable[..., Any], names: tuple[str, ...]) -> bool:
    """Return whether `make` is a class with slots for these fields and nothing else."""
    if not (isinstance(make, type) and dataclasses.is_dataclass(make)):
        return False
    fields = {item.name for item in dataclasses.fields(make)}
    return fields == {*names} == {*vars(make).get("__slots__", ())} and not hasattr(
        make, "__post_init__"
    )


def columns_of(raws: Sequence[Any], count: int) -> list[tuple[Any, ...]] | None:
    """Return the columns of arrays that have `count` fields each; None for others."""
    arrays = set(map(type, raws)) <= {list, tuple}
    if not raws or not arrays or set(map(len, raws)) != {count}:
        return None
    return [tuple(map(operator.itemgetter(place), raws)) for place in range(count)]


@dataclass(frozen=True, slots=True)
class Pair(Shape):
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
