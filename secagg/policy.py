"""A hospital's own floors: what it agrees to whatever the aggregator asks (spec 4.1-5).

The defaults are the consortium's usual ones; a hospital may only be made stricter or
laxer by its own configuration, never by a message.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from secagg import errors
from secagg.messages import Manifest
from secagg.params import (
    SMALLEST_SPARSE,
    SPARSE_CORRUPT_PERCENT,
    input_floor,
)
from secagg.scale import MAX_RANGES


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a Manifest must satisfy before this hospital joins.

    Attributes:
        tasks: task ids it takes part in; None allows any.
        min_members: the least n.
        corruption_bound: the least c; 1 needs n >= 4, and n = 3 needs 0.
        min_inputs: the least |U3| that the Manifest's n and c may lead to.
        max_clip: the greatest clip norm C; None allows any.
        min_bits: the least b.
        min_range: the least range of a coordinate; None allows any. A narrow one
            saturates: the sum is then of little but signs.
        max_ranges: the most ranges that coordinates may have.
        rotation: whether an update may be rotated before it is rounded.
        weightings: which of ``uniform`` and ``weighted`` it accepts.
        max_weight: the greatest w_max of a weighted mean.
        min_noise_multiplier: 0 accepts a sum without noise; above 0 the Manifest must
            announce at least so much.
        max_epsilon: what the releases of all tasks may cost together by this hospital's
            own account, at `delta`; None keeps none. Any account demands noise.
        delta: where that epsilon is stated.
        min_difference: by how many members the sets of two sums must differ, unless
            they are equal, wherever a member's numbers may be the same in both (rule
            4.5-8); 0 allows any.
        max_attempts: the last attempt of a round that it joins, 1 to 3; None for all.
        models: SHA-256 of the models it trains on; None allows any.
        max_length: the greatest m.
        smallest_sparse: the least n for which a regular graph is accepted.
        sparse_corrupt_percent: the least c on a regular graph, in percent of n. There
            a secret opens to c_k + 1 neighbours, 2 of them at c = 1 whatever n; on the
            complete graph, to no fewer than half of all.
    """

    tasks: frozenset[str] | None = None
    min_members: int = 4
    corruption_bound: int = 1
    min_inputs: int = 3
    max_clip: float | None = None
    min_bits: int = 8
    min_range: float | None = None
    max_ranges: int = MAX_RANGES
    rotation: bool = True
    weightings: frozenset[str] = frozenset({"uniform", "weighted"})
    max_weight: int = 1 << 31
    min_noise_multiplier: float = 0.0
    max_epsilon: float | None = None
    delta: float = 1e-6
    min_difference: int = 0
    max_attempts: int | None = None
    models: frozenset[bytes] | None = None
    max_length: int = 1 << 40
    smallest_sparse: int = SMALLEST_SPARSE
    sparse_corrupt_percent: int = SPARSE_CORRUPT_PERCENT

    def check(self, manifest: Manifest) -> None:
        """Refuse a Manifest below any floor.

        Raises:
            RemoteProtocolError: rule 4.1-5, with both values.
        """
        n, c = len(manifest.members), manifest.corruption_bound
        inputs = input_floor(n, c, manifest.losses)
        self.check_round(manifest.task_id, manifest.model_hash)
        _demand(
            n >= self.min_members, f"n = {n} is below min_members {self.min_members}"
        )
        bound = self.corruption_bound
        _demand(c >= bound, f"c = {c} is below corruption_bound {bound}")
        least = self.min_inputs
        _demand(inputs >= least, f"|U3| may be {inputs}, below min_inputs {least}")
        attempt, last = manifest.attempt, self.max_attempts
        _demand(
            last is None or attempt <= last,
            f"attempt {attempt} exceeds max_attempts {last}",
        )
        self._check_graph(manifest)
        self._check_numbers(manifest)

    def check_round(self, task_id: str, model_hash: bytes) -> None:
        """Refuse a task or a model that is not among those this hospital allows.

        All that is known of a round before it has a Manifest.

        Raises:
            RemoteProtocolError: rule 4.1-5, with what was found and how many there are.
        """
        tasks, models = self.tasks, self.models
        _demand(
            tasks is None or task_id in tasks,
            f"task {task_id} is not among the {len(tasks or ())} of tasks",
        )
        _demand(
            models is None or model_hash in models,
            f"model {model_hash.hex()} is not among the {len(models or ())} of models",
        )

    def _check_graph(self, manifest: Manifest) -> None:
        if manifest.graph == "complete":
            return
        n, c = len(manifest.members), manifest.corruption_bound
        sparse, percent = self.smallest_sparse, self.sparse_corrupt_percent
        _demand(
            n >= sparse,
            f"n = {n} is below smallest_sparse {sparse} for the {manifest.graph} graph",
        )
        _demand(
            100 * c >= percent * n,
            f"c = {c} of n = {n} is below sparse_corrupt_percent {percent} for the"
            f" {manifest.graph} graph",
        )

    def _check_numbers(self, manifest: Manifest) -> None:
        clip, limit = manifest.clip, self.max_clip
        _demand(limit is None or clip <= limit, f"clip {clip} exceeds max_clip {limit}")
        bits = manifest.bits
        _demand(bits >= self.min_bits, f"bits {bits} is below min_bits {self.min_bits}")
        self._check_ranges(manifest)
        kind = manifest.weighting
        _demand(kind in self.weightings, f"weighting {kind} is not in weightings")
        weight = manifest.max_weight
        _demand(weight <= self.max_weight, f"w_max {weight} exceeds {self.max_weight}")
        z = 0.0 if manifest.dp is None else manifest.dp.noise_multiplier
        floor = self.min_noise_multiplier
        _demand(
            z >= floor, f"noise multiplier {z} is below min_noise_multiplier {floor}"
        )
        m = manifest.length
        _demand(m <= self.max_length, f"m = {m} exceeds max_length {self.max_length}")

    def _check_ranges(self, manifest: Manifest) -> None:
        narrowest = min((radius for _, radius in manifest.ranges), default=math.inf)
        floor = self.min_range
        _demand(
            floor is None or narrowest >= floor,
            f"a range is {narrowest}, below min_range {floor}",
        )
        count, most = len(manifest.ranges), self.max_ranges
        _demand(count <= most, f"{count} ranges exceed max_ranges {most}")
        rotated = manifest.rotation is not None
        _demand(self.rotation or not rotated, "a rotation, and rotation is not allowed")


def _demand(condition: bool, detail: str) -> None:
    errors.require("4.1-5", condition, f"{detail} (this hospital's policy)")
