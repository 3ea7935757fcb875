"""Events of the aggregator's machine as bytes, and back (rule 9-3)."""

from __future__ import annotations

from typing import Final

from secagg import codec, errors, events
from secagg import messages as msg
from secagg.crypto import canonical
from secagg.names import PeerId, Round

_MAX_EVENT: Final = 64 << 20


def encode_event(event: events.ServerEvent) -> bytes:
    """Return an event as it is journaled."""
    match event:
        case events.Received():
            envelope = codec.encode_envelope(event.envelope)
            return canonical.pack(["Received", event.peer, envelope])
        case events.VectorStored():
            return canonical.pack(["VectorStored", event.peer, event.root])
        case events.SumOpened():
            return canonical.pack(["SumOpened", codec.encode_body(event.result)])
        case events.DeadlinePassed():
            return canonical.pack(["DeadlinePassed", event.round.value])
        case events.Stopped():
            return canonical.pack(["Stopped", event.code, event.reason])


def decode_event(data: bytes, *, members: int) -> events.ServerEvent:
    """Return the event that `data` journals.

    Raises:
        StateError: it is none.
    """
    try:
        return _decode_event(canonical.unpack(data, _MAX_EVENT), members)
    except (errors.CodecError, ValueError) as error:
        raise errors.StateError(f"the journal holds no event: {error}") from None


def _decode_event(value: object, members: int) -> events.ServerEvent:
    match value:
        case ("Received", str(peer), bytes(data)):
            envelope = codec.decode_envelope(data, members=members)
            return events.Received(peer=PeerId(peer), envelope=envelope)
        case ("VectorStored", str(peer), bytes(root)):
            return events.VectorStored(peer=PeerId(peer), root=root)
        case ("SumOpened", bytes(body)):
            result = codec.decode_body("Result", body, members=members)
            if isinstance(result, msg.Result):
                return events.SumOpened(result=result)
        case ("DeadlinePassed", str(name)):
            return events.DeadlinePassed(round=Round(name))
        case ("Stopped", str(code), str(reason)):
            return events.Stopped(code=code, reason=reason)
        case _:
            pass
    raise ValueError("an unknown kind of event")
