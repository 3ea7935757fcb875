"""Release: check, noise, dequantize."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import errors, extras, pipeline, privacy
from secagg.crypto import transcript
from secagg.field import centre
from secagg.messages import Extra, NoiseTerms
from secagg.names import Mean, PeerId, SessionId, VectorSum
from secagg.params import Parameters
from secagg.privacy.ledger import (
    UNLIMITED,
    Budget,
    BudgetLedger,
    BudgetSpentError,
    MemoryLedgerStore,
)
from secagg.quantize import QuantizedUpdate
from secagg.scale import Scale

TASK = "heart"
SID = SessionId(bytes(range(32)))
SEED = bytes(reversed(range(32)))
DELTA = 1e-5
NOISE = NoiseTerms(
    mechanism="discrete-gaussian",
    noise_multiplier=2.0,
    adjacency="zero-out",
    delta=DELTA,
)
AGE = Extra(name="age", low=-3, high=100)


def parameters(dp=None, length=4, declared=(), max_weight=None, clip=1.0):
    return Parameters(
        members=tuple(PeerId(f"h{k}") for k in range(5)),
        c=1,
        scale=Scale(bits=8, clip=clip, ranges=((length, 1.0),)),
        declared_extras=declared,
        weighting="uniform" if max_weight is None else "weighted",
        max_weight=max_weight or 1,
        chunk_log2=12,
        dp=dp,
    )


def opened(params, vector, *, u3_count=4, previous=None, **sums):
    """An opened sum as the aggregator has it: the limbs of the extras at the end."""
    values = {extra.name: sums[extra.name] for extra in params.extras}
    limbs = []
    for place in params.limbs:
        total = values[place.extra.name] - u3_count * place.extra.low
        for _ in range(place.count - 1):
            limbs.append(total % 2**params.limb_bits)
            total >>= params.limb_bits
        limbs.append(total)
    whole = VectorSum(np.array([*vector, *limbs], dtype=np.int64))
    return pipeline.opened_sum(whole, params, u3_count=u3_count, previous=previous)


def ledger_of(epsilon=math.inf, store=None, delta=DELTA):
    budgets = {TASK: Budget(epsilon=epsilon, delta=delta)}
    return BudgetLedger(store or MemoryLedgerStore(), budgets)


def release(view, params, ledger=None, seed=SEED, sid=SID, in_place=False):
    return pipeline.release(
        view,
        params,
        task_id=TASK,
        sid=sid,
        seed=seed,
        ledger=ledger or ledger_of(),
        in_place=in_place,
    )


def noise_for(params, length):
    """The noise that the session's key stands for."""
    _, sigma_squared = pipeline.noise_terms(params)
    key = transcript.noise_key(SID, SEED)
    sampler = privacy.named_mechanism("discrete-gaussian")
    return np.concatenate(list(sampler.noise(length, sigma_squared, key)))


def test_without_noise_the_mean_is_the_sum_over_s_and_u3():
    params = parameters()
    out = release(opened(params, [127, -64, 0, 5]), params)
    assert out.vector.tolist() == [127, -64, 0, 5]
    assert out.mean == pytest.approx([127 / 508, -64 / 508, 0, 5 / 508])


def test_without_noise_epsilon_is_infinite_and_there_is_no_record():
    params = parameters()
    out = release(opened(params, [0, 0, 0, 0]), params)
    assert (out.epsilon, out.noise) == (math.inf, None)


def test_a_weighted_mean_divides_by_the_weight_sum():
    params = parameters(max_weight=50)
    out = release(opened(params, [127, 0, 0, 0], weight=80), params)
    assert out.mean[0] == pytest.approx(127 / 127 * 50 / 80)


def test_extras_are_released_by_name_in_the_manifests_order():
    params = parameters(declared=(AGE,), max_weight=2**31, clip=4.0)
    sums = {"age": 399, "weight": 2**32 + 1, "saturated": 7}
    out = release(opened(params, [0, 0, 0, 0], **sums), params)
    assert out.extras == tuple(sums.items())


def test_noise_is_the_mechanisms_with_the_sessions_key():
    params = parameters(dp=NOISE, length=300)
    vector = np.arange(-150, 150) // 3
    out = release(opened(params, vector), params)
    assert np.array_equal(out.vector, vector + noise_for(params, 300))


def test_the_mean_is_taken_of_the_noised_sum():
    params = parameters(dp=NOISE)
    out = release(opened(params, [1, 2, 3, 4]), params)
    assert np.array_equal(out.mean, out.vector / (127.0 * 4))


