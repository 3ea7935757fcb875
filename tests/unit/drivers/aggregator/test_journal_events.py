import pytest

from secagg import errors, events
from secagg.crypto import canonical
from secagg.drivers.aggregator.journal_events import decode_event, encode_event
from secagg.messages import BlobRef, CheckVerdict, Envelope, NoiseRecord, Result
from secagg.names import PeerId, Round, SessionId

ENVELOPE = Envelope(
    type="ShareAck",
    sid=SessionId(bytes(32)),
    sender=PeerId("a"),
    receiver=PeerId("s"),
    body=b"\x91\xc4\x01\x07",
    signature=bytes(64),
)
RESULT = Result(
    status="released",
    u3=(PeerId("a"), PeerId("b")),
    verdicts=(CheckVerdict(check="exact-bounds", passed=True, detail="within"),),
    dp=NoiseRecord(
        mechanism="discrete-gaussian",
        noise_multiplier=1.5,
        sigma_squared=1 << 70,
        sensitivity_squared=9,
    ),
    extras=(("count", -3),),
    vector=BlobRef(hash=bytes(32), size=40, width=4),
    next_model_hash=bytes(32),
    epsilon=0.5,
)
EVENTS = [
    events.Received(peer=PeerId("a"), envelope=ENVELOPE),
    events.VectorStored(peer=PeerId("a"), root=bytes(32)),
    events.SumOpened(result=RESULT),
    events.DeadlinePassed(round=Round.SHARE_KEYS),
    events.Stopped(code="0-1", reason="stopped"),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_is_read_back_as_it_was(event) -> None:
    assert decode_event(encode_event(event), members=4) == event


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        canonical.pack(["Nothing"]),
        canonical.pack(["DeadlinePassed", "lunch"]),
        canonical.pack(["Received", "a"]),
        canonical.pack(["Received", "a", b"no envelope"]),
    ],
)
def test_bytes_that_are_no_event_are_a_state_error(data) -> None:
    with pytest.raises(errors.StateError, match="journal"):
        decode_event(data, members=4)
