"""secagg.task: the operator's terms become a Manifest, in one place."""

import math
from dataclasses import replace

import pytest

from secagg import errors
from secagg.messages import Extra, NoiseTerms
from secagg.names import PeerId
from secagg.params import Parameters
from secagg.task import DEFAULT_DURATIONS, Task
from tests.helpers import scene
from tests.samples import blob

ROSTER = scene(5).consortium.roster
READY = {PeerId(f"silo-00{i}"): blob(i) for i in (3, 1, 2, 5)}
TASK = Task(
    task_id="t",
    length=8,
    clip=2.0,
    bits=12,
    weighting="weighted",
    max_weight=9,
    extras=(Extra(name="n", low=0, high=5),),
    chunk_log2=13,
)
NOISE = NoiseTerms(
    mechanism="discrete-gaussian",
    noise_multiplier=1.0,
    adjacency="zero-out",
    delta=1e-6,
)


def manifest(task=TASK, rotation=None):
    return task.manifest(
        aggregator=PeerId("aggregator"),
        roster=ROSTER,
        ready=READY,
        round_no=4,
        attempt=2,
        model_hash=blob(7),
        previous_link=blob(8),
        rotation=rotation,
    )


def test_the_manifest_says_what_the_task_says() -> None:
    made = manifest()
    same = ("task_id", "length", "clip", "bits", "weighting", "max_weight", "extras")
    for name in (*same, "corruption_bound", "chunk_log2", "dp", "durations"):
        assert getattr(made, name) == getattr(TASK, name), name


def test_the_manifest_says_what_this_session_is() -> None:
    made = manifest()
    assert (made.round_no, made.attempt, made.aggregator) == (4, 2, "aggregator")
    assert (made.model_hash, made.previous_link) == (blob(7), blob(8))
    assert made.roster_hash == ROSTER.hash
    kinds = (made.graph, made.losses, made.keystream, made.rotation)
    assert kinds == ("complete", None, "chacha20", None)


def test_the_members_are_those_ready_sorted_with_their_nonces() -> None:
    members = manifest().members
    assert [m.peer for m in members] == sorted(READY)
    assert {m.peer: m.ready_nonce for m in members} == READY


@pytest.mark.parametrize(("given", "said"), [(None, 2.0), (0.25, 0.25)])
def test_without_a_range_of_its_own_nothing_saturates(given, said) -> None:
    assert manifest(replace(TASK, coordinate_range=given)).ranges == ((8, said),)


def test_ranges_of_their_own_go_into_the_manifest() -> None:
    ranges = ((5, 0.5), (3, 2.0))
    assert manifest(replace(TASK, ranges=ranges)).ranges == ranges


def test_ranges_of_another_length_or_beside_one_range_are_refused() -> None:
    with pytest.raises(errors.ParameterError, match="7 coordinates, the update has 8"):
        replace(TASK, ranges=((5, 0.5), (2, 2.0)))
    with pytest.raises(errors.ParameterError, match="give one of them"):
        replace(TASK, ranges=((8, 0.5),), coordinate_range=1.0)


def test_a_rotation_takes_the_sessions_seed_and_a_range_of_six_deviations() -> None:
    task = replace(TASK, rotation=True, length=5000)
    made = manifest(task, rotation=blob(3))
    assert made.rotation == blob(3)
    assert made.ranges == ((5000, 2.0 * 6 / math.sqrt(8192)),)
    assert task.scale.coordinates == Parameters.of(made).coordinates == 8192
    assert manifest(replace(task, length=3), blob(3)).ranges == ((3, 2.0),)
    wide = replace(task, coordinate_range=0.7)
    assert manifest(wide, blob(3)).ranges == ((5000, 0.7),)


def test_a_seed_is_given_if_and_only_if_the_task_rotates() -> None:
    with pytest.raises(errors.ParameterError, match="missing"):
        manifest(replace(TASK, rotation=True))
    with pytest.raises(errors.ParameterError, match="given"):
        manifest(TASK, rotation=blob(3))


def test_a_rotation_beside_several_ranges_is_refused() -> None:
    with pytest.raises(errors.ParameterError, match="mixes the coordinates"):
        replace(TASK, rotation=True, ranges=((5, 0.5), (3, 2.0)))


def test_a_task_with_the_defaults_is_within_all_ranges() -> None:
    params = Parameters.of(manifest(Task(task_id="t", length=1, clip=1.0)))
    assert (params.n, params.c) == (4, 1)
    assert len(DEFAULT_DURATIONS) == 7


@pytest.mark.parametrize(
    ("n", "asked", "found"),
    [
        (150, {}, ("complete", None, 1)),
        (151, {}, ("regular", 15, 16)),
        (151, {"losses": 40}, ("regular", 40, 16)),
        (1000, {}, ("regular", 100, 100)),
        (1000, {"corruption_bound": 200}, ("regular", 100, 200)),
        (1000, {"graph": "complete"}, ("complete", None, 1)),
        (12, {"graph": "regular"}, ("regular", 1, 1)),
        (12, {"graph": "regular", "losses": 2}, ("regular", 2, 1)),
        # 151 members of whom 50 may be corrupt and 20 lost: no sparse graph is safe.
        (151, {"corruption_bound": 50, "losses": 30}, ("complete", None, 50)),
    ],
)
def test_many_members_have_a_regular_graph_unless_told(n, asked, found) -> None:
    assert Task(task_id="t", length=1, clip=1.0, **asked).graph_of(n) == found


@pytest.mark.parametrize(
    "asked",
    [
        {"graph": "star"},
        {"graph": "regular", "losses": 5},
        {"graph": "regular", "losses": 3},
    ],
)
def test_a_graph_that_is_not_there_is_refused(asked) -> None:
    with pytest.raises(errors.ParameterError):
        Task(task_id="t", length=1, clip=1.0, **asked).graph_of(12)


def test_noise_goes_into_the_manifest_of_a_uniform_mean() -> None:
    noised = replace(TASK, weighting="uniform", max_weight=1, dp=NOISE)
    assert manifest(noised).dp == NOISE


def test_noise_on_a_weighted_mean_is_refused_with_the_remedy() -> None:
    with pytest.raises(errors.ParameterError, match="weighting='uniform'"):
        replace(TASK, dp=NOISE)
