"""The tables of attacks in SECURITY.md: all of them, and what they name is run."""

import ast
import functools
import pathlib
import re

from tests.attacks.test_attacks import ATTACKS

ROOT = pathlib.Path(__file__).parents[2]
ROW = re.compile(r"^\| (\d+)(\*?) \| (.+) \| (.+) \| (.+) \|$", re.MULTILINE)
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
KNOWN, ON_ROSTERS = 54, 5
DOES_NOT_APPLY = {52}


def rows():
    text = (ROOT / "SECURITY.md").read_text("utf-8")
    return {
        int(number): (star, tests) for number, star, _, _, tests in ROW.findall(text)
    }


@functools.cache
def functions(path):
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


def test_every_attack_has_a_row() -> None:
    assert [*rows()] == [*range(1, KNOWN + ON_ROSTERS + 1)]


def test_what_a_row_names_exists() -> None:
    for number, (_, tests) in rows().items():
        named = NAMED.findall(tests)
        assert bool(named) == (number not in DOES_NOT_APPLY)
        for path, name in named:
            assert name in functions(path), (number, path, name)


def test_a_row_names_exactly_its_attacks_with_a_switch() -> None:
    for number, (star, tests) in rows().items():
        named = {n for path, n in NAMED.findall(tests) if "tests/attacks/" in path}
        mounted = {a.wins.__name__ for a in ATTACKS if a.number == number}
        assert named == mounted
        assert bool(star) == (not mounted)
