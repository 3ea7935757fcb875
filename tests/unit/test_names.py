"""secagg.names: the rounds and their names."""

import pytest

from secagg.names import Round


def test_the_rounds_come_in_the_order_of_the_protocol() -> None:
    assert [r.name for r in Round] == [
        "MANIFEST",
        "ADVERTISE_KEYS",
        "COIN",
        "SHARE_KEYS",
        "SHARE_ACK",
        "MASKED_INPUT",
        "CONSISTENCY",
        "UNMASKING",
        "RESULT",
    ]


@pytest.mark.parametrize("round_", list(Round))
def test_a_round_prints_as_the_name_of_its_module(round_: Round) -> None:
    assert str(round_) == round_.name.lower()
