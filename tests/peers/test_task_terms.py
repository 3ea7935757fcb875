"""peers.task_terms: from a configuration to the terms of the library."""

import numpy as np
import pytest

from peers.config_aggregator import AggregatorConfig
from peers.task_terms import task_of
from peers.toml_file import ConfigError
from secagg import errors
from secagg.tensors import Layout

LAYOUT = Layout.of({"w": np.zeros(64)})


def config_of(consortium, *, noise, least=4, decimals=6, **terms):
    """An aggregator's configuration with an extra and noise."""
    values = {
        "identity": "agg.identity.json",
        "roster": "roster.json",
        "consortium_key": consortium.key.hex(),
        "state": "state",
        "task": {
            "id": "cardio",
            "rounds": 3,
            "clip": 1.0,
            "min_members": least,
            "extras": [{"name": "loss", "low": 0, "high": 50, "decimals": decimals}],
            **terms,
        },
        "privacy": noise and {"noise_multiplier": noise, "epsilon": 9.0, "delta": 1e-5},
        "model": {"factory": "ours:first"},
    }
    return AggregatorConfig.model_validate(
        values, context={"folder": consortium.folder}
    )


def test_an_extra_without_noise_is_summed(consortium) -> None:
    task = task_of(config_of(consortium, noise=None), LAYOUT)
    assert [extra.name for extra in task.extras] == ["loss_e6"]


def test_an_extra_that_noise_would_drown_is_refused_with_the_numbers(
    consortium,
) -> None:
    with pytest.raises(ConfigError, match=r"loss_e6: .*sigma = 1e\+08 .*spans 2000000"):
        task_of(config_of(consortium, noise=2.0), LAYOUT)


def test_a_range_that_is_small_beside_the_update_is_drowned_by_its_noise(
    consortium,
) -> None:
    with pytest.raises(ConfigError, match=r"spans 200: "):
        task_of(config_of(consortium, noise=0.3, decimals=0), LAYOUT)


def test_an_extra_that_stands_out_of_the_noise_is_kept(consortium) -> None:
    task = task_of(config_of(consortium, noise=0.3), LAYOUT)
    assert task.dp is not None
    assert task.extras


def test_the_graph_is_chosen_by_the_number_of_members_unless_told(consortium) -> None:
    task = task_of(config_of(consortium, noise=None), LAYOUT)
    assert (task.graph, task.losses) == ("auto", None)
    told = config_of(consortium, noise=None, graph="regular", losses=12)
    task = task_of(told, LAYOUT)
    assert (task.graph, task.losses) == ("regular", 12)


def test_ranges_are_given_by_tensor_and_pattern(consortium) -> None:
    layout = Layout.of({"a.bias": np.zeros(3), "a.weight": np.zeros(5)})
    ranges = {"*.bias": 0.01}
    task = task_of(config_of(consortium, noise=None, ranges=ranges), layout)
    assert task.ranges == ((3, 0.01), (5, 1.0))
    given = {"ranges": ranges, "range": 0.5}
    task = task_of(config_of(consortium, noise=None, **given), layout)
    assert task.ranges == ((3, 0.01), (5, 0.5))


def test_a_range_for_an_unknown_tensor_is_refused_with_those_there_are(
    consortium,
) -> None:
    config = config_of(consortium, noise=None, ranges={"fc.bias": 0.1})
    with pytest.raises(errors.InputError, match=r"'fc\.bias'.*there are: w"):
        task_of(config, LAYOUT)


def test_a_rotated_task_has_the_sensitivity_of_whole_blocks(consortium) -> None:
    plain = task_of(config_of(consortium, noise=None), LAYOUT)
    task = task_of(config_of(consortium, noise=None, rotation=True, bits=11), LAYOUT)
    assert task.rotation
    assert (plain.scale.coordinates, task.scale.coordinates) == (64, 64)
    assert task.scale.ranges == ((64, 0.75),)
