"""secagg.messages.lobby: frozen types under the zero sid."""

import pytest

from secagg import messages as msg
from tests.samples import SAMPLES
from tests.unit.messages.frozen import assert_frozen

LOBBY = "secagg.messages.lobby"
KINDS = [kind for kind in SAMPLES if kind.__module__ == LOBBY]


def test_the_lobby_has_the_types_of_section_8() -> None:
    assert [kind.__name__ for kind in KINDS] == [
        "Challenge",
        "Hello",
        "Welcome",
        "Rosters",
        "RoundOpen",
        "Ready",
        "Declined",
        "Missed",
        "Fetch",
        "Catchup",
        "History",
    ]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_message_is_frozen(kind) -> None:
    assert_frozen(SAMPLES[kind][0])


def test_lobby_messages_have_the_zero_sid() -> None:
    assert bytes(32) == msg.LOBBY_SID
