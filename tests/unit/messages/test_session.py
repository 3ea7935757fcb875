"""secagg.messages.session: frozen types, and no share shown."""

import re

import pytest

from secagg import messages as msg
from tests.samples import SAMPLES, blob
from tests.unit.messages.frozen import assert_frozen

LOBBY = "secagg.messages.lobby"
KINDS = [kind for kind in SAMPLES if kind.__module__ != LOBBY]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_message_is_frozen(kind) -> None:
    assert_frozen(SAMPLES[kind][0])


def test_unmasking_shows_how_many_shares_and_none_of_them() -> None:
    share = blob(0xAB)
    shown = repr(msg.Unmasking(shares=(share, None, share)))
    assert "2 of 3" in shown
    assert not re.search(r"ab|\\xab", shown)
