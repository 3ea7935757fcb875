"""The registry of mechanisms and the words of the Manifest."""

import pytest

from secagg import errors, privacy
from secagg.sensitivity import Adjacency


def test_the_mechanisms_are_these():
    assert set(privacy.MECHANISMS) == {"discrete-gaussian", "none"}


@pytest.mark.parametrize("name", sorted(privacy.MECHANISMS))
def test_a_mechanism_is_found_under_its_own_name(name):
    assert privacy.named_mechanism(name).name == name


def test_an_unknown_mechanism_is_refused_with_the_known_ones():
    with pytest.raises(errors.ParameterError, match="known: discrete-gaussian, none"):
        privacy.named_mechanism("laplace")


def test_the_adjacencies_are_those_of_the_spec():
    assert [str(a) for a in Adjacency] == ["zero-out", "replace-one"]
