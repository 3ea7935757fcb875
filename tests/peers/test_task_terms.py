"""peers.task_terms: from a configuration to the terms of the library."""

import numpy as np
import pytest

from peers.config import AggregatorConfig
from peers.task_terms import task_of
from peers.toml_file import ConfigError
from secagg.tensors import Layout

LAYOUT = Layout.of({"w": np.zeros(64)})


def config_of(consortium, *, noise, least=4, decimals=6):
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
