"""A simulated session is the production one, scripted and deterministic."""

import collections
import math
from unittest import mock

import numpy as np
import pytest

from secagg import errors
from secagg.cohort import LOSS_ROUNDS
from secagg.crypto import sign
from secagg.messages import NoiseTerms
from secagg.names import PeerId, Round
from secagg.simulation import simulate
from secagg.simulation.session import Inputs, Simulator, silent_from
from secagg.task import Task


def updates(count, shape=(7,)):
    draw = np.random.default_rng(3)
    return [draw.standard_normal(shape) for _ in range(count)]


@pytest.mark.parametrize("round_", LOSS_ROUNDS)
def test_one_silo_lost_in_any_round_gives_the_mean_of_u3(round_):
    given = updates(5)
    out = simulate(given, drop={round_.value: {3}}, seed=7)
    lost = LOSS_ROUNDS.index(round_) <= LOSS_ROUNDS.index(Round.MASKED_INPUT)
    summed = [u for i, u in enumerate(given) if i != 3 or not lost]
    assert out.exact
    assert len(out.sets["u3"]) == len(summed)
    assert np.abs(out.mean - np.mean(summed, axis=0)).max() < out.error_bound


def test_too_many_losses_abort_and_name_who_is_missing():
    with pytest.raises(errors.SessionAborted) as caught:
        simulate(updates(4), drop={"share_keys": {0, 2}})
    assert caught.value.code == "4.3-7"
    assert caught.value.missing == ("silo-001", "silo-003")


def test_the_mean_has_the_shape_of_an_update():
    assert simulate(updates(4, (2, 3))).mean.shape == (2, 3)


def test_a_weighted_mean_divides_by_the_sum_of_weights():
    given, weights = updates(4), [1, 5, 10, 100]
    out = simulate(given, weights=weights)
    expected = np.average(given, axis=0, weights=weights)
    assert dict(out.result.extras)["weight"] == 116
    assert np.abs(out.mean - expected).max() < out.error_bound


def test_the_same_seed_gives_the_same_mean_and_another_one_another_rounding():
    given = updates(4)
    first, again, other = (simulate(given, seed=s).mean for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_signature_is_verified_by_the_aggregator_and_once_for_all_silos():
    with mock.patch.object(sign, "verify", wraps=sign.verify) as verify:
        simulate(updates(8))
    checked = collections.Counter(call.args for call in verify.call_args_list)
    assert max(checked.values()) == 2


def test_three_silos_need_no_corrupt_one():
    assert simulate(updates(3)).exact


@pytest.mark.parametrize(
    ("drop", "named"),
    [
        ({"lunch": {0}}, "lunch"),
        ({"unmasking": {9}}, "silo 9"),
        ({"unmasking": {1}, "share_keys": {1}}, "silo 1"),
    ],
)
def test_a_script_that_means_nothing_is_refused(drop, named):
    with pytest.raises(errors.ParameterError, match=named):
        silent_from(drop, [PeerId("a"), PeerId("b")])


def test_updates_of_different_shapes_are_refused():
    with pytest.raises(errors.InputError, match="shapes"):
        simulate([np.ones(2), np.ones(3), np.ones(2), np.ones(2)])


def test_a_nan_is_refused():
    given = updates(4)
    given[1][2] = math.nan
    with pytest.raises(errors.InputError, match="NaN"):
        simulate(given)


def test_a_round_follows_on_the_link_of_the_last_one():
    task = Task(task_id="chain", length=3, clip=10.0)
    simulator = Simulator(silos=4, task=task, seed=1)
    inputs = Inputs(updates={u: np.ones(3) for u in simulator.silos}, weights={})
    heads = {simulator.run(inputs).link for _ in range(3)}
    assert len(heads) == 3
    assert simulator.head in heads


def test_announced_noise_is_added_to_the_released_mean_only():
    terms = NoiseTerms(
        mechanism="discrete-gaussian",
        noise_multiplier=1.0,
        adjacency="zero-out",
        delta=1e-5,
    )
    task = Task(task_id="noisy", length=50, clip=1.0, dp=terms)
    simulator = Simulator(silos=4, task=task, seed=1)
    inputs = Inputs(updates={u: np.zeros(50) for u in simulator.silos}, weights={})
    out = simulator.run(inputs)
    assert out.exact
    assert out.result.dp is not None
    assert out.result.dp.sigma_squared > 0
    assert (out.result.epsilon or 0) > 0
    # sigma = z * delta_int integers on the sum: about clip / |U3| on the mean.
    assert 0.1 < out.mean.std() < 0.6
