"""secagg.drivers.aggregator.quotas: what a hospital may send, and how often (8-7)."""

import contextlib

import pytest

from secagg import codec, errors, packing, vector
from secagg.drivers.aggregator.quotas import (
    BREACHES,
    CONNECTIONS,
    LOBBY_BYTES,
    RENEWAL_SECONDS,
    Quota,
    Quotas,
    largest_frame,
    largest_message,
    outbox_bytes,
)
from secagg.field import MAX_WIDTH
from secagg.names import PeerId, SessionId
from secagg.transitions import ServerPhase
from tests.drivers.fake_clock import FakeClock
from tests.helpers import refused_rule, scene

A, B = PeerId("a"), PeerId("b")
SAID = 1000


def spent(quota: Quota, phase: str, said: int = SAID) -> int:
    """How many bytes of messages are taken in this phase."""
    count = 0
    while not _refused(quota, phase, said):
        count += 500
    return count


def _refused(quota: Quota, phase: str, said: int) -> bool:
    with contextlib.suppress(errors.RemoteProtocolError):
        quota.message(500, phase, said)
        return False
    return refused_rule(quota.message, 500, phase, said) == "7.1-1"


def test_a_phase_takes_what_was_said_twice_and_the_lobby_and_no_more() -> None:
    most = LOBBY_BYTES + 2 * SAID
    assert most - 500 < spent(Quota(FakeClock()), "share_keys") <= most


def test_each_further_connection_may_say_it_again() -> None:
    quota = Quota(FakeClock())
    quota.message(500, "share_keys", SAID)
    quota.connected(A)
    most = LOBBY_BYTES + 4 * SAID
    assert most - 1000 < spent(quota, "share_keys") <= most - 500


def test_a_new_phase_is_counted_anew() -> None:
    quota = Quota(FakeClock())
    for phase in range(100):
        quota.message(LOBBY_BYTES, phase, SAID)


def test_a_long_phase_renews_messages_and_not_chunks() -> None:
    clock = FakeClock()
    quota = Quota(clock)
    quota.chunk(100, "masked_input", 100, 40)
    for _ in range(100):
        quota.message(LOBBY_BYTES, "masked_input", SAID)
        clock.time_ms += int(RENEWAL_SECONDS * 1000)
    assert refused_rule(quota.chunk, 1, "masked_input", 100, 40) == "7.1-1"


def test_a_vector_comes_once_to_the_byte() -> None:
    quota = Quota(FakeClock())
    quota.chunk(60, "masked_input", 100, 60)
    quota.chunk(40, "masked_input", 100, 60)
    assert refused_rule(quota.chunk, 1, "masked_input", 100, 60) == "7.1-1"


def test_a_cut_line_may_repeat_what_was_on_its_way_and_not_the_vector() -> None:
    quota = Quota(FakeClock())
    quota.chunk(1000, "masked_input", 1000, 10)
    quota.connected(A)
    quota.chunk(100, "masked_input", 1000, 10)
    assert refused_rule(quota.chunk, 1, "masked_input", 1000, 10) == "7.1-1"


def test_chunks_of_no_session_are_few() -> None:
    clock = FakeClock()
    quota = Quota(clock)
    for _ in range(10):
        quota.stray(100, 100)
    assert refused_rule(quota.stray, 1, 100) == "7.1-1"
    clock.time_ms += int(RENEWAL_SECONDS * 1000)
    quota.stray(100, 100)


def test_connections_have_a_rate() -> None:
    clock = FakeClock()
    quota = Quota(clock)
    for _ in range(CONNECTIONS):
        quota.connected(A)
    assert refused_rule(quota.connected, A) == "8-7"
    clock.time_ms += 1000
    quota.connected(A)
    assert refused_rule(quota.connected, A) == "8-7"


def test_who_breaks_rules_again_and_again_is_let_in_once_a_minute() -> None:
    clock = FakeClock()
    quota = Quota(clock)
    for _ in range(BREACHES):
        quota.connected(A)
        quota.breached()
    assert refused_rule(quota.connected, A) == "8-7"
    clock.time_ms += 60_000
    quota.connected(A)
    quota.breached()
    assert refused_rule(quota.connected, A) == "8-7"


def test_the_quota_is_the_peers_and_not_its_connections() -> None:
    quotas = Quotas(FakeClock())
    for _ in range(CONNECTIONS):
        quotas.of(A).connected(A)
    quotas.of(B).connected(A)
    assert refused_rule(quotas.of(A).connected, A) == "8-7"


PHASES = [phase for phase in ServerPhase if phase.value not in {"done", "aborted"}]


def test_an_honest_client_never_says_more_than_its_outbox_by_then() -> None:
    """Over a whole session of five, by phase: what each sent, beside the bound."""
    world = scene(5).started()
    while world._queue:
        phase = world.server.phase
        for client in world.clients.values():
            said = sum(len(codec.encode_envelope(one)) for one in client.sent)
            # A client may be a message ahead of the phase, which ends with the last.
            ahead = PHASES[min(PHASES.index(phase) + 1, len(PHASES) - 1)]
            assert said <= outbox_bytes(5, ahead)
        world._deliver(world._queue.popleft())
        if world.server.phase is ServerPhase.DONE:
            break


def test_what_was_said_grows_with_the_phases_and_the_members() -> None:
    sizes = [outbox_bytes(100, phase) for phase in PHASES]
    assert sizes == sorted(sizes)
    assert outbox_bytes(100, None) == sizes[-1] < outbox_bytes(101, None)


def test_a_frame_holds_the_largest_message_and_the_widest_chunk() -> None:
    large = largest_message(1000)
    assert largest_frame(1000, 12) == large
    for log2 in (18, 20):
        widest = packing.packed_size(1 << log2, MAX_WIDTH)
        chunk = vector.chunk_frame(SessionId(bytes(32)), 0, bytes(widest))
        assert len(chunk) <= largest_frame(4, log2) < len(chunk) + 100


@pytest.mark.parametrize("members", [4, 100, 1000])
def test_every_message_of_a_client_fits_the_frame_of_messages(members) -> None:
    limit = codec.body_limit(codec.message_type("ShareKeys"), members)
    assert limit < largest_message(members) < limit + 700
