import asyncio

import numpy as np
import pytest

from secagg import errors, events
from secagg.client import Client
from secagg.consortium import Consortium, open_session
from secagg.drivers import progress
from secagg.drivers.silo.inputs import Input
from secagg.drivers.silo.keeper import Keeper
from secagg.drivers.silo.participation import Means, Participation
from secagg.drivers.silo.store import MemoryStore
from secagg.drivers.wire import memory
from secagg.drivers.wire.connection import Connection
from secagg.engine import engine
from secagg.entropy import SeededEntropy
from secagg.messages import Ready, RoundOpen
from secagg.policy import Policy
from secagg.task import Task
from secagg.transitions import ClientPhase
from tests.drivers.fake_clock import FakeClock

CONSORTIUM = Consortium.of(4, b"participation")
SILO, *OTHERS = sorted(CONSORTIUM.silos)
AGGREGATOR = CONSORTIUM.aggregator.id
TASK = Task(task_id="demo", length=5, clip=1.0)
OPENED = RoundOpen(
    task_id="demo",
    round_no=1,
    model_hash=bytes(32),
    model_size=0,
    previous_link=bytes(32),
)


class Scene:
    def __init__(
        self, length: int = 5, weight: int = 1, store: MemoryStore | None = None
    ) -> None:
        self.store = store or MemoryStore()
        self.events: list[progress.Progress] = []
        self.readies: list[Ready] = []
        self.client = CONSORTIUM.client(SILO, Policy(), {})
        self.part = Participation(
            OPENED,
            Input(update=np.zeros(length), weight=weight, extras={}),
            Means(
                client=self.client,
                keeper=Keeper(self.store, FakeClock()),
                entropy=SeededEntropy(b"part"),
                engine=lambda width: engine("numpy-threads", width),
                observer=self.events.append,
                say_ready=lambda connection, ready: self.readies.append(ready),
            ),
        )
        near, self.far = memory.pair()
        self.connection = Connection(
            near, peer=AGGREGATOR, hc=bytes(32), roster=CONSORTIUM.roster
        )

    def manifest(self):
        """The Manifest of a session over this silo and three others."""
        others = {u: CONSORTIUM.client(u, Policy(), {}) for u in OTHERS}
        server = open_session(CONSORTIUM, TASK, others | {SILO: Echo(self.readies[0])})
        (sent,) = [
            effect
            for effect in server.start()
            if isinstance(effect, events.Send) and effect.receiver == SILO
        ]
        return sent.envelope

    def receive(self, envelope) -> None:
        self.part.feed(events.Received(peer=AGGREGATOR, envelope=envelope))

    def listen(self) -> list[str]:
        """The types of what goes out from now on."""
        posted: list[str] = []
        self.connection.post = lambda envelope: posted.append(envelope.type)  # type: ignore[method-assign]
        return posted


class Echo(Client):
    """Stands for a client that has said Ready already."""

    def __init__(self, ready: Ready) -> None:
        self._said = ready

    def handle(self, event):
        del event
        return [events.SayReady(ready=self._said)]


async def ended(part: Participation) -> BaseException | None:
    ends = await asyncio.gather(part.completed, return_exceptions=True)
    return ends[0] if isinstance(ends[0], BaseException) else None


async def test_ready_is_said_on_this_connection_and_on_the_next() -> None:
    scene = Scene()
    scene.part.begin(scene.connection)
    scene.part.paused()
    scene.part.resume(scene.connection, None)
    assert len(scene.readies) == 2
    assert scene.readies[0] == scene.readies[1]


async def test_without_a_connection_ready_waits() -> None:
    scene = Scene()
    scene.part.begin(None)
    assert scene.readies == []
    scene.part.resume(scene.connection, None)
    assert len(scene.readies) == 1


async def test_the_joined_mark_is_durable_before_keys_go_out() -> None:
    """Rule 4.1-9."""
    scene = Scene()
    scene.part.begin(scene.connection)
    posted: list[tuple[int, int]] = []
    scene.connection.post = lambda envelope: posted.append(  # type: ignore[method-assign]
        scene.store.last_joined("demo")
    )
    scene.receive(scene.manifest())
    assert posted == [(1, 1)]