def test_extras_get_noise_after_the_coordinates():
    params = parameters(dp=NOISE, declared=(AGE,), max_weight=50)
    out = release(opened(params, [1, 2, 3, 4], age=50, weight=90), params)
    noise = noise_for(params, 6).tolist()
    assert out.extras == (("age", 50 + noise[4]), ("weight", 90 + noise[5]))


def test_extras_get_noise_when_pieces_end_anywhere(monkeypatch):
    params = parameters(dp=NOISE, declared=(AGE,), max_weight=50)
    view = opened(params, [1, 2, 3, 4], age=50, weight=90)
    expected = release(view, params)
    monkeypatch.setattr(privacy.discrete_gaussian, "_BATCH", 1)
    pieces = release(view, params)
    assert pieces.extras == expected.extras
    assert np.array_equal(pieces.vector, expected.vector)


def test_a_weighted_mean_divides_by_the_noised_weight_sum():
    params = parameters(dp=NOISE, max_weight=5000)
    out = release(opened(params, [1, 2, 3, 4], weight=19_000), params)
    (_, weight_sum), *_ = out.extras
    assert weight_sum not in {0, 19_000}
    divisor = max(1, weight_sum) / 5000
    assert np.array_equal(out.mean, out.vector / (127.0 * divisor))


def test_a_noised_weight_sum_below_1_counts_as_1():
    params = parameters(dp=NOISE, max_weight=50)
    view = opened(params, [1, 2, 3, 4], weight=0)
    sids = [SessionId(k.to_bytes(32, "big")) for k in range(20)]
    outs = [release(view, params, sid=sid) for sid in sids]
    below = [out for out in outs if out.extras[0][1] < 1]
    assert below
    for out in below:
        assert np.array_equal(out.mean, out.vector / (127.0 / 50))


def test_sigma_is_z_times_the_integer_sensitivity_rounded_up():
    params = parameters(dp=NOISE, declared=(AGE,), max_weight=50)
    out = release(opened(params, [0, 0, 0, 0], age=0, weight=4), params)
    # Rule 10-2. delta_int = ceil(127 * 1 + sqrt(4)); the ranges are 103 and 50; z = 2.
    sensitivity = 129**2 + 103**2 + 50**2
    assert out.event.sensitivity_squared == sensitivity
    assert out.sigma_squared == 4 * sensitivity


def test_the_record_says_what_was_added():
    params = parameters(dp=NOISE)
    record = release(opened(params, [0, 0, 0, 0]), params).noise
    assert record is not None
    assert (record.mechanism, record.noise_multiplier) == ("discrete-gaussian", 2.0)
    assert record.sigma_squared == 4 * record.sensitivity_squared == 4 * 129**2


def test_the_same_seed_gives_the_same_release_and_one_charge():
    store = MemoryLedgerStore()
    params = parameters(dp=NOISE)
    view = opened(params, [1, 2, 3, 4])
    first = release(view, params, ledger_of(8.0, store))
    again = release(view, params, ledger_of(8.0, store))
    assert np.array_equal(first.vector, again.vector)
    assert first.epsilon == again.epsilon
    assert len(store.load()) == 1


def test_another_seed_gives_other_noise():
    params = parameters(dp=NOISE)
    view = opened(params, [1, 2, 3, 4])
    other = release(view, params, seed=bytes(32))
    assert not np.array_equal(release(view, params).vector, other.vector)


def test_the_opened_sum_is_left_as_it_is():
    params = parameters(dp=NOISE)
    view = opened(params, [1, 2, 3, 4])
    release(view, params)
    assert view.vector.tolist() == [1, 2, 3, 4]


def test_the_charge_is_stored_before_the_noise_is_drawn(monkeypatch):
    # Rule 9-4.
    store = MemoryLedgerStore()
    seen = []
    inner = pipeline._noised

    def spied(view, noise):
        seen.append(len(store.load()))
        return inner(view, noise)

    monkeypatch.setattr(pipeline, "_noised", spied)
    params = parameters(dp=NOISE)
    release(opened(params, [1, 2, 3, 4]), params, ledger_of(8.0, store))
    assert seen == [1]


def test_epsilon_grows_with_every_session():
    ledger = ledger_of(80.0)
    params = parameters(dp=NOISE)
    view = opened(params, [1, 2, 3, 4])
    sids = [SessionId(bytes([k]) * 32) for k in range(3)]
    spent = [release(view, params, ledger, sid=sid).epsilon for sid in sids]
    assert 0 < spent[0] < spent[1] < spent[2] == ledger.epsilon(TASK)


