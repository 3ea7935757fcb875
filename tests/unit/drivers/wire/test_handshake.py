"""secagg.drivers.wire.handshake: what both sides of it share."""

import pytest

from secagg import errors
from secagg.drivers.wire import admission, handshake, lobby, memory
from secagg.drivers.wire.lobby import Standing
from secagg.drivers.wire.transport import ConnectionLost
from secagg.vector import EnvelopeFrame, envelope_frame, parse_frame
from tests.unit.drivers.wire.test_lobby import (
    AGGREGATOR,
    SILO,
    door,
)


async def test_a_handshake_frame_is_small() -> None:
    near, far = memory.pair()
    await far.send(envelope_frame(bytes(handshake.MAX_HANDSHAKE_FRAME)))
    with pytest.raises(errors.ConnectionRefused, match=r"7\.1-1"):
        await lobby.enter(near, door(SILO), AGGREGATOR, Standing())


def test_frames_of_the_handshake_hold_envelopes() -> None:
    frame = parse_frame(envelope_frame(b"x"))
    assert isinstance(frame, EnvelopeFrame)


async def test_nobody_waits_for_ever_for_a_handshake(monkeypatch) -> None:
    monkeypatch.setattr(handshake, "HANDSHAKE_SECONDS", 0.0)
    near, _far = memory.pair()
    with pytest.raises(ConnectionLost, match="handshake"):
        await lobby.enter(near, door(SILO), AGGREGATOR, Standing())
    with pytest.raises(ConnectionLost, match="handshake"):
        await admission.admit(near, door(AGGREGATOR), lambda peer, sid: None)
