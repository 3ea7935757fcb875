"""The hospital's program: train outside the protocol, then take part, round by round.

It dials out and listens nowhere. Training runs in a thread before the session opens, so
that it may take hours; the update is the difference of the two models, computed here. A
round that went on without this hospital is no error: the next model is fetched, and
training begins again.
"""

from __future__ import annotations

import contextlib
import ssl
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from peers import site_tls, training
from peers.background import in_thread
from peers.config_hospital import HospitalConfig
from peers.fitting import Trained, fitted
from peers.logs import Logger, short
from peers.membership import Membership
from peers.model_guard import check_architecture
from peers.policy_terms import policy_of
from peers.training import RoundInfo, Trainer, TrainerError
from secagg import RoundOpen, RoundRecord, Silo, connect, errors, tensors
from secagg.drivers.progress import Observer, unobserved
from secagg.drivers.wire.health import HEALTHZ, READYZ, Verdict, answering
from secagg.entropy import Entropy

Received: TypeAlias = Callable[[RoundRecord, NDArray[np.float64]], None]

FAILURES: Final = 3
"""Rounds in a row in which the trainer may fail before the program gives up."""


class Hospital:
    """One hospital's program."""

    def __init__(
        self,
        config: HospitalConfig,
        member: Membership,
        train: Trainer,
        *,
        log: Logger,
        observer: Observer = unobserved,
        entropy: Entropy | None = None,
        patient: bool = False,
        told: Callable[[str], None] = lambda _: None,
        shown: Callable[[str], None] = lambda _: None,
        received: Received = lambda _record, _mean: None,
    ) -> None:
        """Prepare; `run` does the work.

        Args:
            config: the checked configuration.
            member: identity and roster.
            train: the user's function.
            log: where to say what happened.
            observer: is told what the driver reports.
            entropy: where secrets come from; by default the operating system.
            patient: whether a refusal is logged and dialled again from the start, as
                for a service; else it ends the program with its remedy.
            told: is told in a few words what goes on, for a progress display.
            shown: is given what may hold values of patients and stays out of the log:
                why an input was refused, and the trace of a trainer that failed.
            received: is given the mean of every round, and what is known of it.
        """
        self._config = config
        self._member = member
        self._train = train
        self._log = log.bind(peer=member.identity.id)
        self._observer = observer
        self._entropy = entropy
        self._patient = patient
        self._told = told
        self._shown = shown
        self._received = received
        self._failures = 0

    async def run(self) -> None:
        """Take part in every round until cancelled.

        Raises:
            ConnectionRefused: the connection cannot be made; says what to do.
            TrainerError: training failed three rounds in a row.
            StateError: the state directory cannot be used.
        """
        self._told("connecting")
        async with (
            site_tls.live(self._config.tls, server=False, log=self._log) as context,
            self._connected(context) as silo,
            self._watched(silo),
        ):
            while True:
                self._told("waiting for the next round")
                await self._round(silo, await silo.next_round())

    def _connected(
        self, context: ssl.SSLContext | None
    ) -> AbstractAsyncContextManager[Silo]:
        return connect(
            self._config.aggregator,
            identity=self._member.identity,
            roster=self._member.book,
            policy=policy_of(self._config.policy, self._config.tasks),
            state=self._config.state,
            ssl=context,
            proxy=self._config.proxy,
            keepalive=self._config.keepalive,
            engine=self._config.engine,
            patient=self._patient,
            observer=self._observer,
            entropy=self._entropy,
        )

    @contextlib.asynccontextmanager
    async def _watched(self, silo: Silo) -> AsyncIterator[None]:
        """Answer whoever watches the service, if the configuration has it."""

        async def lives() -> Verdict:
            return Verdict(True)

        async def ready() -> Verdict:
            return Verdict(silo.connected, {"connected": silo.connected})

        address = self._config.health.listen
        if address is None:
            yield
            return
        async with answering(address, {HEALTHZ: lives, READYZ: ready}):
            yield

    async def _round(self, silo: Silo, opened: RoundOpen) -> None:
        log = self._log.bind(task=opened.task_id, round=opened.round_no)
        try:
            trained = await self._trained(silo, opened, log)
            if trained is None:
                return
            mean = await silo.contribute(
                trained.update, weight=trained.weight, extras=trained.extras
            )
        except errors.RoundMissed as error:
            log.warning("round_missed", detail=str(error), next="train again")
        except errors.SessionAborted as error:
            missing = list(error.missing)
            log.warning(
                "round_aborted", rule=error.code, missing=missing, detail=str(error)
            )
        except errors.ReleaseRefused as error:
            log.warning("sum_discarded", detail=str(error))
        except errors.InputError as error:
            log.warning("input_refused", place=training.place_of(error))
            self._shown(f"round {opened.round_no}: input refused: {error}")
        else:
            here = tensors.coordinates(mean, tensors.Layout.of(mean))
            self._done(log, silo.last_round, np.asarray(here, dtype=np.float64))

    def _done(
        self, log: Logger, last: RoundRecord | None, mean: NDArray[np.float64]
    ) -> None:
        """Say who was in the sum, and whether this hospital was."""
        if last is None:
            return
        u3 = last.sets["u3"]
        log.info(
            "round_done",
            session=short(last.sid),
            included=last.included,
            in_the_sum=list(u3),
            not_in_the_sum=sorted(set(last.sets["u0"]) - set(u3)),
            epsilon=last.result.epsilon,
        )
        self._received(last, mean)

    async def _trained(
        self, silo: Silo, opened: RoundOpen, log: Logger
    ) -> Trained | None:
        """Train on the model of the round; None if that failed, or is not allowed."""
        self._told(f"round {opened.round_no}: fetching the model")
        blob = await self._model(silo, opened)
        try:
            check_architecture(blob, self._config.training.architectures)
        except errors.RemoteProtocolError as error:
            silo.decline(error.detail)
            return None
        log.info("training_began", model=short(opened.model_hash))
        self._told(f"round {opened.round_no}: training")
        try:
            trained = await in_thread(lambda: self._fitted(blob, opened))
        except TrainerError as error:
            self._failed(error, log)
            return None
        self._failures = 0
        log.info("training_done", metrics=sorted(trained.metrics))
        said = ", ".join(f"{k} {v:.4g}" for k, v in sorted(trained.metrics.items()))
        self._told(f"round {opened.round_no}: trained{', ' if said else ''}{said}")
        return trained

    async def _model(self, silo: Silo, opened: RoundOpen) -> bytes:
        if opened.model_size == 0:
            raise errors.InputError(
                f"round {opened.round_no} of {opened.task_id} has no model to train on"
            )
        try:
            return await silo.fetch(opened.model_hash)
        except errors.LocalProtocolError as error:
            # The aggregator keeps the models of the last rounds only.
            raise errors.RoundMissed(str(error)) from None

    def _fitted(self, blob: bytes, opened: RoundOpen) -> Trained:
        config = self._config
        info = RoundInfo(
            silo=self._member.identity.id,
            task_id=opened.task_id,
            round_no=opened.round_no,
            model_hash=opened.model_hash.hex(),
            options=config.training.options,
        )
        return fitted(blob, info, self._train, config.training, engine=config.engine)

    def _failed(self, error: TrainerError, log: Logger) -> None:
        """Note that the trainer failed; give up when it does so again and again.

        What it said may hold values of patients: type and place alone are logged.
        """
        self._failures += 1
        kind = type(error.__cause__).__name__
        log.error(
            "trainer_failed",
            error=kind,
            place=error.place,
            in_a_row=self._failures,
        )
        self._shown("".join(traceback.format_exception(error.__cause__)))
        if self._failures >= FAILURES:
            raise TrainerError(
                f"{self._config.training.trainer} failed {FAILURES} rounds in a row,"
                f" last with {kind} ({error.place}): mend it and start again; at a"
                " terminal the program shows the whole trace",
                place=error.place,
            ) from error
