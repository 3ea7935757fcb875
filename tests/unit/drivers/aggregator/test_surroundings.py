"""secagg.drivers.aggregator.surroundings: what a session acts on stays as it is."""

import dataclasses

import pytest

from secagg.drivers.aggregator.surroundings import Surroundings


def test_every_part_has_to_be_given() -> None:
    with pytest.raises(TypeError, match="journal"):
        Surroundings()  # type: ignore[call-arg]  # that is the point


def test_a_session_cannot_change_what_it_acts_on() -> None:
    parts = dict.fromkeys(item.name for item in dataclasses.fields(Surroundings))
    around = Surroundings(**parts)  # type: ignore[arg-type]  # no part is used
    with pytest.raises(dataclasses.FrozenInstanceError):
        around.reconnect_seconds = 0.0  # type: ignore[misc]  # that is the point
