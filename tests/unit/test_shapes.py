"""secagg.shapes: what a field may be; each is refused by 3.3-6 alone."""

import re
from dataclasses import dataclass
from typing import Any

import pytest

from secagg import shapes
from secagg.crypto import canonical
from tests.helpers import refused_rule

WORD = shapes.Word(re.compile("[a-z]*"), 3)
PAIR = shapes.record(dict, x=shapes.Number(0, 9), y=shapes.Flag())

TAKEN = [
    (shapes.Blob(3), b"abc", b"abc"),
    (shapes.Blob(limit=3), b"", b""),
    (shapes.Blob(limit=3), b"abc", b"abc"),
    (shapes.Number(-2, 5), -2, -2),
    (shapes.Number(-2, 5), 5, 5),
    (shapes.Flag(), 0, False),
    (shapes.Flag(), 1, True),
    (shapes.Real(), canonical.real(0.1), 0.1),
    (WORD, "", ""),
    (WORD, "abc", "abc"),
    (shapes.Decimal(), "0", 0),
    (shapes.Decimal(), "9" * 78, 10**78 - 1),
    (shapes.Maybe(WORD), None, None),
    (shapes.Maybe(WORD), "a", "a"),
    (shapes.Rows(WORD, 2), ("a", "b"), ("a", "b")),
    (shapes.Rows(WORD, 2), (), ()),
    (PAIR, (3, 1), {"x": 3, "y": True}),
    (shapes.Pair(WORD, shapes.Flag()), ("a", 1), ("a", True)),
]

REFUSED: list[tuple[Any, list[Any]]] = [
    (shapes.Blob(3), [b"ab", b"abcd", "abc", None, 3]),
    (shapes.Blob(limit=3), [b"abcd", "abc", None]),
    (shapes.Number(-2, 5), [-3, 6, "1", b"1", None, (1,)]),
    (shapes.Flag(), [2, -1, None, "1"]),
    (shapes.Real(), [bytes(7), bytes(9), "12345678", 1]),
    (WORD, ["abcd", "A", b"a", None, 1]),
    (shapes.Decimal(), ["", "00", "01", "-1", "1 ", "1_0", "9" * 79, 1, None]),
    (shapes.Maybe(WORD), ["A", 1]),
    (shapes.Rows(WORD, 2), [("a", "b", "c"), ("A",), "ab", b"", None, 1]),
    (PAIR, [(), (1,), (1, 1, 1), (10, 1), (1, 2), None, "x"]),
    (shapes.Pair(WORD, shapes.Flag()), [("a",), ("a", 1, 1), (1, "a"), None]),
]


@pytest.mark.parametrize(("shape", "raw", "value"), TAKEN)
def test_what_a_shape_takes_it_gives_back(shape, raw, value) -> None:
    assert shape.unpack(raw) == value
    assert type(shape.unpack(raw)) is type(value)


@pytest.mark.parametrize(
    ("shape", "raw"), [(shape, raw) for shape, many in REFUSED for raw in many]
)
def test_what_a_shape_does_not_take_is_refused_by_3_3_6(shape, raw) -> None:
    assert refused_rule(shape.unpack, raw) == "3.3-6"


@pytest.mark.parametrize(
    ("shape", "raw", "value"), [row for row in TAKEN if not isinstance(row[2], dict)]
)
def test_packing_is_the_way_back(shape, raw, value) -> None:
    assert canonical.pack(shape.pack(value)) == canonical.pack(raw)


@pytest.mark.parametrize(("shape", "raw", "value"), TAKEN)
@pytest.mark.parametrize("count", [0, 1, 3])
def test_many_values_are_taken_as_each_of_them(shape, raw, value, count) -> None:
    found = list(shape.unpack_all([raw] * count))
    assert found == [value] * count
    assert all(type(one) is type(value) for one in found)
    if not isinstance(value, dict):
        assert list(shape.pack_all([value] * count)) == [shape.pack(value)] * count


def test_values_of_one_column_may_differ() -> None:
    shape = shapes.Maybe(PAIR)
    raws = [(3, 1), None, (4, 0)]
    found = shape.unpack_all(raws)
    assert list(found) == [shape.unpack(raw) for raw in raws]


@pytest.mark.parametrize(
    ("shape", "raw"), [(shape, raw) for shape, many in REFUSED for raw in many]
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_bad_value_among_many_is_refused_by_3_3_6(shape, raw, place) -> None:
    good = next(taken for one, taken, _ in TAKEN if one is shape or one == shape)
    many = [good, good]
    many.insert(place, raw)
    assert refused_rule(shape.unpack_all, many) == "3.3-6"


class Text(str):
    __slots__ = ()


def test_subclasses_of_the_plain_types_are_packed_as_what_they_are() -> None:
    assert WORD.pack_all([Text("a"), "b"]) == ["a", "b"]
    assert {type(one) for one in WORD.pack_all([Text("a"), "b"])} == {str}
    mixed: list[Any] = [bytearray(b"ab"), b"c"]
    packed = shapes.Blob(limit=3).pack_all(mixed)
    assert packed == [b"ab", b"c"]
    assert {type(one) for one in packed} == {bytes}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    x: int
    y: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked(Plain):
    def __post_init__(self):
        if self.x == 4:
            raise ValueError("four")


@dataclass(frozen=True, kw_only=True)
class Slotless:
    x: int
    y: bool


@pytest.mark.parametrize("make", [Plain, Checked, Slotless, dict])
def test_rows_made_column_by_column_are_those_made_one_by_one(make) -> None:
    shape = shapes.record(make, x=shapes.Number(0, 9), y=shapes.Flag())
    raws = [(3, 1), [5, 0]]
    assert shape.unpack_all(raws) == [make(x=3, y=True), make(x=5, y=False)]
    assert {type(one) for one in shape.unpack_all(raws)} == {make}


def test_what_a_class_checks_itself_is_checked_in_columns_too() -> None:
    shape = shapes.record(Checked, x=shapes.Number(0, 9), y=shapes.Flag())
    with pytest.raises(ValueError, match="four"):
        shape.unpack_all([(3, 1), (4, 1)])


def test_a_record_packs_its_fields_by_name_and_in_order() -> None:
    class Made:
        x, y = 3, True

    assert PAIR.pack(Made()) == [3, 1]


def test_a_word_must_match_as_a_whole() -> None:
    three = shapes.Word(re.compile("abc"))
    assert refused_rule(three.unpack, "abcd") == "3.3-6"
    assert refused_rule(three.unpack, "abc\n") == "3.3-6"
