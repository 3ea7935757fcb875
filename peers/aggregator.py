"""The aggregator's program: holds the global model and runs the rounds of one task.

Hospitals dial in. A round opens when all are ready, or at its deadline with enough; its
mean moves the model; its report says who was in it and who was not, and why. It stops
when the rounds are done, or before one that the privacy budget does not pay for. After
a restart it goes on where it stood.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

from peers import descriptors, model_file, records, site_tls, spending, state_folder
from peers.config_aggregator import AggregatorConfig
from peers.dask_workers import opened_workers
from peers.logs import Logger, short
from peers.membership import Membership
from peers.model_store import ModelStore
from peers.records import RoundReport
from peers.roster_file import RosterFile
from peers.task_terms import (
    budget_of,
    expected_of,
    first_model,
    origin_of,
    task_of,
)
from peers.toml_file import ConfigError
from secagg import (
    Aggregator,
    RoundOutcome,
    errors,
    serve,
)
from secagg.drivers.progress import (
    Observer,
    PeerDeclined,
    PeerReady,
    Progress,
    SessionBegan,
    unobserved,
)
from secagg.drivers.wire.doorkeeper import PLACES
from secagg.names import Mean, PeerId

FAILURES: Final = 3
"""Rounds in a row without a Result before the program gives up."""


class AggregatorProgram:
    """One run of the aggregator's program."""

    def __init__(
        self,
        config: AggregatorConfig,
        member: Membership,
        folder: Path,
        *,
        log: Logger,
        observer: Observer = unobserved,
        reported: Callable[[RoundReport], None] = lambda _: None,
        told: Callable[[str], None] = lambda _: None,
        bound: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Load the model, or make the first one.

        Args:
            config: the checked configuration.
            member: identity and roster.
            folder: where the modules of entry points are looked for.
            log: where to say what happened.
            observer: is told what the driver reports.
            reported: is told of every round.
            told: is told in a few words what a person should see.
            bound: is told the port.

        Raises:
            ConfigError: the model's factory cannot be used, or the noise would drown
                an extra.
            InputError: the model cannot be aggregated; names the tensor.
            StateError: the state directory cannot be used.
        """
        self._config = config
        self._member = member
        self._log = log.bind(peer=member.identity.id, task=config.task.id)
        self._watching = observer
        self._round_no = 0
        self._declined: dict[PeerId, str] = {}
        self._reported = reported
        self._told = told
        self._bound = bound
        self._failures = 0
        self._account: spending.Account | None = None
        self.store = ModelStore(
            config.state / "model", task=config.task.id, keep=config.model.keep
        )
        origin = origin_of(config)
        if self.store.empty:
            self.store.begin(first_model(config, folder), origin=origin)
        self.store.require_origin(origin)
        self._blob = self.store.read()
        layout = model_file.layout_of(self._blob, config.model.frozen)
        self._layout, self._task = layout, task_of(config, layout)

    async def run(self) -> None:
        """Run rounds until the task's are done or its budget is spent.

        Raises:
            ReleaseRefused: the privacy budget pays for no further round.
            SessionAborted: three rounds in a row had no Result.
            ConnectionRefused: the identity is no aggregator of the roster.
            ConfigError: the address cannot be bound, or Dask's scheduler not reached.
            StateError: the state directory cannot be used.
        """
        terms = self._config.task
        self._account = self._opened_account()
        self._report_failed_round()
        async with contextlib.AsyncExitStack() as stack:
            aggregator = await self._serving(stack)
            self._log.info("listening", port=aggregator.port)
            self._name_blamed(aggregator)
            if aggregator.port is not None:
                self._bound(aggregator.port)
            if aggregator.last_outcome is not None:
                self._settle(aggregator, aggregator.last_outcome)
            await stack.enter_async_context(self._following(aggregator))
            while self.store.mark.completed < terms.rounds:
                self._check_budget(aggregator)
                await self._round(aggregator)
            self._log.info("task_done", rounds=self.store.mark.completed)
            await asyncio.sleep(terms.linger)

    @contextlib.asynccontextmanager
    async def _following(self, aggregator: Aggregator) -> AsyncIterator[None]:
        """Take up the roster file whenever it is replaced."""
        file = RosterFile(self._config.roster, aggregator.take_roster, self._log)
        watching = asyncio.create_task(file.watch())
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    def _opened_account(self) -> spending.Account | None:
        """Return what the ledger has, before the library takes hold of it."""
        config = self._config
        if config.privacy is None:
            return None
        database = config.journal.database
        charges = spending.charges_of(config.state, config.task.id, database)
        return spending.Account(config.privacy, charges)

    async def _serving(self, stack: contextlib.AsyncExitStack) -> Aggregator:
        """Bind the address, until `stack` ends."""
        self._note_descriptors()
        config, listen = self._config, self._config.listen
        workers = stack.enter_context(opened_workers(config.unmasking.dask))
        context = await stack.enter_async_context(
            site_tls.live(config.tls, server=True, log=self._log)
        )
        serving = serve(
            listen.host,
            listen.port,
            identity=self._member.identity,
            roster=self._member.book,
            task=self._task,
            state=config.state,
            journal=config.journal.database,
            ssl=context,
            without_tls=listen.without_tls,
            budget=budget_of(config),
            min_members=config.task.min_members,
            expected=expected_of(config, self._member),
            ready_seconds=config.task.ready_deadline,
            reconnect_seconds=config.task.reconnect,
            keepalive=listen.keepalive,
            next_model=self._next_model,
            unmasking=workers,
            health=config.health.listen,
            observer=self._observe,
        )
        try:
            return await stack.enter_async_context(serving)
        except OSError as error:
            raise ConfigError(
                f"[listen] {listen.host}:{listen.port} cannot be bound:"
                f" {error.strerror}; stop the program that uses it, or choose another"
            ) from None

    def _note_descriptors(self) -> None:
        """Raise the limit of sockets, and say what it is; warn where it is too low."""
        limit = descriptors.raise_limit()
        # All at the door, all proved, and each once more while an old line ends.
        connections = PLACES + 3 * len(self._member.roster.hospitals)
        held = descriptors.enough(limit, connections)
        say = self._log.info if held else self._log.warning
        say("descriptors", limit=limit, connections=connections)

    async def _round(self, aggregator: Aggregator) -> None:
        try:
            outcome = await aggregator.run_round(
                model_hash=self.store.current, blob=self._blob
            )
        except errors.SessionAborted as error:
            self._aborted(error, aggregator)
            return
        self._failures = 0
        self._settle(aggregator, outcome)

    def _observe(self, event: Progress) -> None:
        match event:
            case SessionBegan():
                self._round_no = event.round_no
            case PeerDeclined():
                self._declined[event.peer] = f"by rule {event.rule}: {event.detail}"
            case PeerReady():
                self._declined.pop(event.peer, None)
            case _:
                pass
        self._watching(event)

    def _settle(self, aggregator: Aggregator, outcome: RoundOutcome) -> None:
        """Move to the model after a round, and report the round, once."""
        if self._account is not None and outcome.released:
            self._account.note(outcome.sid)
        if outcome.round_no <= self.store.mark.round_no:
            return
        after = outcome.result.next_model_hash
        report = records.report_of(
            outcome,
            present=self._present(aggregator),
            extras=self._config.task.extras,
            model_after=after or self.store.current,
        )
        # The report first: settled twice it changes nothing, reported never is worse.
        self._report(report)
        self.store.settle(outcome.round_no, model=after, completed=True)
        self._blob = self.store.read()

    def _aborted(self, error: errors.SessionAborted, aggregator: Aggregator) -> None:
        round_no = max(self._round_no, self.store.mark.round_no + 1)
        self._settle_aborted(round_no, error, self._present(aggregator))
        self._failures += 1
        if self._failures >= FAILURES:
            raise error

    def _settle_aborted(
        self, round_no: int, error: errors.SessionAborted, present: records.Present
    ) -> None:
        report = records.aborted_report(
            error,
            task=self._config.task.id,
            round_no=round_no,
            model=self.store.current,
            present=present,
        )
        self._report(report)
        self.store.settle(round_no, model=None, completed=False)

    def _report_failed_round(self) -> None:
        """Report a round that ended without a Result just before a crash."""
        config, member = self._config, self._member
        after = self.store.mark.round_no
        failed = state_folder.failed_round(
            config.state,
            member,
            config.task.id,
            after=after,
            database=config.journal.database,
        )
        if failed is not None:
            present = records.Present(hospitals=member.roster.hospitals)
            self._settle_aborted(*failed, present)

    def _present(self, aggregator: Aggregator) -> records.Present:
        return records.Present(
            hospitals=self._member.roster.hospitals,
            connected=aggregator.connected,
            blamed=aggregator.blamed,
            declined=self._declined,
        )

    def _name_blamed(self, aggregator: Aggregator) -> None:
        """Say who is left out of every session, and how to change that."""
        for peer, why in aggregator.blamed.items():
            remedy = f"secagg readmit {peer} --config FILE"
            self._log.warning("left_out", hospital=peer, reason=why, remedy=remedy)
            self._told(f"{peer} is left out for proved cheating, {why}; {remedy}")

    def _report(self, report: RoundReport) -> None:
        self._declined = {}
        known = {(past.task, past.round) for past in records.read(self._config.state)}
        if (report.task, report.round) not in known:
            records.append(self._config.state, report)
        self._log.info(
            "round_done",
            round=report.round,
            session=(report.session or "")[:16],
            status=report.status,
            in_the_sum=report.sets.get("u3", []),
            lost={peer: loss["round"] for peer, loss in report.lost.items()},
            absent=report.absent,
            epsilon=report.epsilon,
            model=report.model_after[:16],
        )
        self._reported(report)

    def _next_model(self, mean: Mean) -> bytes:
        """Return the model that a released mean leads to; it is on the disk by then."""
        rate = self._config.model.learning_rate
        blob = model_file.moved(self._blob, mean, self._layout, rate)
        digest = self.store.put(blob)
        self._log.debug("next_model", model=short(digest))
        return blob

    def _check_budget(self, aggregator: Aggregator) -> None:
        """Stop before a round whose release the ledger would refuse.

        A round that a restart found open goes on: its release may be charged already.
        """
        if self._account is not None and aggregator.open_round is None:
            self._account.require_next()
