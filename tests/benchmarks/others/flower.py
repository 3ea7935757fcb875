"""Flower's SecAgg+ in one process: its client mod and its server workflow, unchanged.

The workflow talks to a grid that hands its messages to the mods of `count` clients.
The clients' stages are run batch by batch, and their replies kept; the server's stages
are then run over those replies as often as they are to be timed. Messages are copied
through Flower's own serialisation between the two, which is in no figure, nor is what
a client's application takes to hand over its parameters.

The graph is complete: as many shares as clients. What is lost is lost after the shares
are dealt and before the masked vector is sent.
"""

from __future__ import annotations

import collections
import copy
import logging
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any, cast

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.client.mod.secure_aggregation.secaggplus_mod import secaggplus_mod
from flwr.common import (
    Code,
    FitRes,
    Status,
    ndarrays_to_parameters,
    parameters_to_ndarrays,
)
from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS, Key
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.compat.common import recorddict_compat as compat
from flwr.server.client_manager import SimpleClientManager
from flwr.server.compat.grid_client_proxy import GridClientProxy
from flwr.server.compat.legacy_context import LegacyContext
from flwr.server.strategy import FedAvg
from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD, MAIN_PARAMS_RECORD
from flwr.server.workflow.constant import Key as WorkflowKey
from flwr.server.workflow.secure_aggregation.secaggplus_workflow import (
    SecAggPlusWorkflow,
    WorkflowState,
)
from flwr.supercore.task_identity import TaskIdentity

from tests.benchmarks.others.vectors import PeakMemory, batches, error, vector

MAX_WEIGHT = 1000
"""Flower's default; every client weighs it, so that the mean is the plain one."""

STAGES = ("setup", "share_keys", "collect_masked_vectors", "unmask")

logging.getLogger("flwr").setLevel(logging.ERROR)
# A deployment sets these for the process that a server application runs in.
TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1


class _Outgoing(Exception):  # noqa: N818  no error: the way out of a stage
    """Carries what a stage wanted to send."""

    def __init__(self, messages: list[Message]) -> None:
        self.messages = messages


class _Grid:
    """What the workflow talks to: kept replies where there are, else the way out."""

    def __init__(self) -> None:
        self.replies: dict[str, dict[int, Message]] = collections.defaultdict(dict)
        self.stage = ""
        self.lost: frozenset[int] = frozenset()

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> list[Message]:
        del timeout
        known = self.replies[self.stage]
        if not known:
            raise _Outgoing(list(messages))
        asked = (message.metadata.dst_node_id for message in messages)
        gone = self.lost if self.stage in STAGES[2:] else frozenset()
        return [known[nid] for nid in asked if nid in known and nid not in gone]


