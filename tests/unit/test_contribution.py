"""secagg.contribution: x_u in windows, with its extras behind it (5)."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import errors, extras, quantize
from secagg.contribution import check_weight, contribution
from secagg.crypto import prg
from secagg.entropy import SeededEntropy
from secagg.field import centre
from secagg.messages import Extra
from secagg.names import SessionId, VectorSum
from tests.samples import blob, parameters

SID = SessionId(blob(3))
DECLARED = (Extra(name="n", low=0, high=1 << 40),)


def params(m=9, **other):
    usual = {"extras": DECLARED, "weighting": "weighted", "max_weight": 50}
    return parameters(4, 1, length=m, range=0.2, **{**usual, **other})


def made(update, found, *, weight=7, seed=b"seed", sid=SID, values=None):
    return contribution(
        update,
        weight=weight,
        values={"n": 123} if values is None else values,
        params=found,
        sid=sid,
        entropy=SeededEntropy(seed),
    )


UPDATE = np.array([0.5, -0.01, 0.02, 0.0, 0.1, -0.5, 0.3, 0.03, -0.2])


def test_windows_are_slices_of_the_whole() -> None:
    found = params()
    x_u = made(UPDATE, found)
    whole = x_u.window(0, found.total_length)
    assert whole.dtype == np.uint32
    assert len(whole) == found.total_length > found.m
    cuts = range(found.total_length + 1)
    for start, stop in itertools.combinations_with_replacement(cuts, 2):
        assert (x_u.window(start, stop) == whole[start:stop]).all()


def test_a_window_is_the_same_each_time_it_is_asked_for() -> None:
    x_u = made(UPDATE, params())
    first = x_u.window(0, 9)
    x_u.window(4, 11)
    assert (x_u.window(0, 9) == first).all()


def test_the_tail_holds_the_declared_extras_the_weight_and_what_saturated() -> None:
    found = params()
    x_u = made(UPDATE * 100, found, weight=50)
    tail = x_u.window(found.m, found.total_length).astype(np.int64)
    saturated = x_u.coordinates.saturated()
    assert saturated > 0
    sums = extras.decode(VectorSum(tail), found, 1)
    assert sums == {"n": 123, "weight": 50, "saturated": saturated}


def test_a_uniform_session_without_saturation_has_no_derived_extras() -> None:
    found = parameters(4, 1, length=9, extras=DECLARED)
    x_u = made(UPDATE, found, weight=1)
    tail = x_u.window(9, found.total_length).astype(np.int64)
    assert extras.decode(VectorSum(tail), found, 1) == {"n": 123}


def test_5_3_rounding_is_keyed_afresh_by_the_draw_and_by_the_session() -> None:
    found = params(m=64)
    update = np.full(64, 0.00321)
    windows = [
        made(update, found, seed=seed, sid=sid).window(0, 64).tobytes()
        for seed in (b"1", b"2")
        for sid in (SID, SessionId(blob(4)))
    ]
    assert len(set(windows)) == 4


@pytest.mark.parametrize("weight", [0, -1, 51])
def test_5_2_refuses_a_weight_beyond_w_max(weight) -> None:
    with pytest.raises(errors.InputError, match=f"weight {weight} is not in 1..50"):
        made(UPDATE, params(), weight=weight)


def test_5_2_allows_weights_at_both_ends() -> None:
    check_weight(1, params())
    check_weight(50, params())


@pytest.mark.parametrize("values", [{}, {"n": -1}, {"n": 1, "weight": 3}])
def test_5_2_refuses_extras_that_are_not_as_declared(values) -> None:
    with pytest.raises(errors.InputError):
        made(UPDATE, params(), values=values)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_5_1_refuses_what_is_not_finite(bad) -> None:
    update = UPDATE.copy()
    update[4] = bad
    with pytest.raises(errors.InputError, match="update"):
        made(update, params())


@given(
    update=st.lists(st.floats(-3, 3), min_size=3, max_size=3),
    weight=st.integers(1, 50),
)
def test_any_input_is_within_x_max_and_delta_int(update, weight) -> None:
    found = params(m=3)
    x_u = made(np.array(update), found, weight=weight).window(0, 3)
    centred = [int(x) - found.p * (int(x) > found.p // 2) for x in x_u]
    assert max(map(abs, centred)) <= found.scale.x_max
    assert sum(x * x for x in centred) <= found.scale.delta_int**2


def test_a_contribution_shows_neither_update_nor_extras() -> None:
    shown = repr(made(UPDATE, params()))
    assert "123" not in shown
    assert "0.5" not in shown


class Endless:
    """An update of 2^40 coordinates that nobody holds: the same few over and over."""

    dtype = np.dtype(np.float32)
    size = 1 << 40
    shape = (size,)
    few = np.linspace(-0.2, 0.2, 1000, dtype=np.float32)

    def __getitem__(self, window: slice):
        places = np.arange(window.start, window.stop) % len(self.few)
        return self.few[places]


@pytest.mark.parametrize("start", [(1 << 31) - 5, (1 << 32) - 7, (1 << 40) - 40])
def test_windows_beyond_2_32_are_those_of_their_position(monkeypatch, start) -> None:
    monkeypatch.setattr(quantize, "l2_norm", lambda update, name: 1.0)
    found = params(m=Endless.size, extras=(), weighting="uniform", max_weight=1)
    update: Any = Endless()
    key = blob(9)
    x_u = quantize.QuantizedUpdate(update, found.scale, rounding_key=key)
    stop = start + 40
    whole = centre(x_u.chunk(start, stop, found.p), found.p)
    cut = [x_u.chunk(k, k + 8, found.p) for k in range(start, stop, 8)]
    assert np.array_equal(whole, centre(np.concatenate(cut), found.p))
    words = prg.words(key, prg.Tag.ROUND, start, stop)
    for place, word, value in zip(range(start, stop), words, whole, strict=True):
        v = float(update[place : place + 1][0]) * found.scale.s
        rounded = math.floor(v) + (int(word) < (v - math.floor(v)) * 2**32)
        assert abs(int(value) - rounded) <= (abs(v) > found.scale.x_max - 1)