def test_a_release_beyond_the_budget_is_refused_and_charges_nothing():
    # Rule 10-3.
    store = MemoryLedgerStore()
    params = parameters(dp=NOISE)
    with pytest.raises(BudgetSpentError):
        release(opened(params, [1, 2, 3, 4]), params, ledger_of(1.0, store))
    assert store.load() == ()


@pytest.mark.parametrize("dp", [None, NOISE])
def test_a_sum_beyond_its_bounds_is_refused_and_charges_nothing(dp):
    # Rule 10-1.
    store = MemoryLedgerStore()
    params = parameters(dp=dp)
    view = opened(params, [4 * 127 + 1, 0, 0, 0])
    with pytest.raises(pipeline.SumRefusedError, match="cheating") as caught:
        release(view, params, ledger_of(store=store))
    assert store.load() == ()
    assert [verdict.check for verdict in caught.value.verdicts] == ["exact-bounds"]


def test_a_refused_sum_is_a_refused_release():
    params = parameters()
    with pytest.raises(errors.ReleaseRefused):
        release(opened(params, [9999, 0, 0, 0]), params)


def test_noise_may_take_a_sum_beyond_the_bounds_of_the_exact_one():
    strong = NoiseTerms(
        mechanism="discrete-gaussian",
        noise_multiplier=50.0,
        adjacency="zero-out",
        delta=DELTA,
    )
    params = parameters(dp=strong)
    out = release(opened(params, [0, 0, 0, 0]), params)
    assert np.abs(out.vector).max() > 4 * 127
    assert all(verdict.passed for verdict in out.verdicts)


def test_every_check_speaks_once_in_the_registrys_order():
    params = parameters()
    out = release(opened(params, [1, 2, 3, 4]), params)
    assert [v.check for v in out.verdicts] == ["exact-bounds", "cosine-to-previous"]


def test_the_cosine_is_that_of_the_released_sum():
    params = parameters(dp=NOISE)
    previous = Mean(np.array([1.0, 2.0, 3.0, 4.0]))
    out = release(opened(params, [1, 2, 3, 4], previous=previous), params)
    norms = np.linalg.norm(out.vector) * np.linalg.norm(previous)
    expected = f"cosine {out.vector @ previous / norms:+.4f}"
    assert out.verdicts[1].detail == expected != "cosine +1.0000"


def test_another_delta_than_the_manifest_announces_is_refused():
    params = parameters(dp=NOISE)
    with pytest.raises(errors.ParameterError, match="delta"):
        release(opened(params, [1, 2, 3, 4]), params, ledger_of(8.0, delta=1e-6))


def test_noise_that_cannot_be_made_is_refused_before_the_charge():
    wild = NoiseTerms(
        mechanism="discrete-gaussian",
        noise_multiplier=2.0**60,
        adjacency="zero-out",
        delta=DELTA,
    )
    store = MemoryLedgerStore()
    params = parameters(dp=wild)
    with pytest.raises(errors.ParameterError, match="sigma_squared"):
        release(opened(params, [1, 2, 3, 4]), params, ledger_of(store=store))
    assert store.load() == ()


def test_the_unlimited_budget_takes_any_number_of_plain_releases():
    ledger = BudgetLedger(MemoryLedgerStore(), {TASK: UNLIMITED})
    params = parameters()
    for k in range(3):
        sid = SessionId(bytes([k]) * 32)
        out = release(opened(params, [1, 2, 3, 4]), params, ledger, sid=sid)
        assert out.epsilon == math.inf


@given(st.lists(st.integers(-127, 127), min_size=20, max_size=20), st.integers(1, 5))
def test_the_opened_sum_holds_what_the_members_put_in(values, u3_count):
    params = parameters(declared=(AGE,), max_weight=2**31, clip=60.0)
    members = [
        (values[4 * k : 4 * k + 4], {"age": k - 3, "weight": 2**31 - k, "saturated": 2})
        for k in range(u3_count)
    ]
    inputs = [np.concatenate([x, extras.encode(own, params)]) for x, own in members]
    total = np.sum(inputs, axis=0, dtype=np.int64)
    whole = VectorSum(np.asarray(total))
    view = pipeline.opened_sum(whole, params, u3_count=u3_count)
    assert view.vector.tolist() == [
        sum(column) for column in zip(*[x for x, _ in members], strict=True)
    ]
    for one in view.extras:
        assert one.total == sum(own[one.extra.name] for _, own in members)
    assert release(view, params).verdicts[0].passed