class Flower:
    """A cohort of Flower clients and their server."""

    def __init__(self, count: int, length: int, threshold: int, parts: int) -> None:
        """Begin a round: the setup stage of everybody.

        Args:
            count: n.
            length: m.
            threshold: shares that rebuild a secret.
            parts: batches in which the clients' longer stages are run.
        """
        self._count, self._length, self._threshold = count, length, threshold
        self._grid = _Grid()
        self._contexts = {nid: _context(nid) for nid in range(1, count + 1)}
        self._seconds = dict.fromkeys(self._contexts, 0.0)
        self._bytes = dict.fromkeys(self._contexts, 0.0)
        self._parts = batches(count, parts)
        self._waiting: dict[int, Message] = {}
        self._unmasked: dict[int, dict[int, Message]] = {}
        self._memory = 0.0
        self._finished(self._ask("setup"))

    def share(self, part: int) -> dict[str, float]:
        """Run the share-keys stage of one batch of clients."""
        return self._batch("share_keys", part)

    def collect(self, part: int) -> dict[str, float]:
        """Run the collect stage of one batch: mask and upload."""
        return self._batch("collect_masked_vectors", part)

    def serve(self, lost: int) -> dict[str, float]:
        """Run the whole server once, with the last `lost` clients lost."""
        grid = self._grid
        grid.lost = frozenset(range(self._count - lost + 1, self._count + 1))
        grid.replies["unmask"] = self._unmasked.get(lost, {})
        if not grid.replies["unmask"]:
            before = {nid: copy.deepcopy(one) for nid, one in self._contexts.items()}
            self._finished(self._ask("unmask"))
            self._unmasked[lost] = grid.replies["unmask"]
            self._contexts = before
        memory = PeakMemory()
        began = time.perf_counter()
        context = self._run(STAGES)
        seconds = time.perf_counter() - began
        held = sum(
            len(vector)
            for nid, reply in grid.replies["collect_masked_vectors"].items()
            if nid not in grid.lost
            for vector in cast(
                list[bytes],
                reply.content.config_records[RECORD_KEY_CONFIGS][Key.MASKED_PARAMETERS],
            )
        )
        parameters = compat.arrayrecord_to_parameters(
            context.state.array_records[MAIN_PARAMS_RECORD], keep_input=True
        )
        del context
        return {
            "server": seconds,
            "memory": memory.beyond() + held,
            **self._error(parameters, lost),
        }

    def client(self) -> dict[str, object]:
        """Return each batch's median of a client's seconds, bytes up and memory."""
        names = sorted(self._contexts)
        medians = [
            statistics.median(self._seconds[names[place]] for place in part)
            for part in self._parts
        ]
        return {
            "client": medians,
            "bytes": statistics.median(self._bytes.values()),
            "memory": self._memory,
        }

    def _error(self, parameters: Any, lost: int) -> dict[str, float]:
        (mean,) = parameters_to_ndarrays(parameters)
        return {"error": error(mean, range(self._count - lost))}

    def _batch(self, stage: str, part: int) -> dict[str, float]:
        if not self._waiting:
            self._waiting = self._ask(stage)
        names = sorted(self._contexts)
        chosen = {names[place] for place in self._parts[part]}
        began = sum(self._seconds.values())
        self._finished({nid: self._waiting.pop(nid) for nid in chosen}, stage)
        return {"seconds": sum(self._seconds.values()) - began}

    def _ask(self, stage: str) -> dict[int, Message]:
        """Return what the server sends in a stage, by receiver."""
        self._grid.replies[stage] = {}
        try:
            self._run(STAGES[: STAGES.index(stage) + 1])
        except _Outgoing as sent:
            return {one.metadata.dst_node_id: one for one in sent.messages}
        raise AssertionError(f"{stage} sent nothing")

    def _finished(self, messages: dict[int, Message], stage: str = "") -> None:
        """Let clients answer, and keep what they say."""
        stage = stage or self._grid.stage
        replies = {nid: self._answer(nid, one) for nid, one in messages.items()}
        self._grid.replies[stage] |= replies

    def _answer(self, nid: int, message: Message) -> Message:
        arriving = message_from_proto(message_to_proto(message))
        trained = _trained(vector(nid - 1, self._length))
        inside = 0.0

        def call_next(inner: Message, context: Context) -> Message:
            nonlocal inside
            del context
            began = time.perf_counter()
            said = Message(trained(), reply_to=inner)
            inside = time.perf_counter() - began
            return said

        memory = PeakMemory()
        began = time.perf_counter()
        reply = secaggplus_mod(arriving, self._contexts[nid], call_next)
        self._seconds[nid] += time.perf_counter() - began - inside
        self._memory = max(self._memory, memory.beyond())
        self._bytes[nid] += message_to_proto(reply).ByteSize()
        return reply

    def _run(self, stages: Iterable[str]) -> LegacyContext:
        """Run the server's stages over the kept replies."""
        workflow = SecAggPlusWorkflow(
            self._count, self._threshold, max_weight=float(MAX_WEIGHT)
        )
        context, state = self._server_context(), WorkflowState()
        for stage in stages:
            self._grid.stage = stage
            step = getattr(workflow, f"{stage}_stage")
            assert step(self._grid, context, state), f"{stage} was halted"
        return context

    def _server_context(self) -> LegacyContext:
        manager = SimpleClientManager()
        for nid in self._contexts:
            manager.register(GridClientProxy(nid, cast(Any, self._grid), run_id=1))
        everybody = {
            "fraction_fit": 1.0,
            "min_fit_clients": self._count,
            "min_available_clients": self._count,
        }
        context = LegacyContext(
            _context(0), strategy=FedAvg(**cast(Any, everybody)), client_manager=manager
        )
        empty = ndarrays_to_parameters([vector(0, self._length)])
        context.state.array_records[MAIN_PARAMS_RECORD] = (
            compat.parameters_to_arrayrecord(empty, keep_input=True)
        )
        context.state.config_records[MAIN_CONFIGS_RECORD] = ConfigRecord(
            {WorkflowKey.CURRENT_ROUND: 1}
        )
        return context


def _context(nid: int) -> Context:
    return Context(
        run_id=1, node_id=nid, node_config={}, state=RecordDict(), run_config={}
    )


def _trained(update: Any) -> Callable[[], RecordDict]:
    """Return what a client's application hands over after training."""

    def content() -> RecordDict:
        fitted = FitRes(
            status=Status(code=Code.OK, message=""),
            parameters=ndarrays_to_parameters([update]),
            num_examples=MAX_WEIGHT,
            metrics={},
        )
        return compat.fitres_to_recorddict(fitted, keep_input=False)

    return content
