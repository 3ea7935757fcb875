"""peers.training: finding the user's function, and judging what it returns."""

from typing import Any

import numpy as np
import pytest

from peers import training
from peers.config_sections import Metric
from peers.toml_file import ConfigError
from peers.training import TrainResult
from secagg import errors

CODE = """
from peers.training import TrainResult

constant = 5

def train(state_dict, info):
    return TrainResult(state_dict)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with modules of its own, forgotten afterwards."""
    import sys

    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def refusal(entry_point, folder):
    with pytest.raises(ConfigError) as caught:
        training.load_function(entry_point, folder)
    return str(caught.value)


def test_a_function_beside_the_configuration_is_found(folder) -> None:
    (folder / "ward_code.py").write_text(CODE)
    train = training.load_function("ward_code:train", folder)
    assert isinstance(train({}, None), TrainResult)


def test_a_mistyped_module_says_where_it_looked_and_what_is_near(folder) -> None:
    (folder / "ward_code.py").write_text(CODE)
    text = refusal("ward_coed:train", folder)
    assert str(folder) in text
    assert "did you mean 'ward_code'?" in text


def test_a_mistyped_function_says_what_the_module_has(folder) -> None:
    (folder / "ward_code.py").write_text(CODE)
    assert "it has: TrainResult, train" in refusal("ward_code:trian", folder)
    assert "no function 'constant'" in refusal("ward_code:constant", folder)


BROKEN = {
    "import torhc\n": "ModuleNotFoundError",
    "x = 1\ny = x / 0\n": "line 2",
    "def train(:\n": "SyntaxError",
    "import sys\nsys.exit('no GPU')\n": "SystemExit: no GPU",
}


@pytest.mark.parametrize("code", BROKEN)
def test_a_module_that_does_not_load_says_why_and_where(folder, code) -> None:
    (folder / "ward_broken.py").write_text(code)
    text = refusal("ward_broken:train", folder)
    assert "'ward_broken' does not load" in text
    assert BROKEN[code] in text


NO_STATE: Any = [1.0]
NO_WEIGHT: Any = 2.5
NO_METRICS: Any = [("loss", 1.0)]
NO_NUMBER: Any = {"loss": "0.5 or so"}
NO_SCALAR: Any = {"loss": [1.0]}


@pytest.mark.parametrize(
    "result",
    [
        None,
        {},
        TrainResult(NO_STATE),
        TrainResult({}, NO_WEIGHT),
        TrainResult({}, True),
        TrainResult({}, 1, NO_METRICS),
        TrainResult({}, 1, NO_NUMBER),
        TrainResult({}, 1, NO_SCALAR),
    ],
)
def test_what_is_no_train_result_is_refused(result) -> None:
    with pytest.raises(errors.InputError, match="ward:train"):
        training.checked(result, "ward:train")


def test_a_numpy_weight_is_an_integer() -> None:
    result = TrainResult({}, np.int64(7))
    assert training.checked(result, "ward:train") is result


DECLARED = (Metric(name="cases"), Metric(name="loss", decimals=3))


def test_declared_metrics_become_integers_of_their_unit() -> None:
    metrics = {"cases": 12, "loss": 0.12345, "mine": float("nan")}
    extras = training.extras_of(metrics, DECLARED)
    assert extras == {"cases": 12, "loss_e3": 123}


def test_integers_are_never_rounded() -> None:
    big = 2**60 + 1
    assert training.extras_of({"cases": big, "loss": 2}, DECLARED)["cases"] == big


def test_a_numpy_float_is_a_number() -> None:
    metrics = {"cases": np.int32(1), "loss": np.float32(0.5)}
    assert training.extras_of(metrics, DECLARED)["loss_e3"] == 500


def test_a_missing_metric_is_refused_by_name() -> None:
    with pytest.raises(errors.InputError, match=r"'loss'.*it returned: cases"):
        training.extras_of({"cases": 1}, DECLARED)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_5_1_a_metric_that_is_not_finite_is_refused_by_name(value) -> None:
    with pytest.raises(errors.InputError, match="'loss'"):
        training.extras_of({"cases": 1, "loss": value}, DECLARED)
