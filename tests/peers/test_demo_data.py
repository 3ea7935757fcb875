"""peers.demo.data: who has which patients."""

import numpy as np
import pytest

from peers.demo import data
from peers.demo.data import Patients
from peers.toml_file import ConfigError


@pytest.fixture(scope="module")
def cancer():
    """The Wisconsin data, divided."""
    return data.breast_cancer()


def test_every_patient_is_in_exactly_one_place(cancer) -> None:
    from sklearn.datasets import load_breast_cancer

    held = load_breast_cancer()
    parts = [cancer.test, *cancer.sites.values()]
    assert sum(len(part) for part in parts) == len(held.target) == 569
    rows = np.concatenate([part.features for part in parts])
    assert len(np.unique(rows, axis=0)) == len(np.unique(held.data, axis=0))
    positives = sum(int(part.labels.sum()) for part in parts)
    assert positives == int((held.target == 0).sum())


def test_the_hospitals_are_uneven_and_differ_in_what_they_see(cancer) -> None:
    sizes = [len(part) for part in cancer.sites.values()]
    shares = [float(part.labels.mean()) for part in cancer.sites.values()]
    assert max(sizes) > 3 * min(sizes)
    assert max(shares) > 3 * min(shares)
    assert all(0 < share < 1 for share in shares)


def test_the_test_patients_have_both_diagnoses_in_proportion(cancer) -> None:
    assert len(cancer.test) == 113
    assert float(cancer.test.labels.mean()) == pytest.approx(0.373, abs=0.01)


def test_features_are_scaled_by_the_shared_reference(cancer) -> None:
    assert np.allclose(cancer.test.features.mean(axis=0), 0, atol=1e-5)
    assert np.allclose(cancer.test.features.std(axis=0), 1, atol=1e-4)


def test_the_division_is_the_same_every_time(cancer) -> None:
    again = data.breast_cancer()
    assert all(
        np.array_equal(again.sites[silo].features, part.features)
        for silo, part in cancer.sites.items()
    )


def test_patients_come_back_from_their_file(tmp_path, cancer) -> None:
    cancer.test.save(tmp_path / "x.npz")
    again = Patients.load(tmp_path / "x.npz")
    assert np.array_equal(again.features, cancer.test.features)
    assert np.array_equal(again.labels, cancer.test.labels)


def uci_row(age, cp=1, restecg=0, num=0, chol="200", slope="?"):
    """A row of a UCI file; ca, thal and slope may be missing."""
    return f"{age},1,{cp},130,{chol},0,{restecg},150,0,1.5,{slope},?,?,{num}"


@pytest.fixture
def hearts(tmp_path):
    """Four small files in the form of the UCI ones."""
    for number, name in enumerate(data.HEART_FILES.values()):
        rows = [
            uci_row(40 + i, cp=1 + i % 4, restecg=i % 3, num=i % 2 * (1 + number))
            for i in range(12)
        ]
        rows.append(uci_row(50, chol="?", num=1))
        (tmp_path / name).write_text("\n".join(rows) + "\n")
    return tmp_path


def test_rows_with_a_missing_value_are_dropped_but_not_for_dropped_columns(
    hearts,
) -> None:
    study = data.heart_disease(hearts)
    sizes = {silo: len(part) for silo, part in study.sites.items()}
    assert sizes == dict.fromkeys(data.HEART_FILES, 8)
    assert len(study.test) == 4 * 4


def test_levels_become_indicators_without_the_first(hearts) -> None:
    study = data.heart_disease(hearts)
    assert study.width == 13
    assert study.width == len(data._NUMERIC) + 3 + 2


def test_disease_is_any_number_above_zero(hearts) -> None:
    study = data.heart_disease(hearts)
    assert set(np.unique(study.test.labels)) == {0.0, 1.0}


def test_a_constant_column_is_zero_and_not_a_nan(hearts) -> None:
    study = data.heart_disease(hearts)
    assert all(np.isfinite(part.features).all() for part in study.sites.values())


def test_a_missing_file_is_named(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"processed\.hungarian\.data.*--dir"):
        data.heart_disease(tmp_path)


@pytest.mark.parametrize("text", ["1,2,3\n", "a," * 13 + "0\n", ""])
def test_another_file_is_refused(hearts, text) -> None:
    (hearts / "processed.cleveland.data").write_text(text)
    with pytest.raises(ConfigError, match=r"processed\.cleveland\.data"):
        data.heart_disease(hearts)


def test_an_unknown_study_is_refused() -> None:
    with pytest.raises(ConfigError, match="wdbc, heart-disease"):
        data.study("mnist", None)


def test_heart_disease_needs_its_folder() -> None:
    with pytest.raises(ConfigError, match="--dir PATH"):
        data.study("heart-disease", None)
