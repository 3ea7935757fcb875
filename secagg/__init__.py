"""Secure aggregation: many parties add up vectors; nobody learns more than the sum.

A hospital takes part in a few lines::

    async with secagg.connect(
        "wss://aggregator:8443", identity=identity, roster=roster, state="state"
    ) as silo:
        mean = await silo.contribute(update, weight=n_samples)

and the aggregator runs rounds::

    async with secagg.serve(
        "0.0.0.0", 8443, identity=identity, roster=roster, task=task, state="state"
    ) as aggregator:
        outcome = await aggregator.run_round()

Without a network, `simulate` runs the same machines in this process.

What is listed here is the public interface; everything else may change.
"""

from secagg import errors
from secagg.drivers.aggregator.aggregator import Aggregator
from secagg.drivers.api import connect, serve
from secagg.drivers.outcome import RoundOutcome, RoundRecord
from secagg.drivers.roster_book import RosterBook
from secagg.drivers.silo.silo import Silo
from secagg.drivers.silo.store import MemoryStore
from secagg.errors import (
    ConnectionRefused,
    InputError,
    NotEnrolled,
    ReleaseRefused,
    RoundMissed,
    SecaggError,
    SessionAborted,
)
from secagg.identity import Identity
from secagg.messages import Extra, NoiseTerms, RoundOpen
from secagg.names import VERSION
from secagg.policy import Policy
from secagg.privacy.ledger import Budget
from secagg.roster import Roster, SignedRoster
from secagg.roster_chain import RosterChain
from secagg.simulation import simulate
from secagg.task import Task
from secagg.tensors import Layout

__version__ = VERSION

__all__ = [
    "Aggregator",
    "Budget",
    "ConnectionRefused",
    "Extra",
    "Identity",
    "InputError",
    "Layout",
    "MemoryStore",
    "NoiseTerms",
    "NotEnrolled",
    "Policy",
    "ReleaseRefused",
    "Roster",
    "RosterBook",
    "RosterChain",
    "RoundMissed",
    "RoundOpen",
    "RoundOutcome",
    "RoundRecord",
    "SecaggError",
    "SessionAborted",
    "SignedRoster",
    "Silo",
    "Task",
    "connect",
    "errors",
    "serve",
    "simulate",
]
