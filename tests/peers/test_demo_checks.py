"""peers.demo.checks and clear: what must hold, and that a false result fails."""

import dataclasses

import numpy as np
import pytest
import torch

from peers import model_file
from peers.demo import checks, clear, data, trainer
from peers.demo.plan import Death, Point
from peers.demo.recording import Recorder, Recording, read_input, read_means
from peers.demo.terms import Terms
from peers.demo.workplace import Workplace
from peers.records import RoundReport
from peers.training import RoundInfo, TrainResult
from secagg.crypto import transcript
from secagg.drivers.progress import SessionBegan
from secagg.names import PeerId, SessionId
from secagg.quantize import QuantizedUpdate

SILOS = ("coast", "lake", "river")
M = 40
TERMS = Terms(hospitals=SILOS, rounds=2, length=M, clip=1.0, max_weight=10)
NOISY = dataclasses.replace(TERMS, max_weight=1, noise_multiplier=2.0, epsilon=8.0)
WEIGHTS = {"coast": 2, "lake": 5, "river": 10}
SID = SessionId(bytes(range(32)))


def recorded(silo, round_no, *, terms=TERMS):
    """What a hospital would record: a random update and its x_u."""
    generator = np.random.default_rng([round_no, SILOS.index(silo)])
    update = generator.normal(size=M) * 0.3
    weight = WEIGHTS[silo] if terms.max_weight > 1 else 1
    key = bytes([round_no]) * 32
    quantized = QuantizedUpdate(
        update, terms.scale, weight=weight / terms.max_weight, rounding_key=key
    )
    p = 4294967291
    x_u = quantized.chunk(0, M, p).astype(np.int64)
    x_u[x_u > p // 2] -= p
    return Recording(update=update, x_u=x_u, weight=weight, metrics={"loss": 0.25})


def facts_of_round(round_no, u3=SILOS, *, terms=TERMS, noise=0):
    inputs = {silo: recorded(silo, round_no, terms=terms) for silo in u3}
    total = sum(one.weight for one in inputs.values())
    divisor = total / terms.max_weight if terms.max_weight > 1 else len(u3)
    report = RoundReport(
        task="demo",
        round=round_no,
        status="released",
        session=SID.hex(),
        sets={"u0": list(SILOS), "u1": list(SILOS), "u2": list(SILOS), "u3": list(u3)},
        weight=total,
        error_bound=len(u3) / divisor / terms.scale.s,
        epsilon=None if terms.epsilon is None else 7.9,
    )
    report.sets.update(u4=list(u3), u5=list(u3))
    extras = {"loss_e6": 250_000 * len(u3), "weight": total}
    return checks.RoundFacts(
        report=report,
        inputs=inputs,
        released=np.sum([one.x_u for one in inputs.values()], axis=0) + noise,
        same_mean=True,
        given=u3,
        extras=extras if terms.max_weight > 1 else {},
    )


@pytest.fixture
def place(tmp_path):
    """A workplace with the models that the facts lead to."""
    return Workplace(
        folder=tmp_path,
        study=data.breast_cancer(),
        terms=TERMS,
        port=1,
        learning_rate=0.05,
    )


def store(place, blob):
    digest = model_file.model_hash(blob).hex()
    folder = place.state / "model"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{digest}.safetensors").write_bytes(blob)
    return digest


def with_models(place, facts):
    """Give the facts the models that follow from their sums."""
    blob = model_file.save({"w": np.linspace(-1, 1, M, dtype=np.float32)})
    told = []
    for fact in facts:
        divisor = checks._divisor(fact.report, fact.extras, place.terms)
        mean = fact.released / (place.terms.scale.s * divisor)
        after = model_file.moved(blob, mean, model_file.layout_of(blob))
        report = dataclasses.replace(
            fact.report,
            model_before=store(place, blob),
            model_after=store(place, after),
        )
        told.append(dataclasses.replace(fact, report=report))
        blob = after
    return told


DEATH = Death(round_no=1, hospital="lake", point=Point.HALF_SENT)


@pytest.fixture
def facts(place):
    """Two rounds; lake is lost in the first."""
    return with_models(
        place, [facts_of_round(1, ("coast", "river")), facts_of_round(2)]
    )


def failed(place, facts, killed=(DEATH,)):
    """The names of the checks that fail."""
    return [
        one.name for one in checks.all_checks(place, facts, killed) if not one.passed
    ]


def test_an_honest_run_passes_every_check(place, facts) -> None:
    assert failed(place, facts) == []


def changed(facts, **fields):
    return [facts[0], dataclasses.replace(facts[1], **fields)]


def test_one_wrong_integer_is_found(place, facts) -> None:
    wrong = facts[1].released.copy()
    wrong[7] += 1
    names = failed(place, changed(facts, released=wrong))
    assert "every opened integer sum is the plain sum over exactly U3" in names
    assert (
        "every model is the one before moved by the released mean, bit for bit" in names
    )


def test_a_sum_over_another_set_is_found(place, facts) -> None:
    inputs = dict(facts[1].inputs)
    del inputs["lake"]
    assert failed(place, changed(facts, inputs=inputs))


def test_a_wrong_weight_sum_is_found(place, facts) -> None:
    extras = {**facts[1].extras, "weight": 18}
    assert "the sums of weights and losses are exact" in failed(
        place, changed(facts, extras=extras)
    )


def test_a_mean_that_differs_between_hospitals_is_found(place, facts) -> None:
    names = failed(place, changed(facts, same_mean=False))
    assert names == ["every hospital was given the same mean"]


def test_a_mean_off_by_more_than_its_bound_is_found(place, facts) -> None:
    report = dataclasses.replace(facts[1].report, error_bound=1e-12)
    names = failed(place, changed(facts, report=report))
    assert "every mean is within its stated bound of the mean in the clear" in names


def test_a_model_that_does_not_follow_is_found(place, facts) -> None:
    report = facts[1].report
    other = dataclasses.replace(report, model_after=report.model_before)
    names = failed(place, changed(facts, report=other))
    assert names == [
        "the model is within the stated bound of federated averaging in the clear",
        "every model is the one before moved by the released mean, bit for bit",
    ]


DEATHS = {
    "elsewhere": dataclasses.replace(DEATH, point=Point.BEFORE_SHARING),
    "in another round": dataclasses.replace(DEATH, round_no=2),
    "another one": dataclasses.replace(DEATH, hospital="coast"),
}


@pytest.mark.parametrize("death", DEATHS)
def test_a_hospital_that_was_lost_elsewhere_is_found(place, facts, death) -> None:
    names = failed(place, facts, [DEATHS[death]])
    assert "every killed hospital was lost exactly where it was killed" in names


def test_a_run_without_losses_proves_nothing(place, facts) -> None:
    names = failed(place, facts, [])
    assert names == ["every killed hospital was lost exactly where it was killed"]


def test_a_hospital_that_stays_away_is_found(place) -> None:
    away = with_models(
        place, [facts_of_round(number, ("coast", "river")) for number in (1, 2)]
    )
    assert "every killed hospital took part in a later round" in failed(place, away)


def noisy_facts(place, deviation):
    sigma = checks._sigma(NOISY)
    generator = np.random.default_rng(3)
    rounds = []
    for number, u3 in ((1, ("coast", "river")), (2, SILOS)):
        noise = np.rint(generator.normal(size=M) * sigma * deviation).astype(np.int64)
        rounds.append(facts_of_round(number, u3, terms=NOISY, noise=noise))
    return with_models(place, rounds)


@pytest.mark.parametrize(("deviation", "passes"), [(1, True), (0, False), (2, False)])
def test_noise_must_have_the_announced_size(place, deviation, passes) -> None:
    place = dataclasses.replace(place, terms=NOISY)
    names = failed(place, noisy_facts(place, deviation))
    name = "every released sum is the plain sum over U3 and the announced noise"
    assert (name not in names) is passes


def test_a_budget_that_was_overspent_is_found(place) -> None:
    place = dataclasses.replace(place, terms=dataclasses.replace(NOISY, epsilon=7.0))
    assert "the privacy budget was kept" in failed(place, noisy_facts(place, 1))


# --- the recorder, and averaging in the clear


def test_a_recorder_writes_the_x_u_of_the_sessions_rounding_key(tmp_path) -> None:
    generator = torch.Generator().manual_seed(1)
    step = torch.randn(M, generator=generator) * 0.1

    def train(state, info):
        return TrainResult({"w": state["w"] + step}, 5, {"loss": 0.5})

    recorder = Recorder(tmp_path, "lake", TERMS, train)
    info = RoundInfo(silo="lake", task_id="demo", round_no=1, model_hash="", options={})
    recorder.train({"w": torch.zeros(M)}, info)
    seed = recorder.entropy.draw("round", 32)
    recorder.entropy.draw("b_u", 32)
    began = SessionBegan(sid=SID, round_no=1, attempt=1, members=(PeerId("lake"),))
    recorder.observe(began)
    held = read_input(tmp_path, SID.hex(), "lake")
    key = transcript.rounding_key(SID, seed)
    expected = QuantizedUpdate(held.update, TERMS.scale, weight=0.5, rounding_key=key)
    assert np.array_equal(held.x_u % 4294967291, expected.chunk(0, M, 4294967291))
    assert np.allclose(held.update, step.numpy())
    assert (held.weight, held.metrics) == (5, {"loss": 0.5})
    assert read_means(tmp_path, SID.hex(), SILOS) == {}


def test_the_mean_in_the_clear_is_that_of_clipped_updates() -> None:
    long = Recording(
        update=np.array([3.0, 4.0]), x_u=np.zeros(0, np.int64), weight=1, metrics={}
    )
    short = dataclasses.replace(long, update=np.array([0.0, 0.5]), weight=3)
    mean = clear.mean_update([long, short], dataclasses.replace(TERMS, length=2))
    assert np.allclose(mean, (np.array([0.6, 0.8]) + 3 * np.array([0, 0.5])) / 4)


def test_averaging_in_the_clear_learns_and_repeats_itself() -> None:
    study = data.breast_cancer()
    terms = dataclasses.replace(TERMS, hospitals=tuple(study.sites), max_weight=128)
    first = model_file.save(trainer.initial(study.width))
    options = {"learning_rate": 0.05, "max_weight": 128}
    included = [tuple(study.sites)] * 3
    run = clear.run(study, terms, options, included, first)
    assert len(run.accuracy) == 4
    assert run.accuracy[-1] > run.accuracy[0] + 0.1
    again = clear.run(study, terms, options, included, first)
    assert np.array_equal(run.model, again.model)


def test_the_demos_model_has_a_hundred_thousand_parameters() -> None:
    state = trainer.initial(30)
    assert sum(tensor.numel() for tensor in state.values()) >= 100_000
