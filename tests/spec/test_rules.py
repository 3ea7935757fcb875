"""The rule tables of the spec against the negative vectors."""

import re

import pytest

from tests.spec.vector_files import SPEC, names, refusals, rules

WITHOUT_VECTOR = {("8-4", "s")}
"""Only a second connection shows it: the drivers' tests do (vectors/README.md)."""

NEVER_ALONE = {"3.3-3", "3.4-8", "4.3-4", "4.7-3", "8-4"}
"""What breaks these breaks something else as well, or is ignored, not refused."""

BAD = names(bad=True)


def test_the_spec_has_rules_and_no_number_twice():
    text = (SPEC / "spec.md").read_text("utf-8")
    numbers = re.findall(r"^\| (\d+(?:\.\d+)?-\d+) \|", text, re.MULTILINE)
    assert len(numbers) > 80
    assert len(set(numbers)) == len(numbers) == len(rules())


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_names_rules_of_the_spec(name):
    known = {**rules(), "3.1-1": {"c", "s"}}
    assert refusals(name)
    for refuse in refusals(name):
        assert set(refuse["by"].split()) <= known[refuse["rule"]]


@pytest.mark.parametrize("name", names(bad=False))
def test_a_good_file_refuses_nothing(name):
    assert refusals(name) == []


def test_every_rule_that_a_side_checks_has_a_bad_vector_for_that_side():
    due = {(rule, side) for rule, by in rules().items() for side in by & {"c", "s"}}
    shown = {
        (refuse["rule"], side)
        for name in BAD
        for refuse in refusals(name)
        for side in refuse["by"].split()
    }
    assert due - shown == WITHOUT_VECTOR


def test_every_rule_has_a_vector_that_breaks_it_alone():
    alone = {r["rule"] for name in BAD for r in refusals(name) if r["alone"]}
    checked = {rule for rule, by in rules().items() if by & {"c", "s"}}
    assert checked - alone == NEVER_ALONE


def test_every_rule_number_occurs_in_a_test():
    tests = SPEC.parent / "tests"
    text = "".join(path.read_text("utf-8") for path in sorted(tests.rglob("*.py")))
    named = {rule for rule in rules() if rule in text or _in_a_name(rule) in text}
    assert set(rules()) - named == set()


def _in_a_name(rule):
    return rule.replace(".", "_").replace("-", "_")
