"""secagg.events: frozen, keyword-only, and silent about seeds."""

import dataclasses
import typing

import pytest

from secagg import events
from secagg.crypto.prg import Tag
from secagg.engine import MaskSeed
from secagg.names import PeerId, SessionId
from tests.samples import blob

ALL = {
    kind
    for union in (
        events.ClientEvent,
        events.ServerEvent,
        events.ClientEffect,
        events.ServerEffect,
    )
    for kind in typing.get_args(union)
}


def test_every_event_and_effect_is_in_a_union() -> None:
    defined = {
        value
        for value in vars(events).values()
        if isinstance(value, type) and value.__module__ == events.__name__
    }
    # What an effect holds is none itself.
    assert defined - {events.LostMember} == ALL


@pytest.mark.parametrize("kind", sorted(ALL, key=repr))
def test_an_event_is_frozen_and_takes_names_only(kind) -> None:
    values = {item.name: object() for item in dataclasses.fields(kind)}
    made = kind(**values)
    name = next(iter(values))
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made, name, None)
    with pytest.raises(TypeError):
        kind(*values.values())


@pytest.mark.parametrize(
    "effect",
    [
        events.MaskVector(
            sid=SessionId(blob(1)), seeds=(MaskSeed(blob(0xAB), Tag.SELF),), signs=(1,)
        ),
        events.OpenSum(
            u3=(PeerId("u"),),
            seeds=(MaskSeed(blob(0xAB), Tag.SELF),),
            signs=(-1,),
            lost=(
                events.LostMember(
                    sid=SessionId(blob(1)),
                    peer=PeerId("v"),
                    s_sk=blob(0xAB),
                    partners=((PeerId("u"), blob(2)),),
                ),
            ),
        ),
    ],
)
def test_seeds_are_not_shown(effect) -> None:
    assert "seed" not in repr(effect).lower()
    assert "\\xab" not in repr(effect)