def test_noise_in_place_is_the_same_noise_in_the_sum_itself():
    params = parameters(dp=NOISE)
    copied = release(opened(params, [1, 2, 3, 4]), params)
    view = opened(params, [1, 2, 3, 4])
    out = release(view, params, in_place=True)
    assert np.array_equal(out.vector, copied.vector)
    assert np.shares_memory(out.vector, view.vector)


# --- ranges and rotation


RANGES = ((600, 1.0), (200, 0.25), (201, 0.5))


def scaled(length=1001, *, ranges=None, seed=None, dp=None):
    """Parameters of several ranges, or of a rotation."""
    scale = Scale(bits=8, clip=1.0, ranges=ranges or ((length, 0.25),), seed=seed)
    return dataclasses.replace(parameters(dp=dp), scale=scale)


@pytest.mark.parametrize("adjacency", ["zero-out", "replace-one"])
@pytest.mark.parametrize(
    ("terms", "bound"),
    # 127 / 0.25 times the clip, and the root of the places.
    [
        ({"ranges": RANGES}, 508 + math.isqrt(1001 - 1) + 1),
        ({"seed": SEED}, 508 + 32),
        ({"seed": SEED, "length": 4097}, 508 + math.isqrt(8192 - 1) + 1),
    ],
)
def test_10_2_the_noise_is_for_the_narrowest_range_and_whole_blocks(
    terms, bound, adjacency
):
    params = scaled(dp=dataclasses.replace(NOISE, adjacency=adjacency), **terms)
    event, sigma_squared = pipeline.noise_terms(params)
    factor = 4 if adjacency == "replace-one" else 1
    assert params.scale.delta_int == bound
    assert event.sensitivity_squared == factor * bound**2
    assert sigma_squared == 4 * factor * bound**2


@pytest.mark.parametrize("terms", [{"ranges": RANGES}, {"seed": SEED}])
def test_two_updates_never_differ_by_more_than_the_sensitivity(terms):
    params = scaled(dp=NOISE, **terms)
    end = params.coordinates
    draw = np.random.default_rng(3)
    p = params.p
    for _ in range(20):
        # Large where the range is narrow: the most that s C allows.
        update = draw.standard_normal(1001) * np.repeat(
            [0.01, 1.0, 0.1], [600, 200, 201]
        )
        key = draw.bytes(32)
        made = QuantizedUpdate(update, params.scale, rounding_key=key)
        x = centre(made.chunk(0, end, p), p)
        assert int((x**2).sum()) <= params.scale.delta_int**2


@pytest.mark.parametrize(
    ("terms", "steps"),
    [
        ({"ranges": RANGES}, np.repeat([127, 508, 254], [600, 200, 201])),
        ({"seed": SEED}, np.full(1001, 508)),
    ],
)
def test_the_noise_of_a_mean_is_sigma_over_the_scale_of_each_coordinate(terms, steps):
    params = scaled(dp=NOISE, **terms)
    _, sigma_squared = pipeline.noise_terms(params)
    view = opened(params, [0] * params.coordinates)
    out = release(view, params, ledger_of(epsilon=1e9))
    assert len(out.vector) == params.coordinates
    assert len(out.mean) == 1001
    ratio = out.mean * steps * view.u3_count / math.sqrt(sigma_squared)
    # A mean square of 1001 unit gaussians: 1 within 4 deviations of 0.045.
    assert (ratio**2).mean() == pytest.approx(1, abs=0.18)


def test_10_1_a_place_beyond_its_bound_is_refused_in_a_rotated_sum():
    params = scaled(seed=SEED)
    vector = [0] * params.coordinates
    vector[1020] = 4 * 127 + 1
    with pytest.raises(pipeline.SumRefusedError, match="exact-bounds"):
        release(opened(params, vector, saturated=0), params)
    vector[1020] = 4 * 127
    assert release(opened(params, vector, saturated=0), params).verdicts[0].passed


def test_the_cosine_is_of_means_and_not_of_places():
    # The same mean under two seeds: other integers, the same direction.
    mean = np.sin(np.arange(1001))
    params = scaled(seed=SEED)
    rotation = params.scale.rotation
    assert rotation is not None
    there = rotation.forward(mean, 1.0, 0, rotation.blocks).astype(np.int64)
    view = opened(params, there, previous=Mean(mean), saturated=0)
    said = release(view, params).verdicts[1].detail
    assert float(said.removeprefix("cosine ")) > 0.99
