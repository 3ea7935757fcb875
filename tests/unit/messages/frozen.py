"""What every message type has in common."""

import dataclasses

import pytest


def assert_frozen(message) -> None:
    """No field of a message can be set."""
    name = dataclasses.fields(message)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(message, name, None)
