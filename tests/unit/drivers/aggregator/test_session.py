import asyncio
import math

import pytest

from secagg import errors, events
from secagg.consortium import Consortium, open_session
from secagg.drivers import progress
from secagg.drivers.aggregator.opening import Opening
from secagg.drivers.aggregator.session import Session
from secagg.drivers.aggregator.state import AggregatorState
from secagg.drivers.aggregator.surroundings import Surroundings
from secagg.engine import engine
from secagg.masked_chunks import chunks_of
from secagg.messages import Envelope
from secagg.names import PeerId, Round
from secagg.policy import Policy
from secagg.privacy.ledger import Budget, BudgetSpentError
from secagg.task import Task
from tests.drivers.fake_clock import FakeClock, until

TASK = Task(task_id="demo", length=4096, clip=1.0, chunk_log2=12)


class Scene:
    """A session without a network: what it posts is kept."""

    def __init__(self, tmp_path) -> None:
        self.consortium = Consortium.of(4, b"session")
        self.clients = {
            u: self.consortium.client(u, Policy(), {}) for u in self.consortium.silos
        }
        self.server = open_session(self.consortium, TASK, self.clients)
        self.state = AggregatorState.open(
            tmp_path,
            task_id="demo",
            budget=Budget(epsilon=math.inf, delta=1e-5),
            members=5,
        )
        self.clock = FakeClock()
        self.events: list[progress.Progress] = []
        self.posted: list[tuple[PeerId, Envelope]] = []
        self.state.journal.open_session(
            self.server.sid, self.server.manifest, bytes(32)
        )
        self.session = self.made(self.server)

    def made(self, server) -> Session:
        params = server.params
        opening = Opening(
            params=params,
            task_id="demo",
            sid=server.sid,
            model_hash=bytes(32),
            spool=self.state.spool(server.sid, chunks_of(params)),
            engine=engine("numpy-threads", params.width),
            noise_seed=bytes(32),
            ledger=self.state.ledger,
            blobs=self.state.blobs,
        )
        around = Surroundings(
            journal=self.state.journal,
            post=lambda peer, envelope: self.posted.append((peer, envelope)),
            clock=self.clock,
            observer=self.events.append,
            reconnect_seconds=15.0,
        )
        return Session(server, opening, around)

    def advertise(self) -> None:
        """Let every client answer the Manifest."""
        manifests = list(self.posted)
        self.posted.clear()
        for peer, envelope in manifests:
            told = events.Received(
                peer=self.consortium.aggregator.id, envelope=envelope
            )
            for effect in self.clients[peer].handle(told):
                if isinstance(effect, events.Send):
                    self.session.feed(
                        events.Received(peer=peer, envelope=effect.envelope)
                    )

    def journaled(self):
        row = self.state.journal.newest_session("demo", 1)
        assert row is not None
        return row.events


@pytest.fixture
async def scene(tmp_path):
    made = Scene(tmp_path)
    yield made
    await made.session.close()
    made.state.close()


async def test_the_manifest_goes_to_every_member(scene) -> None:
    scene.session.start()
    assert [peer for peer, _ in scene.posted] == sorted(scene.consortium.silos)
    assert {envelope.type for _, envelope in scene.posted} == {"Manifest"}
    assert isinstance(scene.events[0], progress.SessionBegan)


async def test_an_answer_is_journaled_before_what_follows_goes_out(scene) -> None:
    """Rule 9-3."""
    scene.session.start()
    scene.posted.clear()
    order: list[str] = []
    real = scene.state.journal.append

    def append(sid, event) -> None:
        order.append("journal")
        real(sid, event)

    scene.state.journal.append = append
    scene.session._around = Surroundings(
        journal=scene.state.journal,
        post=lambda peer, envelope: order.append(envelope.type),
        clock=scene.clock,
        observer=scene.events.append,
        reconnect_seconds=15.0,
    )
    scene.posted[:] = [(u, scene.server.replay(u, None)[0]) for u in scene.clients]
    scene.advertise()
    assert order == ["journal"] * 4 + ["KeyList"] * 4


async def test_who_is_waited_for_is_said_with_every_answer(scene) -> None:
    scene.session.start()
    scene.advertise()
    waited = [e.waiting_for for e in scene.events if isinstance(e, progress.Answered)]
    assert [len(names) for names in waited] == [3, 2, 1]


async def test_a_deadline_that_passes_is_an_event_of_the_machine(scene) -> None:
    scene.session.start()
    await asyncio.sleep(0)
    scene.clock.expire()
    ended = await scene.session.ended()
    assert isinstance(ended, events.Aborted)
    assert ended.code == "4.2-4"
    assert scene.journaled() == (events.DeadlinePassed(round=Round.ADVERTISE_KEYS),)