async def test_a_session_that_runs_repeats_what_it_said() -> None:
    scene = Scene()
    scene.part.begin(scene.connection)
    scene.receive(scene.manifest())
    posted: list[str] = []
    scene.connection.post = lambda envelope: posted.append(envelope.type)  # type: ignore[method-assign]
    scene.part.resume(scene.connection, None)
    assert posted == ["AdvertiseKeys"]


async def test_an_input_that_does_not_fit_sends_no_more_than_a_refusal() -> None:
    scene = Scene(length=7)
    scene.part.begin(scene.connection)
    posted = scene.listen()
    scene.receive(scene.manifest())
    assert posted == ["Refusal"]
    assert isinstance(await ended(scene.part), errors.InputError)
    assert scene.part.sid is None


async def test_a_weight_for_a_uniform_mean_is_refused() -> None:
    scene = Scene(weight=3)
    scene.part.begin(scene.connection)
    scene.receive(scene.manifest())
    assert isinstance(await ended(scene.part), errors.InputError)


async def test_a_round_that_went_on_is_missed() -> None:
    scene = Scene()
    scene.part.begin(scene.connection)
    scene.part.missed("too late")
    error = await ended(scene.part)
    assert isinstance(error, errors.RoundMissed)
    assert "too late" in str(error)


async def test_after_a_failed_attempt_ready_is_said_again() -> None:
    scene = Scene()
    scene.part.begin(scene.connection)
    scene.receive(scene.manifest())
    scene.part.feed(events.Stopped(code="0-1", reason="for the test"))
    assert len(scene.readies) == 2
    assert not scene.part.completed.done()
    assert [one.code for one in scene.part.attempts] == ["0-1"]


async def test_a_round_given_up_after_an_attempt_was_aborted_by_its_rule() -> None:
    scene = Scene()
    scene.part.begin(scene.connection)
    scene.receive(scene.manifest())
    scene.part.feed(events.Stopped(code="0-1", reason="for the test"))
    scene.part.missed("given up")
    error = await ended(scene.part)
    assert isinstance(error, errors.SessionAborted)
    assert error.code == "0-1"


async def test_stopping_drops_the_session() -> None:
    scene = Scene()
    scene.part.begin(scene.connection)
    scene.receive(scene.manifest())
    assert scene.client.phase is ClientPhase.ADVERTISED
    posted = scene.listen()
    scene.part.stop()
    assert scene.part.sid is None
    assert scene.part.completed.cancelled()
    # The aggregator need not wait for the deadline.
    assert posted == ["Refusal"]


async def test_a_caller_that_gives_up_waiting_still_takes_leave() -> None:
    scene = Scene()
    scene.part.begin(scene.connection)
    scene.receive(scene.manifest())
    posted = scene.listen()
    scene.part.completed.cancel()
    scene.part.stop()
    assert posted == ["Refusal"]


async def test_stopping_outside_a_session_says_nothing() -> None:
    scene = Scene()
    scene.part.begin(scene.connection)
    posted = scene.listen()
    scene.part.stop()
    assert posted == []


class FullDisk(MemoryStore):
    """A store that can record nothing any more."""

    def record_joined(self, task_id: str, round_no: int, attempt: int) -> None:
        raise errors.StateError("the disk is full")


async def test_without_the_joined_mark_nothing_goes_out_then_or_later() -> None:
    """Rule 4.1-9."""
    scene = Scene(store=FullDisk())
    scene.part.begin(scene.connection)
    manifest = scene.manifest()
    posted = scene.listen()
    scene.receive(manifest)
    scene.part.paused()
    scene.part.resume(scene.connection, 0)
    scene.receive(manifest)
    scene.part.stop()
    assert posted == []
    assert len(scene.readies) == 1
    assert scene.part.sid is None
    assert isinstance(await ended(scene.part), errors.StateError)


@pytest.mark.parametrize("kind", [progress.SessionBegan, progress.PhaseReached])
async def test_what_happens_is_said(kind) -> None:
    scene = Scene()
    scene.part.begin(scene.connection)
    scene.receive(scene.manifest())
    assert any(isinstance(event, kind) for event in scene.events)
