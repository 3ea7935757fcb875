"""Attacks 43 to 50, and 54: load, forks of the chain, and what is published."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from dataclasses import replace
from unittest import mock

import msgpack
import numpy as np
from websockets.asyncio.client import connect

from secagg import errors, events
from secagg import messages as msg
from secagg.crypto import canonical, transcript
from secagg.drivers.aggregator.quotas import BREACHES, Quota
from secagg.drivers.wire import listening, websocket
from secagg.drivers.wire.transport import ConnectionLost, Transport
from secagg.drivers.wire.websocket import QUIET
from secagg.names import PeerId, SessionId, VectorSum
from secagg.robust import exact_bounds
from secagg.robust.check import OpenedSum
from secagg.rounds import coin
from secagg.vector import parse_frame
from tests.attacks import stories
from tests.attacks.attack import Attack, accepted, without
from tests.attacks.stories import ME, joined
from tests.drivers.fake_clock import FakeClock
from tests.helpers import scene
from tests.samples import blob, keys

ROOM = 1 << 20
"""Bytes of a message, at most."""


def a_compressed_bomb() -> bool:
    """Does a connection take 500 times as much memory as was sent to it?"""
    frame = _compressed(bytes(ROOM))
    return asyncio.run(_taken_of(frame)) > 500 * len(frame)


def _compressed(message: bytes) -> bytes:
    """A binary frame as a client of RFC 7692 sends it, masked by zeros."""
    deflated = zlib.compressobj(wbits=-15)
    data = deflated.compress(message) + deflated.flush(zlib.Z_SYNC_FLUSH)
    data = data.removesuffix(b"\x00\x00\xff\xff")
    return b"\xc2\xfe" + len(data).to_bytes(2, "big") + bytes(4) + data


async def _taken_of(frame: bytes) -> int:
    """The bytes that an aggregator's port has of a frame."""
    taken: list[int] = []

    async def take(transport: Transport) -> None:
        with contextlib.suppress(ConnectionLost, errors.CodecError):
            while True:
                taken.append(len(await transport.recv()))

    async with listening.listen("127.0.0.1", 0, take, None, max_frame=ROOM) as port:
        url = f"ws://127.0.0.1:{port}"
        async with connect(url, compression="deflate", logger=QUIET) as client:
            client.transport.write(frame)
    return sum(taken)


def _compression_as_usual():
    real = websocket.both_ends

    def usual(max_frame):
        return {**real(max_frame), "compression": "deflate"}

    return mock.patch.object(listening, "both_ends", usual)


def arrays_in_arrays() -> bool:
    deep: object = []
    for _ in range(20):
        deep = [deep]
    return accepted(canonical.unpack, msgpack.packb(deep), 1 << 10)


def a_body_beyond_its_limit() -> bool:
    return accepted(canonical.unpack, canonical.pack(bytes(1 << 12)), 1 << 10)


def a_frame_beyond_its_limit() -> bool:
    return accepted(parse_frame, b"\x00" + bytes(1 << 12), 1 << 10)


def a_flood_of_messages() -> bool:
    quota = Quota(FakeClock())

    def flood() -> None:
        for _ in range(1000):
            quota.message(1 << 16, "phase", 1000)

    return accepted(flood)


def a_vector_sent_again_and_again() -> bool:
    quota = Quota(FakeClock())

    def again() -> None:
        for _ in range(10):
            quota.chunk(100, "phase", 100, 100)

    return accepted(again)


def bad_signatures_again_and_again() -> bool:
    """A peer that was closed for a breach, over and over, comes again at once."""
    quota = Quota(FakeClock())
    for _ in range(2 * BREACHES):
        quota.breached()
    return accepted(quota.connected, PeerId("a"))


def another_history_for_one() -> bool:
    return joined(previous_link=blob(9))


def _head_moved(**change) -> bool:
    world = stories.run_lying(Result=lambda m: replace(m, **change))
    effects = world.clients[ME].effects
    return any(isinstance(effect, events.PersistHead) for effect in effects)


def a_result_over_another_u3() -> bool:
    return _head_moved(u3=tuple(scene().clients)[:3])


def another_vector_than_announced() -> bool:
    return _head_moved(vector=msg.BlobRef(hash=blob(1), size=4, width=4))


def a_sum_that_honest_members_cannot_have() -> bool:
    """Masks that do not cancel leave garbage."""
    garbage = OpenedSum(
        vector=VectorSum(np.array([1 << 20])),
        u3_count=3,
        x_max=10,
        delta_int=20,
        extras=(),
    )
    return exact_bounds.ExactBounds()(garbage).passed


@contextlib.contextmanager
def _unbounded():
    with (
        mock.patch.object(exact_bounds, "_coordinate_break", return_value=()),
        mock.patch.object(exact_bounds, "_norm_break", return_value=()),
    ):
        yield


def a_coin_chosen_late() -> bool:
    """Another coin than was committed to, once those of the others are known."""
    peer, sid = PeerId("a"), SessionId(blob(1))
    commitment = transcript.coin_commitment(sid, peer, blob(2))
    advert = replace(keys(3), coin_commitment=commitment)
    late = msg.Coin(coin=blob(3))
    return accepted(coin.server_accept, late, peer=peer, sid=sid, advert=advert)


ATTACKS = [
    Attack(43, a_compressed_bomb, _compression_as_usual),
    Attack(44, arrays_in_arrays, without("3.3-2")),
    Attack(44, a_body_beyond_its_limit, without("3.3-1")),
    Attack(45, a_frame_beyond_its_limit, without("7.1-1")),
    Attack(45, a_vector_sent_again_and_again, without("7.1-1")),
    Attack(46, a_flood_of_messages, without("7.1-1")),
    Attack(47, bad_signatures_again_and_again, without("8-7")),
    Attack(48, another_history_for_one, without("4.1-7")),
    Attack(49, a_result_over_another_u3, without("4.8-1")),
    Attack(49, another_vector_than_announced, without("4.8-2")),
    Attack(50, a_sum_that_honest_members_cannot_have, _unbounded),
    Attack(54, a_coin_chosen_late, without("4.10-1")),
]
