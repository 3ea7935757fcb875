"""secagg.policy: a hospital's own floors, one by one (4.1-5)."""

from dataclasses import replace
from typing import Any

import pytest

from secagg import errors
from secagg.graph import degree_of
from secagg.messages import Manifest, Member, NoiseTerms
from secagg.names import PeerId
from secagg.policy import Policy
from tests.samples import MANIFEST, blob


def manifest(n: int = 6, c: int = 1, **other) -> Manifest:
    members = tuple(Member(peer=PeerId(f"u{i}"), ready_nonce=blob(1)) for i in range(n))
    return replace(MANIFEST, members=members, corruption_bound=c, **other)


def noise(z: float) -> NoiseTerms:
    return NoiseTerms(
        mechanism="discrete-gaussian",
        noise_multiplier=z,
        adjacency="zero-out",
        delta=1e-5,
    )


def test_the_default_takes_four_members_with_one_corrupt() -> None:
    Policy().check(manifest(4, 1))


@pytest.mark.parametrize(("n", "c"), [(3, 0), (4, 0), (10, 0)])
def test_the_default_refuses_fewer_members_or_no_corruption(n, c) -> None:
    with pytest.raises(errors.RemoteProtocolError, match="policy") as caught:
        Policy().check(manifest(n, c))
    assert caught.value.rule == "4.1-5"


FLOORS: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], str]] = [
    ({"tasks": frozenset({"a"})}, {"task_id": "b"}, {"task_id": "a"}, "b"),
    ({"min_members": 6}, {"n": 5}, {"n": 6}, "n = 5"),
    ({"corruption_bound": 2}, {"n": 10, "c": 1}, {"n": 10, "c": 2}, "c = 1"),
    ({"min_inputs": 5}, {"n": 6}, {"n": 8}, "min_inputs 5"),
    (
        {"smallest_sparse": 13, "min_inputs": 11, "sparse_corrupt_percent": 0},
        {"n": 13, "graph": "regular", "losses": 3},
        {"n": 13, "graph": "regular", "losses": 2},
        "|U3| may be 10, below min_inputs 11",
    ),
    (
        {"smallest_sparse": 13, "sparse_corrupt_percent": 0},
        {"n": 12, "graph": "regular", "losses": 2},
        {"n": 13, "graph": "regular", "losses": 2},
        "n = 12 is below smallest_sparse 13 for the regular graph",
    ),
    (
        {"smallest_sparse": 13, "sparse_corrupt_percent": 10},
        {"n": 21, "c": 2, "graph": "regular", "losses": 2},
        {"n": 20, "c": 2, "graph": "regular", "losses": 2},
        "c = 2 of n = 21 is below sparse_corrupt_percent 10 for the regular graph",
    ),
    ({"max_clip": 1.5}, {"clip": 1.51}, {"clip": 1.5}, "1.51"),
    ({"min_bits": 16}, {"bits": 15}, {"bits": 16}, "15"),
    ({"min_range": 0.5}, {"ranges": ((1, 0.49), (1, 1.0))}, {}, "0.49"),
    ({"max_ranges": 1}, {"ranges": ((1, 1.0),) * 2}, {}, "2 ranges"),
    ({"rotation": False}, {"rotation": blob(1)}, {}, "rotation"),
    (
        {"weightings": frozenset({"uniform"})},
        {"weighting": "weighted"},
        {"weighting": "uniform"},
        "weighted",
    ),
    ({"max_weight": 10}, {"max_weight": 11}, {"max_weight": 10}, "11"),
    ({"min_noise_multiplier": 0.5}, {"dp": None}, {"dp": noise(0.5)}, "0.0"),
    ({"min_noise_multiplier": 0.5}, {"dp": noise(0.49)}, {"dp": noise(3.0)}, "0.49"),
    ({"max_attempts": 1}, {"attempt": 2}, {"attempt": 1}, "attempt 2 exceeds"),
    (
        {"models": frozenset({blob(8)})},
        {"model_hash": blob(9)},
        {"model_hash": blob(8)},
        "is not among the 1 of models",
    ),
    ({"max_length": 100}, {"length": 101}, {"length": 100}, "m = 101"),
]


@pytest.mark.parametrize(("floor", "below", "at", "said"), FLOORS)
def test_a_manifest_below_one_floor_is_refused_by_4_1_5_with_its_value(
    floor, below, at, said
) -> None:
    policy = Policy(**{"min_members": 4, **floor})
    policy.check(manifest(**{"ranges": ((2, 0.5),), **at}))
    with pytest.raises(errors.RemoteProtocolError) as caught:
        policy.check(manifest(**below))
    assert caught.value.rule == "4.1-5"
    assert said in caught.value.detail


def test_the_share_of_the_corrupt_is_asked_for_on_a_regular_graph_alone() -> None:
    policy = Policy(smallest_sparse=13, sparse_corrupt_percent=10)
    policy.check(manifest(21, 2))
    with pytest.raises(errors.RemoteProtocolError, match="sparse_corrupt_percent"):
        policy.check(manifest(21, 2, graph="regular", losses=2))


def test_a_regular_graph_of_little_corruption_has_a_threshold_of_two() -> None:
    """Why a hospital may ask for a share of n: c = 1 stays 1 among a thousand."""
    assert degree_of(1000, 1, 100).t == 2
    assert degree_of(1000, 100, 100).t == 33


def test_tasks_none_and_clip_none_allow_any() -> None:
    Policy().check(manifest(task_id="anything", clip=1e300))


def test_every_field_of_the_policy_has_a_floor_above() -> None:
    tried = {name for floor, *_ in FLOORS for name in floor}
    # Of memory, not of a Manifest alone: secagg.privacy.own_budget, secagg.differences.
    tried |= {"max_epsilon", "delta", "min_difference"}
    assert tried == set(Policy.__dataclass_fields__)


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (Policy(tasks=frozenset({"a", "b"})), "task t is not among the 2 of tasks"),
        (Policy(tasks=frozenset()), "task t is not among the 0 of tasks"),
        (Policy(models=frozenset({blob(8)})), f"model {blob(9).hex()} is not among"),
    ],
)
def test_before_a_manifest_task_and_model_are_judged_and_no_list_is_told(
    policy, said
) -> None:
    Policy().check_round("t", blob(9))
    with pytest.raises(errors.RemoteProtocolError) as caught:
        policy.check_round("t", blob(9))
    assert caught.value.rule == "4.1-5"
    assert said in caught.value.detail
    assert blob(8).hex()[:16] not in caught.value.detail
