"""secagg.jsontext: files for people, read strictly."""

import json
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import errors, jsontext

FORMAT = "secagg-test/1"
TEXT = jsontext.write(FORMAT, {"size": 3, "key": "00ff"})


def read(text):
    return jsontext.read("the test", text, FORMAT, ("size", "key"))


def test_what_is_written_is_read() -> None:
    assert read(TEXT) == {"format": FORMAT, "size": 3, "key": "00ff"}


def test_a_file_has_a_line_for_each_field() -> None:
    assert TEXT.splitlines()[2] == '  "size": 3,'
    assert TEXT.endswith("}\n")


def test_the_error_for_broken_json_names_the_line() -> None:
    with pytest.raises(errors.ParameterError, match="line 4"):
        read(TEXT.replace("3,", "3"))


def test_another_format_is_refused_by_name() -> None:
    with pytest.raises(errors.ParameterError, match="secagg-other/1"):
        read(TEXT.replace(FORMAT, "secagg-other/1"))


@pytest.mark.parametrize("value", [None, 3, "text", [], [FORMAT], {}])
def test_a_file_that_names_no_format_is_refused(value) -> None:
    with pytest.raises(errors.ParameterError, match="None"):
        read(json.dumps(value))


@pytest.mark.parametrize("names", [("size",), ("size", "key", "note"), ("size", "kez")])
def test_only_exactly_the_named_fields_are_accepted(names) -> None:
    with pytest.raises(errors.ParameterError, match="size"):
        jsontext.read("the test", TEXT, FORMAT, names)


@pytest.mark.parametrize("twice", ['"size": 4, "size": 3', '"a": {"b": 0, "b": 0}'])
def test_a_field_given_twice_is_refused_at_any_depth(twice) -> None:
    with pytest.raises(errors.ParameterError, match="twice"):
        read(TEXT.replace('"size": 3', twice))


def test_json_nested_without_end_is_refused() -> None:
    with pytest.raises(errors.ParameterError, match="the test is not JSON"):
        read("[" * 200_000)


VALUES: list[object] = [None, True, 3, 3.0, "3", [], {}]


def passes(value, kind):
    try:
        return jsontext.typed("it", value, kind) is value
    except errors.ParameterError:
        return False


@pytest.mark.parametrize("kind", [bool, int, float, str, list, dict])
def test_each_value_has_one_type_and_passes_as_no_other(kind) -> None:
    passed = [value for value in VALUES if passes(value, kind)]
    assert [type(value) for value in passed] == [kind]


def test_the_error_for_a_wrong_type_names_both() -> None:
    with pytest.raises(errors.ParameterError, match="it is of type bool, not int"):
        jsontext.typed("it", True, int)


@given(st.binary(min_size=1, max_size=40))
def test_bytes_are_spelled_in_hexadecimal_digits(data) -> None:
    assert jsontext.blob("it", data.hex(), len(data)) == data


@pytest.mark.parametrize("spelt", ["", "00f", "00ff00", "00FF", "0x0f", "00f\n", 255])
def test_any_other_spelling_is_refused(spelt) -> None:
    with pytest.raises(errors.ParameterError, match="4 hexadecimal"):
        jsontext.blob("it", spelt, 2)


def test_a_refused_spelling_is_not_repeated_in_the_error() -> None:
    with pytest.raises(errors.ParameterError) as caught:
        jsontext.blob("it", "5ec2e7" * 3, 2)
    assert "5ec2e7" not in "".join(traceback.format_exception_only(caught.value))


def test_broken_json_is_not_repeated_in_the_error() -> None:
    with pytest.raises(errors.ParameterError) as caught:
        read('{"seed": "5ec2e7" oops')
    assert "5ec2e7" not in str(caught.value)
    assert caught.value.__suppress_context__
