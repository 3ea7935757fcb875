"""The configuration of the two programs: one TOML file each, checked in full.

What a key means, its unit and its range stand here once; the errors quote it.
Paths are relative to the folder of the file. Nothing is read from the environment but
what `passphrase_env` names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    model_validator,
)

from peers.config_types import (
    Digest,
    EntryPoint,
    IdentityFile,
    JournalUrl,
    Keepalive,
    ModelFile,
    Names,
    PemFile,
    PublicKey,
    RosterFile,
    Seconds,
    SomePath,
    listed,
)
from peers.toml_file import read_config
from secagg.drivers.aggregator.settings import RECONNECT_SECONDS
from secagg.drivers.postgres import DatabaseUrl
from secagg.drivers.wire.keepalive import KEEPALIVE_SECONDS
from secagg.params import MAX_ATTEMPTS, SMALLEST_SPARSE, SPARSE_CORRUPT_PERCENT

PHASES: Final = (
    "advertise_keys",
    "share_keys",
    "share_ack",
    "masked_input",
    "consistency",
    "unmasking",
    "result",
)
_NAME: Final = r"^[a-z0-9_]{1,28}$"
_ID: Final = r"^[a-z0-9-]{1,64}$"


class Section(BaseModel):
    """A table: no unknown keys, exact types, never changed."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        populate_by_name=True,
    )


class Tls(Section):
    """A site's own certificates instead of those made from the identities."""

    certificate: PemFile = Field(description="our certificate chain, PEM")
    key: PemFile = Field(description="its private key, PEM")
    ca: PemFile = Field(description="the CA that signed the other side, PEM")


class Log(Section):
    """Where the log goes: JSON lines."""

    file: SomePath | None = Field(
        default=None, description="a file; standard error if left out"
    )
    level: Literal["debug", "info", "warning"] = "info"


class Health(Section):
    """Where whoever watches the service may ask, over plain HTTP."""

    listen: str | None = Field(
        default=None,
        pattern=r"^\S+:\d{1,5}$",
        description="host:port for /healthz and /readyz, such as 127.0.0.1:9090",
    )


class Member(Section):
    """What both programs need to be somebody."""

    identity: IdentityFile = Field(description="our identity file")
    passphrase_file: SomePath | None = Field(
        default=None, description="a file with the passphrase of the identity"
    )
    passphrase_env: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="the name of an environment variable with that passphrase",
    )
    roster: RosterFile = Field(description="the consortium's signed roster")
    consortium_key: PublicKey = Field(
        description="the consortium's public key, 64 hexadecimal digits"
    )
    state: SomePath = Field(description="the folder for what must survive a restart")
    tls: Tls | None = None
    log: Log = Log()
    health: Health = Health()

    @model_validator(mode="after")
    def _one_passphrase(self) -> Self:
        if self.passphrase_file is not None and self.passphrase_env is not None:
            raise ValueError("give either passphrase_file or passphrase_env")
        return self


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


class Metric(Section):
    """A number that rides along, exact; a float with `decimals` of them.

    On the wire it is an integer coordinate named ``<name>`` or ``<name>_e<decimals>``,
    so both sides mean the same unit.
    """

    name: str = Field(pattern=_NAME, description="a name of a-z, 0-9 and _")
    decimals: int = Field(default=0, ge=0, le=9, description="decimals kept, 0 to 9")

    @property
    def wire_name(self) -> str:
        """The name of its extra coordinate."""
        return f"{self.name}_e{self.decimals}" if self.decimals else self.name

    @property
    def scale(self) -> int:
        """Integers per unit."""
        return int(10**self.decimals)


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


class Training(Section):
    """The hospital's own training code."""

    trainer: EntryPoint = Field(
        description="'module:function' of train(state_dict, round_info)"
    )
    framework: Literal["torch", "numpy"] = "torch"
    metrics: Annotated[tuple[Metric, ...], BeforeValidator(listed)] = ()
    frozen: Names = Field(default=(), description="as the task's [model] frozen")
    architectures: Annotated[tuple[Digest, ...] | None, BeforeValidator(listed)] = (
        Field(
            default=None,
            description="digests of names, types and shapes to train on; any",
        )
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="a table handed to the trainer as it is"
    )


