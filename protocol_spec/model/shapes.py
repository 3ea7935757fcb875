"""Shapes: what a field of a message may be (rule 3.3-6), and its JSON Schema.

In the schema a byte string is base16 text, a real its 8 bytes, and a body an array.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from protocol_spec.model.encoding import from_real
from protocol_spec.model.refusal import require

Json = dict[str, Any]


@dataclass(frozen=True)
class Bytes:
    """A byte string of low..high bytes."""

    low: int
    high: int

    def check(self, value: Any) -> None:
        """Rule 3.3-6."""
        require("3.3-6", isinstance(value, bytes), "not a byte string")
        fits = self.low <= len(value) <= self.high
        require("3.3-6", fits, f"{len(value)} bytes, not {self.low}..{self.high}")

    def schema(self) -> Json:
        """Two digits a byte."""
        return {
            "type": "string",
            "contentEncoding": "base16",
            "pattern": "^([0-9a-f]{2})*$",
            "minLength": 2 * self.low,
            "maxLength": 2 * self.high,
        }


@dataclass(frozen=True)
class Real:
    """8 bytes of binary64."""

    def check(self, value: Any) -> None:
        """Rules 3.3-5, 3.3-6."""
        Bytes(8, 8).check(value)
        from_real(value)

    def schema(self) -> Json:
        """Its 8 bytes."""
        comment = "binary64, little endian, finite, not negative zero"
        return {"$comment": comment, **Bytes(8, 8).schema()}


@dataclass(frozen=True)
class Int:
    """An integer in low..high."""

    low: int
    high: int

    def check(self, value: Any) -> None:
        """Rule 3.3-6."""
        require("3.3-6", type(value) is int, "not an integer")
        fits = self.low <= value <= self.high
        require("3.3-6", fits, f"{value} is not in {self.low}..{self.high}")

    def schema(self) -> Json:
        """Its range."""
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


@dataclass(frozen=True)
class Text:
    """ASCII text that matches a pattern."""

    pattern: str

    def check(self, value: Any) -> None:
        """Rule 3.3-6."""
        require("3.3-6", isinstance(value, str), "not text")
        matches = re.fullmatch(self.pattern, value)
        require("3.3-6", matches, f"text that does not match {self.pattern}")

    def schema(self) -> Json:
        """Its pattern."""
        return {"type": "string", "pattern": f"^({self.pattern})$"}


@dataclass(frozen=True)
class Maybe:
    """Something, or nil."""

    of: Shape

    def check(self, value: Any) -> None:
        """Rule 3.3-6."""
        if value is not None:
            self.of.check(value)

    def schema(self) -> Json:
        """Either."""
        return {"oneOf": [self.of.schema(), {"type": "null"}]}


@dataclass(frozen=True)
class Rows:
    """At most `most` values of one shape."""

    of: Shape
    most: int = 4096

    def check(self, value: Any) -> None:
        """Rule 3.3-6."""
        require("3.3-6", isinstance(value, list), "not an array")
        require("3.3-6", len(value) <= self.most, f"more than {self.most} entries")
        for item in value:
            self.of.check(item)

    def schema(self) -> Json:
        """An array of one kind of item."""
        return {"type": "array", "items": self.of.schema(), "maxItems": self.most}


@dataclass(frozen=True)
class Record:
    """An array of exactly these fields, in order."""

    fields: tuple[tuple[str, Shape], ...]

    def check(self, value: Any) -> None:
        """Rule 3.3-6."""
        require("3.3-6", isinstance(value, list), "not an array")
        count = len(self.fields)
        require("3.3-6", len(value) == count, f"not {count} fields")
        for (_, shape), item in zip(self.fields, value, strict=True):
            shape.check(item)

    def schema(self) -> Json:
        """A tuple; each place has the field's name as its title."""
        places = [{"title": name, **shape.schema()} for name, shape in self.fields]
        count = len(places)
        return {
            "type": "array",
            "prefixItems": places,
            "items": False,
            "minItems": count,
            "maxItems": count,
        }


Shape = Bytes | Real | Int | Text | Maybe | Rows | Record


def record(**fields: Shape) -> Record:
    """The record of these fields, in order."""
    return Record(tuple(fields.items()))
