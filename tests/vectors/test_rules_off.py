"""With its rule switched off, a bad vector is not refused by it: both of them bite.

Where the file says that nothing else is wrong (`alone`), no other rule refuses it then.
"""

import re

import msgpack
import pytest

from tests.rules_off import switched_off
from tests.vectors.files import content, unhex
from tests.vectors.refusals import everything

BAD = everything()
RULE = re.compile(r"\d+(\.\d+)?-\d+")


def is_unreadable(bad):
    """Whether the bytes say nothing, or are of a type that nothing is known of.

    There is nothing to go on with, so they are refused outside the one door; their
    rules have other vectors.
    """
    if bad.name.startswith("encoding_bad_bytes"):
        place = int(bad.name.partition("[")[2][:-1])
        case = content("encoding_bad_bytes")["cases"][place]
        return "data" in case and not is_msgpack(unhex(case["data"]))
    return bad.name.endswith(("_bad_cut_off", "_bad_type")) and bad.rule[0] == "3"


def is_msgpack(data):
    """Whether there is any value at the beginning."""
    unpacker = msgpack.Unpacker(strict_map_key=False, max_buffer_size=1 << 20)
    unpacker.feed(data)
    try:
        unpacker.unpack()
    except (ValueError, msgpack.UnpackException):
        return False
    return True


SWITCHED = [bad for bad in BAD if not is_unreadable(bad)]


def attempted(bad):
    """What comes of it: a rule, the name of what went wrong further on, or None."""
    try:
        return bad.attempt()
    except Exception as error:  # noqa: BLE001 what the rule held back may fail anyhow
        return type(error).__name__


@pytest.mark.parametrize("bad", SWITCHED, ids=lambda bad: bad.name)
def test_a_bad_vector_is_not_refused_by_a_rule_that_is_off(bad) -> None:
    with switched_off(bad.rule):
        found = attempted(bad)
    assert found != bad.rule
    if bad.alone:
        assert found is None or not RULE.fullmatch(found), found


def test_every_rule_that_a_vector_names_bites_in_one_that_can_be_switched_off() -> None:
    assert {bad.rule for bad in SWITCHED} == {bad.rule for bad in BAD}
