"""The folder of one run of the demo: who there is, and what everybody is given.

Identities, the signed roster, a configuration file each, each hospital's patients in a
file of its own, and the first model.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peers import enrolment, model_file, spending
from peers.config_aggregator import PHASES
from peers.demo import trainer
from peers.demo.data import Study
from peers.demo.terms import (
    CHUNK_LOG2,
    CORRUPTION_BOUND,
    DELTA,
    LOSS_DECIMALS,
    TASK_ID,
    Terms,
)
from secagg import Identity
from secagg.entropy import Entropy, SystemEntropy
from secagg.names import PeerId
from secagg.roster import RosterMember
from secagg.roster_chain import RosterChain
from secagg.tensors import Layout

AGGREGATOR = "aggregator"
CLIP = 0.4
READY_SECONDS = 30.0
PHASE_SECONDS = 4.0
"""What one loss costs: the phase in which a hospital falls silent lasts so long."""

LINGER_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """The folder, and what is in it.

    Attributes:
        folder: everything lies below it.
        study: the hospitals and their patients.
        terms: the task's.
        port: where the aggregator listens.
        learning_rate: of the hospitals' training.
    """

    folder: Path
    study: Study
    terms: Terms
    port: int
    learning_rate: float

    @property
    def state(self) -> Path:
        """The aggregator's state directory."""
        return self.folder / "aggregator-state"

    @property
    def recordings(self) -> Path:
        """What the hospitals write down."""
        return self.folder / "recordings"

    def config(self, party: str) -> Path:
        """Return a party's configuration file."""
        return self.folder / f"{party}.toml"

    def log(self, party: str) -> Path:
        """Return a party's log."""
        return self.folder / f"{party}.log"

    def output(self, party: str) -> Path:
        """Return the file for what a party would print."""
        return self.folder / f"{party}.out"

    def model(self, digest: str) -> bytes:
        """Return a model that the aggregator kept."""
        return (self.state / "model" / f"{digest}.safetensors").read_bytes()

    @property
    def options(self) -> dict[str, Any]:
        """What every trainer is handed, but for its patients."""
        return {
            "learning_rate": self.learning_rate,
            "max_weight": self.terms.max_weight,
        }


def terms_of(study: Study, *, rounds: int, epsilon: float | None) -> Terms:
    """Return the terms of a run.

    Args:
        study: whose hospitals and model.
        rounds: how many.
        epsilon: the privacy budget; None for no noise.

    Raises:
        ParameterError: the budget cannot be met.
    """
    noise = None
    if epsilon is not None:
        noise = spending.noise_for(epsilon, rounds, DELTA)
    most = max(len(patients) for patients in study.sites.values())
    return Terms(
        hospitals=tuple(sorted(study.sites)),
        rounds=rounds,
        length=Layout.of(trainer.initial(study.width)).size,
        clip=CLIP,
        max_weight=1 if noise else most,
        noise_multiplier=noise,
        epsilon=epsilon,
    )


def prepare(place: Workplace) -> None:
    """Fill the folder."""
    entropy = SystemEntropy()
    place.recordings.mkdir()
    consortium = _founded(place, entropy)
    model = model_file.save(trainer.initial(place.study.width))
    (place.folder / "first-model.safetensors").write_bytes(model)
    key = consortium.key.public.hex()
    place.config(AGGREGATOR).write_text(_aggregator_file(place, key), encoding="utf-8")
    for silo, patients in place.study.sites.items():
        patients.save(place.folder / f"{silo}.npz")
        text = _hospital_file(place, silo, key)
        place.config(silo).write_text(text, encoding="utf-8")


def _founded(place: Workplace, entropy: Entropy) -> Identity:
    """Make the identities and sign the roster."""
    consortium = Identity.generate(PeerId("consortium"), entropy)
    members = []
    for party in (AGGREGATOR, *place.study.sites):
        identity = Identity.generate(PeerId(party), entropy)
        identity.save(place.folder / f"{party}.identity.json")
        role = "aggregator" if party == AGGREGATOR else "hospital"
        key = identity.key.public
        members.append(
            RosterMember(id=identity.id, role=role, key=key, name=party.title())
        )
    chain = RosterChain.founded("The demo's consortium", members, consortium.key)
    enrolment.write_roster(place.folder / "roster.json", chain)
    return consortium


def _common(party: str, key: str) -> str:
    return f"""identity = "{party}.identity.json"
roster = "roster.json"
consortium_key = "{key}"
state = "{party}-state"
"""


def _aggregator_file(place: Workplace, key: str) -> str:
    terms = place.terms
    answered = [name for name in PHASES if name != "result"]
    durations = "\n".join(f"{name} = {PHASE_SECONDS}" for name in answered)
    return f"""{_common(AGGREGATOR, key)}
[listen]
host = "127.0.0.1"
port = {place.port}

[task]
id = "{TASK_ID}"
rounds = {terms.rounds}
clip = {terms.clip}
bits = {terms.bits}
weighting = "{terms.weighting}"
max_weight = {terms.max_weight}
corruption_bound = {CORRUPTION_BOUND}
min_members = {len(terms.hospitals) - terms.tolerated}
ready_deadline = {READY_SECONDS}
chunk_log2 = {CHUNK_LOG2}
linger = {LINGER_SECONDS}

[task.durations]
{durations}
{_metric_or_noise(terms)}
[model]
path = "first-model.safetensors"
keep = {terms.rounds + 1}

[log]
file = "{AGGREGATOR}.log"
"""


def _metric_or_noise(terms: Terms) -> str:
    """Return the table of the metric that rides along, or of noise in its place.

    The noise that hides a hospital's parameters would drown a single number.
    """
    if terms.epsilon is None:
        return f"""
[[task.extras]]
name = "loss"
low = 0
high = {trainer.MAX_LOSS}
decimals = {LOSS_DECIMALS}
"""
    return f"""
[privacy]
noise_multiplier = {terms.noise_multiplier}
epsilon = {terms.epsilon}
delta = {DELTA}
"""


def _hospital_file(place: Workplace, silo: str, key: str) -> str:
    options = {**place.options, "patients": str(place.folder / f"{silo}.npz")}
    listed = "\n".join(
        f"{name} = {json.dumps(value)}" for name, value in options.items()
    )
    metrics = f'metrics = [{{ name = "loss", decimals = {LOSS_DECIMALS} }}]\n'
    return f"""aggregator = "wss://127.0.0.1:{place.port}"
{_common(silo, key)}tasks = ["{TASK_ID}"]

[training]
trainer = "peers.demo.trainer:train"
{metrics if place.terms.epsilon is None else ""}
[training.options]
{listed}

[log]
file = "{silo}.log"
"""
