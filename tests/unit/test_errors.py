"""secagg.errors: what an error tells its reader, and the door for checks."""

import inspect

import pytest

from secagg import errors

ALL = [
    error
    for _, error in inspect.getmembers(errors, inspect.isclass)
    if issubclass(error, Exception)
]


@pytest.mark.parametrize("error", ALL)
def test_every_error_is_caught_by_the_root(error) -> None:
    assert issubclass(error, errors.SecaggError)


@pytest.mark.parametrize("error", ALL)
def test_every_error_but_the_root_is_drawn_in_the_tree(error) -> None:
    assert errors.__doc__ is not None
    assert error.__name__ in errors.__doc__


def test_a_codec_error_is_a_breach_by_a_peer() -> None:
    assert issubclass(errors.CodecError, errors.RemoteProtocolError)


def test_require_lets_a_kept_rule_pass() -> None:
    errors.require("4.6-2", 1 < 2, "1 is not below 2", ["b"])


def test_require_raises_with_rule_detail_and_sorted_culprits() -> None:
    with pytest.raises(errors.RemoteProtocolError) as caught:
        errors.require("4.6-2", 2 < 1, "2 is not below 1", {"c", "a", "b"})
    assert caught.value.rule == "4.6-2"
    assert caught.value.detail == "2 is not below 1"
    assert caught.value.culprits == ("a", "b", "c")


def test_require_raises_the_class_it_is_given() -> None:
    with pytest.raises(errors.CodecError) as caught:
        errors.require("3.3-2", 2 < 1, "2 bytes follow", error=errors.CodecError)
    assert caught.value.rule == "3.3-2"


def test_a_remote_error_reads_as_rule_detail_and_culprits() -> None:
    error = errors.RemoteProtocolError("4.5-2", "|U3| = 2 is below 3", ["b", "a"])
    assert str(error) == "rule 4.5-2: |U3| = 2 is below 3 [a, b]"


def test_a_remote_error_with_no_proved_culprit_names_none() -> None:
    error = errors.RemoteProtocolError("4.5-2", "|U3| = 2 is below 3")
    assert error.culprits == ()
    assert str(error) == "rule 4.5-2: |U3| = 2 is below 3"


def test_an_abort_reads_as_rule_detail_and_the_missing_sorted() -> None:
    error = errors.SessionAborted("4.3-1", "|U2| = 2 is below 3", ["d", "c"])
    assert error.code == "4.3-1"
    assert error.missing == ("c", "d")
    assert str(error) == (
        "session aborted by rule 4.3-1: |U2| = 2 is below 3; missing: c, d"
    )


def test_an_abort_with_nobody_missing_names_none() -> None:
    error = errors.SessionAborted("4.3-1", "withdrawn")
    assert str(error) == "session aborted by rule 4.3-1: withdrawn"
