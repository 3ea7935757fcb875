"""The file of a hospital: its trainer, and its policy."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
)

from peers.config_sections import Member, Metric, Section
from peers.config_types import (
    Digest,
    EntryPoint,
    Keepalive,
    Names,
    listed,
)
from secagg.drivers.wire.keepalive import KEEPALIVE_SECONDS
from secagg.params import MAX_ATTEMPTS, SMALLEST_SPARSE, SPARSE_CORRUPT_PERCENT


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