async def test_the_deadline_of_a_phase_that_closed_does_not_pass(scene) -> None:
    scene.session.start()
    await asyncio.sleep(0)
    scene.advertise()
    await asyncio.sleep(0)
    assert scene.server.phase == "share_keys"
    scene.clock._pending[0].set()
    await asyncio.sleep(0)
    assert scene.server.phase == "share_keys"


async def test_a_disk_that_fails_ends_the_session_and_nothing_goes_out(scene) -> None:
    scene.session.start()

    def full(sid, event):
        raise errors.StateError("the disk is full")

    scene.state.journal.append = full
    scene.advertise()
    assert scene.posted == []
    with pytest.raises(errors.StateError, match="the disk is full"):
        await scene.session.ended()


async def test_a_resumed_session_stands_where_it_stood(scene) -> None:
    scene.session.start()
    scene.advertise()
    again = scene.made(
        type(scene.server)(
            identity=scene.consortium.aggregator,
            roster=scene.consortium.roster,
            manifest=scene.server.manifest,
        )
    )
    scene.posted.clear()
    await asyncio.sleep(0)
    scene.clock.deadlines.clear()
    await again.resume(scene.journaled())
    await asyncio.sleep(0)
    # Ten seconds for the phase, and the time that members may take to reconnect.
    assert scene.clock.deadlines == [10.0 + 15.0]
    assert again.server.phase == scene.server.phase
    assert scene.posted == []
    again.replay(min(scene.clients), None)
    assert [e.type for _, e in scene.posted] == ["Manifest", "KeyList"]
    assert [e for _, e in scene.posted] == scene.server.replay(min(scene.clients), None)
    await again.close()


async def test_a_budget_that_rule_10_3_holds_to_ends_the_session(
    scene, monkeypatch
) -> None:
    scene.session.start()
    budget = Budget(epsilon=1.0, delta=1e-5)
    spent = BudgetSpentError("spent", epsilon_after=2.0, budget=budget)

    def refuse(self, effect, told):
        raise spent

    monkeypatch.setattr(Opening, "open", refuse)
    scene.session._carry_out(events.OpenSum(u3=(), seeds=(), signs=()))
    with pytest.raises(BudgetSpentError):
        await scene.session.ended()
    await until(lambda: scene.session.over)
    told = [e.code for e in scene.events if isinstance(e, progress.SessionAborted)]
    assert told == ["0-1"]


async def test_an_executor_that_failed_is_reported(scene, monkeypatch) -> None:
    scene.session.start()

    def fall_back(self, effect, told):
        told(errors.ExecutorFailed("no worker is left"))
        raise ZeroDivisionError

    monkeypatch.setattr(Opening, "open", fall_back)
    scene.session._carry_out(events.OpenSum(u3=(), seeds=(), signs=()))
    with pytest.raises(ZeroDivisionError):
        await scene.session.ended()
    sid = scene.session.sid
    seen = progress.UnmaskedHere(sid=sid, detail="no worker is left")
    assert seen in scene.events


async def test_an_error_that_nobody_foresaw_ends_the_session(
    scene, monkeypatch
) -> None:
    scene.session.start()

    def fail(self, effect, told):
        raise ZeroDivisionError

    monkeypatch.setattr(Opening, "open", fail)
    scene.session._carry_out(events.OpenSum(u3=(), seeds=(), signs=()))
    with pytest.raises(ZeroDivisionError):
        await scene.session.ended()


async def test_closing_leaves_no_timer(scene) -> None:
    scene.session.start()
    await asyncio.sleep(0)
    await scene.session.close()
    scene.clock.expire()
    await asyncio.sleep(0)
    assert not scene.session.over


def failing_once(journal):
    real, failures = journal.append, iter([errors.StateError("the disk is full")])

    def append(sid, event) -> None:
        for error in failures:
            raise error
        real(sid, event)

    journal.append = append


async def test_after_a_failed_write_nothing_is_taken_sent_or_timed(scene) -> None:
    """Rule 9-3: the machine is ahead of its journal from there on."""
    scene.session.start()
    await asyncio.sleep(0)
    failing_once(scene.state.journal)
    scene.advertise()
    assert scene.journaled() == ()
    for peer in scene.clients:
        scene.session.replay(peer, None)
    assert scene.posted == []
    scene.clock.expire()
    await asyncio.sleep(0)
    assert scene.journaled() == ()
    with pytest.raises(errors.StateError, match="the disk is full"):
        await scene.session.ended()
    assert not scene.session.stopped
