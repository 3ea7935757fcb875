"""What the tests of the machines share: a session in a line, and what was said in it.

A `Scene` is the production cohort with recorded clients and known inputs. Its sums are
compared with plain integers, its masks are made by the definition.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from secagg import errors, events
from secagg.client import Client
from secagg.cohort import LOSS_ROUNDS, Carried, Cohort, Network, faithful
from secagg.consortium import NO_MODEL, Consortium
from secagg.contribution import Contribution, contribution
from secagg.crypto.prg import elements
from secagg.crypto.transcript import LINK_START
from secagg.engine import MaskSeed
from secagg.field import prime
from secagg.messages import Extra, Manifest
from secagg.names import PeerId, Round, SessionId
from secagg.policy import Policy
from secagg.server import Server
from secagg.task import Task
from tests.recording import RecordedClient, RecordedEntropy

AGGREGATOR = PeerId("aggregator")
COMPLETE_ROUNDS = tuple(r for r in LOSS_ROUNDS if r is not Round.COIN)
"""Those of the complete graph, which has no coins."""

NEVER = len(COMPLETE_ROUNDS)
"""The place after the last round: a silo that is never silent."""


def silo(number: int) -> PeerId:
    """The id of silo 1, 2, ... of a consortium."""
    return PeerId(f"silo-{number:03}")


def silos(*numbers: int) -> tuple[PeerId, ...]:
    """The ids of these silos."""
    return tuple(silo(number) for number in numbers)


def refused_rule(call: Callable[..., object], *args: Any, **kwargs: Any) -> str:
    """The rule by which `call` is refused; it must be."""
    try:
        call(*args, **kwargs)
    except errors.RemoteProtocolError as error:
        return error.rule
    raise AssertionError(f"{call} was not refused")


class ReferenceEngine:
    """Masks by their definition, one stream after another; slow and obvious."""

    def __init__(self, width: int) -> None:
        self._width = width

    def accumulate(
        self,
        acc: NDArray[np.uint32],
        seeds: Sequence[MaskSeed],
        signs: Sequence[int],
        start: int,
        stop: int,
    ) -> None:
        total = acc.astype(np.int64)
        for seed, sign in zip(seeds, signs, strict=True):
            stream = elements(seed.key, seed.tag, self._width, start, stop)
            total += sign * stream.astype(np.int64)
        acc[:] = (total % prime(self._width)).astype(np.uint32)

    def on_threads(
        self, work: Callable[[Any], Any], parts: Iterable[Any]
    ) -> Iterator[Any]:
        return map(work, parts)

    def alone(self) -> Self:
        return self


@dataclass(kw_only=True)
class Scene(Cohort):
    """A session whose clients are recorded and whose inputs are known."""

    consortium: Consortium
    task: Task
    clients: dict[PeerId, RecordedClient]
    updates: dict[PeerId, NDArray[np.float64]]
    weights: dict[PeerId, int]
    values: dict[PeerId, dict[str, int]]
    contribute: Callable[[PeerId, SessionId], Contribution] = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.contribute = self._contribute

    def _contribute(self, peer: PeerId, sid: SessionId) -> Contribution:
        return contribution(
            self.updates[peer],
            weight=self.weights[peer],
            values=self.values[peer],
            params=self.server.params,
            sid=sid,
            entropy=self.consortium.entropy[peer],
        )

    def started(self) -> Scene:
        """Say what the server says first, and deliver nothing yet."""
        self._serve(self.server.start())
        return self

    def pump(self) -> Scene:
        """Deliver all that is on its way, with no deadline passing."""
        while self._queue:
            self._deliver(self._queue.popleft())
        return self

    def until(self, phase: str) -> Scene:
        """Run up to the moment at which the server enters `phase`."""
        while self.server.phase.value != phase:
            self._deliver(self._queue.popleft())
        return self

    def waiting(self, type_: str, receiver: PeerId | None = None) -> list[Carried]:
        """What is on its way, of this type."""
        return [
            carried
            for carried in self._queue
            if carried.envelope.type == type_ and receiver in {None, carried.receiver}
        ]

    def sent_by_server(self, type_: str) -> list[events.Send]:
        """What the server sent of this type."""
        return [
            effect
            for effect in self.effects[AGGREGATOR]
            if isinstance(effect, events.Send) and effect.envelope.type == type_
        ]

    def drops(self) -> dict[PeerId, str]:
        """Whom the server dropped, and by which rule."""
        return {
            effect.peer: effect.rule
            for effect in self.effects[AGGREGATOR]
            if isinstance(effect, events.Drop)
        }

    def next_session(
        self, *, round_no: int = 1, attempt: int = 1, link: bytes = LINK_START
    ) -> Scene:
        """A further session of the same clients; they say Ready anew if they must."""
        for client in self.clients.values():
            if client.phase == "idle":
                say_ready(client, self.task, round_no)
        manifest = self.manifest(round_no=round_no, attempt=attempt, link=link)
        return replace(
            self,
            server=_server(self.consortium, manifest),
            effects=collections.defaultdict(list),
            inputs={},
            opened=None,
        )

    def manifest(
        self,
        *,
        round_no: int = 1,
        attempt: int = 1,
        link: bytes = LINK_START,
        **other: Any,
    ) -> Manifest:
        """A Manifest over these clients as they stand, with `other` fields."""
        manifest = manifest_of(
            self.consortium,
            self.task,
            self.clients,
            round_no=round_no,
            attempt=attempt,
            previous_link=link,
        )
        return replace(manifest, **other)


def say_ready(client: Client, task: Task, round_no: int = 1) -> None:
    """Let a client say it has trained on the model of a round."""
    client.handle(
        events.InputReady(task_id=task.task_id, round_no=round_no, model_hash=NO_MODEL)
    )


def manifest_of(
    consortium: Consortium,
    task: Task,
    clients: Mapping[PeerId, RecordedClient],
    *,
    round_no: int = 1,
    attempt: int = 1,
    previous_link: bytes = LINK_START,
) -> Manifest:
    """The Manifest of a session of clients that are ready."""
    return task.manifest(
        aggregator=AGGREGATOR,
        roster=consortium.roster,
        ready={u: client.ready.ready_nonce for u, client in clients.items()},
        round_no=round_no,
        attempt=attempt,
        model_hash=NO_MODEL,
        previous_link=previous_link,
    )


def _server(consortium: Consortium, manifest: Manifest) -> Server:
    return Server(
        identity=consortium.aggregator, roster=consortium.roster, manifest=manifest
    )


def scene(
    n: int = 4,
    c: int = 1,
    m: int = 3,
    *,
    seed: bytes = b"scene",
    silent: Mapping[int, int | str] | None = None,
    network: Network = faithful,
    weights: Sequence[int] | None = None,
    extras: Sequence[Extra] = (),
    values: Sequence[Mapping[str, int]] | None = None,
    policy: Policy | None = None,
    **terms: Any,
) -> Scene:
    """A consortium of n silos, ready for a session that has not started.

    Args:
        n: silos.
        c: the corruption bound.
        m: coordinates of an update.
        seed: of all keys, nonces and updates.
        silent: by silo number, the round from which on it says nothing: its name, or
            its place in COMPLETE_ROUNDS.
        network: rewrites what is on its way.
        weights: w_u in the order of the silos; makes the mean a weighted one.
        extras: the declared ones.
        values: each silo's extras, in the order of the silos.
        policy: the silos' own; by default one that demands just n and c.
        terms: other fields of the Task.
    """
    entropy = {silo(i): RecordedEntropy(seed + bytes([i])) for i in range(1, n + 1)}
    consortium = replace(Consortium.of(n, seed), entropy=entropy)
    if weights is not None:
        terms = {"weighting": "weighted", "max_weight": 1000, **terms}
    usual = {"task_id": "task", "clip": 1.0, "chunk_log2": 12}
    task = Task(
        **{
            **usual,
            "length": m,
            "extras": tuple(extras),
            "corruption_bound": c,
            **terms,
        }
    )
    usual_policy = Policy(
        min_members=n, corruption_bound=c, smallest_sparse=0, sparse_corrupt_percent=0
    )
    allowed = usual_policy if policy is None else policy
    clients = {u: _client(consortium, u, allowed) for u in consortium.silos}
    for client in clients.values():
        say_ready(client, task)
    server = _server(consortium, manifest_of(consortium, task, clients))
    rng = np.random.default_rng(list(seed))
    return Scene(
        server=server,
        clients=clients,
        engine=ReferenceEngine(server.params.width),
        silent={silo(i): _round(since) for i, since in (silent or {}).items()},
        network=network,
        consortium=consortium,
        task=task,
        updates={u: rng.normal(size=task.length) * 0.3 for u in clients},
        weights=dict(zip(clients, weights or [1] * n, strict=True)),
        values={u: dict(v) for u, v in zip(clients, values or [{}] * n, strict=True)},
    )


def _client(consortium: Consortium, peer: PeerId, policy: Policy) -> RecordedClient:
    entropy = consortium.entropy[peer]
    assert isinstance(entropy, RecordedEntropy)
    return RecordedClient(
        identity=consortium.silos[peer],
        roster=consortium.roster,
        policy=policy,
        entropy=entropy,
        aggregator=AGGREGATOR,
    )


def _round(since: int | str) -> Round:
    return COMPLETE_ROUNDS[since] if isinstance(since, int) else Round(since)


def plain_sum(scene: Scene, u3: Iterable[PeerId]) -> list[int]:
    """The sum over U3 of the coordinates of x_u, in Python's integers."""
    m, p = scene.server.params.m, scene.server.params.p
    total = [0] * m
    for u in u3:
        for i, element in enumerate(scene.inputs[u].window(0, m)):
            total[i] += int(element) - p * (int(element) > p // 2)
    return total


def assert_exact(scene: Scene, u3: Iterable[PeerId]) -> None:
    """The session opened the exact sum over exactly `u3`, extras and all."""
    expected = tuple(sorted(u3))
    end = scene.outcome(AGGREGATOR)
    assert isinstance(end, events.Completed), end
    assert end.sets["u3"] == end.result.u3 == expected
    assert scene.opened is not None
    opened = [int(x) for x in scene.opened]
    assert opened[: scene.server.params.m] == plain_sum(scene, expected)
    sums = dict(end.result.extras)
    for extra in scene.task.extras:
        assert sums[extra.name] == sum(scene.values[u][extra.name] for u in expected)
    if scene.task.weighting == "weighted":
        assert sums["weight"] == sum(scene.weights[u] for u in expected)


def assert_completed(scene: Scene, peers: Iterable[PeerId]) -> None:
    """These clients have the Result, the link and the right idea of their own part."""
    server = scene.outcome(AGGREGATOR)
    assert isinstance(server, events.Completed)
    for peer in peers:
        end = scene.clients[peer].end
        assert isinstance(end, events.Completed), (peer, end)
        assert (end.link, end.result) == (server.link, server.result)
        assert end.included == (peer in server.sets["u3"])
        assert scene.clients[peer].phase == "idle"


def assert_aborted(scene: Scene, code: str, missing: Iterable[PeerId]) -> None:
    """The session ended by `code`, and names exactly who is missing."""
    end = scene.outcome(AGGREGATOR)
    assert isinstance(end, events.Aborted), end
    assert (end.code, end.missing) == (code, tuple(sorted(missing)))
    assert scene.opened is None