class PolicyTerms(Section):
    """What a session must satisfy before this hospital joins it."""

    roster_updates: Literal["automatic", "pinned"] = Field(
        default="automatic",
        description="whether further versions that the consortium signed are pinned by"
        " themselves, or only by `secagg roster install`",
    )
    min_members: int = Field(default=4, ge=3)
    corruption_bound: int = Field(default=1, ge=0)
    min_inputs: int = Field(default=3, ge=3)
    smallest_sparse: int = Field(default=SMALLEST_SPARSE, ge=3)
    sparse_corrupt_percent: int = Field(default=SPARSE_CORRUPT_PERCENT, ge=0, le=33)
    max_clip: float | None = Field(default=None, gt=0)
    min_bits: int = Field(default=8, ge=8, le=24)
    min_range: float | None = Field(default=None, gt=0)
    max_ranges: int = Field(default=1024, ge=1, le=1024)
    rotation: bool = True
    weightings: Names = ("uniform", "weighted")
    max_weight: int = Field(default=1 << 31, ge=1, le=1 << 31)
    min_noise_multiplier: float = Field(default=0.0, ge=0)
    max_epsilon: float | None = Field(
        default=None,
        gt=0,
        description="what all tasks may spend by this hospital's own account; demands"
        " noise",
    )
    delta: float = Field(
        default=1e-6, gt=0, lt=1, description="the delta max_epsilon is stated at"
    )
    min_difference: int = Field(
        default=0,
        ge=0,
        description="members by which the sets of two sums must differ, if at all; 2 to"
        " hide one hospital's weight",
    )
    max_attempts: int | None = Field(default=None, ge=1, le=MAX_ATTEMPTS)
    models: Annotated[tuple[Digest, ...] | None, BeforeValidator(listed)] = Field(
        default=None, description="SHA-256 of the models to train on; any"
    )
    max_length: int = Field(default=1 << 40, ge=1)


class HospitalConfig(Member):
    """The file of ``secagg hospital``."""

    aggregator: str = Field(
        pattern=r"^wss?://\S+$", description="the aggregator's address, wss://host:port"
    )
    proxy: str | None = Field(
        default=None,
        pattern=r"^(https?|socks[45]h?)://\S+$",
        description="the site's own proxy, such as http://proxy:3128; none",
    )
    keepalive: Keepalive = Field(
        default=KEEPALIVE_SECONDS,
        description="seconds between pings, as at the aggregator; silent for two, a"
        " line is lost and dialled anew",
    )
    tasks: Names | None = Field(
        default=None, description="task ids to take part in; all"
    )
    engine: Literal["auto", "numpy-threads", "numba-threads", "triton"] = Field(
        default="auto",
        description="what expands the masks; triton for a GPU, where updates then stay",
    )
    training: Training = Field(description="the table [training]: trainer, options")
    policy: PolicyTerms = PolicyTerms()


class RosterPlace(Section):
    """What `secagg roster install` needs of either program's file."""

    model_config = ConfigDict(extra="ignore")

    roster: SomePath
    consortium_key: PublicKey


def load_roster_place(path: Path) -> RosterPlace:
    """Read where a program has its roster, and whose signature it asks for.

    Raises:
        ConfigError: with the file, the line, the key and the remedy.
    """
    return read_config(path, RosterPlace, example="give the program's own file")


def load_aggregator(path: Path) -> AggregatorConfig:
    """Read the file of an aggregator.

    Raises:
        ConfigError: with the file, the line, the key and the remedy.
    """
    example = "write one with `secagg aggregator --example > aggregator.toml`"
    return read_config(path, AggregatorConfig, example=example)


def load_hospital(path: Path) -> HospitalConfig:
    """Read the file of a hospital.

    Raises:
        ConfigError: with the file, the line, the key and the remedy.
    """
    example = "write one with `secagg hospital --example > hospital.toml`"
    return read_config(path, HospitalConfig, example=example)
