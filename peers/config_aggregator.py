"""The file of the aggregator: where it listens, its task, noise and model."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    PositiveFloat,
    model_validator,
)

from peers.config_sections import Member, Metric, Section
from peers.config_types import (
    EntryPoint,
    JournalUrl,
    Keepalive,
    ModelFile,
    Names,
    Seconds,
    listed,
)
from secagg.drivers.aggregator.settings import RECONNECT_SECONDS
from secagg.drivers.postgres import DatabaseUrl
from secagg.drivers.wire.keepalive import KEEPALIVE_SECONDS

PHASES: Final = (
    "advertise_keys",
    "share_keys",
    "share_ack",
    "masked_input",
    "consistency",
    "unmasking",
    "result",
)
_ID: Final = r"^[a-z0-9-]{1,64}$"


class Listen(Section):
    """Where hospitals dial in."""

    host: str = Field(default="0.0.0.0", description="the address to bind")  # noqa: S104
    port: int = Field(
        default=8443, ge=0, le=65_535, description="0 takes any free port"
    )
    keepalive: Keepalive = Field(
        default=KEEPALIVE_SECONDS,
        description="seconds between pings; silent for two, a line is lost",
    )
    without_tls: bool = Field(
        default=False, description="plain websockets, on the loopback behind a proxy"
    )


class Extra(Metric):
    """A metric of the task, with the range in which every hospital's value lies."""

    low: float = Field(description="the smallest value")
    high: float = Field(description="the largest value")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low = {self.low:g} is above high = {self.high:g}")
        return self


class Durations(Section):
    """Seconds a phase may take before its silent members count as lost."""

    advertise_keys: Seconds = 10
    share_keys: Seconds = 10
    share_ack: Seconds = 10
    masked_input: Seconds = 120
    consistency: Seconds = 10
    unmasking: Seconds = 10
    result: Seconds = 60

    @property
    def milliseconds(self) -> tuple[int, ...]:
        """The seven durations as the Manifest has them."""
        return tuple(max(1, round(1000 * getattr(self, name))) for name in PHASES)


class TaskTerms(Section):
    """What is asked of the hospitals, round after round."""

    id: str = Field(pattern=_ID, description="the task's id: a-z, 0-9 and -")
    rounds: int = Field(ge=1, le=1 << 30, description="how many rounds to run")
    clip: float = Field(gt=0, description="C: the L2 norm an update is clipped to")
    coordinate_range: float | None = Field(
        default=None,
        alias="range",
        gt=0,
        description="where a coordinate saturates; clip, or 6 clip / sqrt(m) rotated",
    )
    ranges: dict[str, PositiveFloat] = Field(
        default_factory=dict,
        description="ranges by tensor, or by a pattern; of all others: range",
    )
    rotation: bool = Field(
        default=False, description="rotate updates, so that fewer bits serve"
    )
    bits: int = Field(
        default=16, ge=8, le=24, description="bits of a coordinate, 8 to 24"
    )
    weighting: Literal["uniform", "weighted"] = "uniform"
    max_weight: int = Field(
        default=1, ge=1, le=1 << 31, description="the largest weight"
    )
    corruption_bound: int = Field(
        default=1, ge=0, description="c, members that may collude"
    )
    graph: Literal["auto", "complete", "regular"] = Field(
        default="auto",
        description="who masks with whom: all with all, or few neighbours each; auto"
        " takes the regular graph from 151 members on",
    )
    losses: int | None = Field(
        default=None,
        ge=0,
        description="members that a regular graph may lose; a tenth of them",
    )
    min_members: int = Field(
        default=4, ge=3, description="the fewest members of a session"
    )
    expected: Names | None = Field(
        default=None, description="whose Ready opens a session at once; all hospitals"
    )
    ready_deadline: float = Field(
        default=3600, gt=0, description="seconds to wait for all to be ready"
    )
    reconnect: Seconds = Field(
        default=RECONNECT_SECONDS,
        description="seconds that hospitals may take to come back: added to the first"
        " deadline after a restart, and the least wait for another attempt",
    )
    linger: float = Field(
        default=30,
        ge=0,
        description="seconds to serve on after the last round, to fetch its mean",
    )
    chunk_log2: int = Field(
        default=18, ge=12, le=20, description="2^this elements per chunk"
    )
    extras: Annotated[tuple[Extra, ...], BeforeValidator(listed)] = ()
    durations: Durations = Durations()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.weighting == "uniform" and self.max_weight != 1:
            raise ValueError('max_weight needs weighting = "weighted"')
        radii = [self.coordinate_range or self.clip, *self.ranges.values()]
        if max(radii) > self.clip:
            raise ValueError(f"range is above clip = {self.clip:g}")
        if self.rotation and self.ranges:
            raise ValueError("a rotation mixes the tensors: leave out [task.ranges]")
        names = [extra.wire_name for extra in self.extras]
        if len(set(names)) != len(names):
            raise ValueError("two extras have the same name")
        return self


class Privacy(Section):
    """Noise on what is released, and the budget that stops the task."""

    noise_multiplier: float = Field(gt=0, description="z: sigma in sensitivities")
    epsilon: float = Field(gt=0, description="what the whole task may spend")
    delta: float = Field(gt=0, lt=1, description="the delta epsilon is stated at")
    adjacency: Literal["zero-out", "replace-one"] = "zero-out"


class Model(Section):
    """The global model: where it comes from and how a mean moves it."""

    path: ModelFile | None = Field(
        default=None, description="its first state, safetensors"
    )
    factory: EntryPoint | None = Field(
        default=None, description="'module:function' that returns its first state_dict"
    )
    frozen: Names = Field(default=(), description="tensors that stay out of the sum")
    learning_rate: float = Field(
        default=1.0, gt=0, description="model += rate * mean update"
    )
    keep: int = Field(
        default=1, ge=1, description="how many of the last models stay on disk"
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.path is None) == (self.factory is None):
            raise ValueError("give either path or factory")
        return self


class Unmasking(Section):
    """Where the masks of lost members are expanded, if not in this process."""

    dask: str | None = Field(
        default=None,
        pattern=r"^(tcp|tls)://\S+$",
        description="the address of a Dask scheduler, tls://host:port",
    )


class JournalTerms(Section):
    """Where journal and privacy ledger are, if not in the state folder."""

    url: JournalUrl | None = Field(
        default=None,
        repr=False,
        description="a PostgreSQL database of this aggregator alone, postgresql://...",
    )

    @property
    def database(self) -> DatabaseUrl | None:
        """The database."""
        return None if self.url is None else DatabaseUrl(self.url.get_secret_value())


class AggregatorConfig(Member):
    """The file of ``secagg aggregator``."""

    listen: Listen = Listen()
    journal: JournalTerms = JournalTerms()
    unmasking: Unmasking = Unmasking()
    task: TaskTerms = Field(description="the table [task]: id, rounds, clip, ...")
    privacy: Privacy | None = None
    model: Model = Field(description="the table [model]: path or factory")

    @model_validator(mode="after")
    def _meaningful(self) -> Self:
        if self.privacy is not None and self.task.weighting == "weighted":
            raise ValueError(
                "noise that hides a hospital hides the sum of the weights as well, and"
                ' the mean with it: with [privacy] write weighting = "uniform" in'
                " [task], without max_weight"
            )
        return self
