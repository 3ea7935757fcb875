"""peers.model_store: the current model is always a released one, whole."""

import json
import os

import pytest

from peers.model_file import model_hash
from peers.model_store import CURRENT, ModelStore
from secagg import errors

FIRST, SECOND, THIRD = b"first", b"second", b"third"


@pytest.fixture
def store(tmp_path):
    """A store with a first model."""
    made = ModelStore(tmp_path / "model", task="cardio")
    made.begin(FIRST)
    return made


def reopened(tmp_path, keep=1):
    return ModelStore(tmp_path / "model", task="cardio", keep=keep)


def files(tmp_path):
    return sorted(path.name for path in (tmp_path / "model").iterdir())


def test_a_new_store_is_empty(tmp_path) -> None:
    assert ModelStore(tmp_path / "model", task="cardio").empty


def test_a_store_of_another_task_is_refused(tmp_path, store) -> None:
    store.settle(1, model=store.put(SECOND), completed=True)
    with pytest.raises(errors.StateError, match="each task its own state directory"):
        ModelStore(tmp_path / "model", task="cardio-2")
    assert reopened(tmp_path).read() == SECOND


def test_a_store_that_began_elsewhere_is_refused(tmp_path) -> None:
    store = reopened(tmp_path)
    store.begin(FIRST, origin="the factory ours:first")
    again = reopened(tmp_path)
    again.require_origin("the factory ours:first")
    with pytest.raises(errors.StateError, match="began with the factory ours:first"):
        again.require_origin("the factory ours:second")


def test_the_first_model_is_current_after_a_restart(tmp_path, store) -> None:
    again = reopened(tmp_path)
    assert not again.empty
    assert again.read() == FIRST
    assert again.mark.round_no == 0


def test_a_stored_model_is_not_current_before_the_round_is_settled(
    tmp_path, store
) -> None:
    store.put(SECOND)
    assert reopened(tmp_path).read() == FIRST


def test_a_settled_round_moves_the_model(tmp_path, store) -> None:
    store.settle(1, model=store.put(SECOND), completed=True)
    again = reopened(tmp_path)
    assert again.read() == SECOND
    assert (again.mark.round_no, again.mark.completed) == (1, 1)
    assert (tmp_path / "model" / CURRENT).read_bytes() == SECOND


def test_a_discarded_round_changes_no_byte_of_the_model(tmp_path, store) -> None:
    path = tmp_path / "model" / f"{model_hash(FIRST).hex()}.safetensors"
    before = os.stat(path)
    store.settle(1, model=None, completed=True)
    after = os.stat(path)
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert reopened(tmp_path).read() == FIRST
    assert reopened(tmp_path).mark.completed == 1


def test_a_round_without_a_result_is_settled_but_not_completed(store) -> None:
    store.settle(1, model=None, completed=False)
    assert (store.mark.round_no, store.mark.completed) == (1, 0)


def test_a_round_is_settled_once(store) -> None:
    second = store.put(SECOND)
    store.settle(3, model=second, completed=True)
    store.settle(3, model=store.put(THIRD), completed=True)
    store.settle(2, model=store.put(THIRD), completed=True)
    assert store.current == second
    assert store.mark.completed == 1


def test_old_models_go_and_the_last_ones_stay(tmp_path) -> None:
    store = reopened(tmp_path, keep=2)
    store.begin(FIRST)
    for number, blob in enumerate((SECOND, THIRD), start=1):
        store.settle(number, model=store.put(blob), completed=True)
    kept = {f"{model_hash(blob).hex()}.safetensors" for blob in (SECOND, THIRD)}
    assert set(files(tmp_path)) == kept | {CURRENT, "mark.json"}


def test_a_mean_of_zero_keeps_one_name(store) -> None:
    store.settle(1, model=store.put(FIRST), completed=True)
    assert store.mark.models == (model_hash(FIRST).hex(),)


def test_a_model_that_is_not_here_cannot_become_current(store) -> None:
    with pytest.raises(errors.StateError, match="cannot be read"):
        store.settle(1, model=model_hash(SECOND), completed=True)
    assert store.read() == FIRST


def test_a_damaged_model_is_noticed(tmp_path, store) -> None:
    (tmp_path / "model" / f"{model_hash(FIRST).hex()}.safetensors").write_bytes(b"x")
    with pytest.raises(errors.StateError, match="damaged"):
        reopened(tmp_path).read()


ENDLESS = (
    '{"task": "cardio", "origin": "", "models": [], "round_no": 1e999, "completed": 0}'
)


@pytest.mark.parametrize(
    "text",
    ["", "{}", '{"task": "cardio", "models": ["zz"]}', "[]", ENDLESS, "[" * 9999],
    ids=lambda text: text[:9],
)
def test_a_damaged_mark_is_noticed(tmp_path, store, text) -> None:
    (tmp_path / "model" / "mark.json").write_text(text)
    with pytest.raises(errors.StateError, match="damaged"):
        reopened(tmp_path)


def test_the_mark_can_be_read_by_people(tmp_path, store) -> None:
    mark = json.loads((tmp_path / "model" / "mark.json").read_text())
    assert mark["models"] == [model_hash(FIRST).hex()]


def test_a_crash_before_the_mark_leaves_the_model_before(
    tmp_path, store, monkeypatch
) -> None:
    second = store.put(SECOND)

    def crash(mark):
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "_settle", crash)
    with pytest.raises(KeyboardInterrupt):
        store.settle(1, model=second, completed=True)
    again = reopened(tmp_path)
    assert again.read() == FIRST
    again.settle(1, model=second, completed=True)
    assert again.read() == SECOND


def test_a_file_system_without_links_gets_a_copy(tmp_path, monkeypatch) -> None:
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    store = reopened(tmp_path)
    store.begin(FIRST)
    assert (tmp_path / "model" / CURRENT).read_bytes() == FIRST


def test_a_directory_that_cannot_be_made_is_told(tmp_path) -> None:
    (tmp_path / "model").write_text("")
    with pytest.raises(errors.StateError, match="cannot use"):
        reopened(tmp_path)


def test_a_full_disk_is_told(store, monkeypatch) -> None:
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(errors.StateError, match="free some space"):
        store.put(SECOND)
