"""The registry of checks."""

import pytest

from secagg import robust


def test_the_checks_are_these_and_the_exact_one_is_first():
    assert list(robust.CHECKS) == ["exact-bounds", "cosine-to-previous"]


@pytest.mark.parametrize("name", list(robust.CHECKS))
def test_a_check_is_found_under_its_own_name(name):
    assert robust.CHECKS[name].name == name
