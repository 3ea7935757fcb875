import math
import os
import stat

import pytest

from secagg import errors
from secagg.drivers.aggregator.state import LEDGER_NAME, AggregatorState
from secagg.names import PeerId, SessionId
from secagg.privacy.ledger import Budget
from secagg.vector import Chunks

BUDGET = Budget(epsilon=math.inf, delta=1e-5)
CHUNKS = Chunks(length=4096, width=16, chunk_log2=12)
SID, OTHER = SessionId(bytes(32)), SessionId(bytes([1]) * 32)


def opened(directory) -> AggregatorState:
    return AggregatorState.open(directory, task_id="demo", budget=BUDGET, members=5)


def test_what_was_stored_is_there_when_it_is_opened_again(tmp_path) -> None:
    first = opened(tmp_path / "state")
    digest = first.blobs.put(b"model")
    first.journal.open_round("demo", digest, 5)
    first.close()
    second = opened(tmp_path / "state")
    row = second.journal.last_round("demo")
    assert row is not None
    assert second.blobs.read(row.model_hash, 0, 5) == b"model"
    second.close()


def test_a_directory_has_one_holder(tmp_path) -> None:
    first = opened(tmp_path)
    with pytest.raises(errors.StateError, match="another process"):
        opened(tmp_path)
    first.close()
    opened(tmp_path).close()


def test_a_ledger_that_is_held_lets_go_of_the_journal(tmp_path) -> None:
    (tmp_path / LEDGER_NAME).write_bytes(b"no database, and long enough to be seen")
    with pytest.raises(errors.StateError):
        opened(tmp_path)
    (tmp_path / LEDGER_NAME).unlink()
    opened(tmp_path).close()


def test_without_a_directory_nothing_is_left_behind() -> None:
    state = opened(None)
    directory = state.directory
    assert directory.is_dir()
    state.close()
    assert not directory.exists()


def test_uploads_of_other_sessions_are_swept(tmp_path) -> None:
    state = opened(tmp_path)
    for sid in (SID, OTHER):
        state.spool(sid, CHUNKS).append(PeerId("a"), 0, bytes(8192))
    state.sweep(SID)
    assert state.spool(SID, CHUNKS).next_index(PeerId("a")) == 1
    assert state.spool(OTHER, CHUNKS).next_index(PeerId("a")) == 0
    state.sweep(None)
    assert state.spool(SID, CHUNKS).next_index(PeerId("a")) == 0
    state.close()


def test_a_directory_that_cannot_be_made_is_a_state_error(tmp_path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(errors.StateError, match="cannot use the state directory"):
        opened(tmp_path / "file" / "state")


def test_what_fails_after_the_ledger_was_opened_lets_go_of_it(tmp_path) -> None:
    (tmp_path / "blobs").write_bytes(b"")
    with pytest.raises(errors.StateError, match="blobs"):
        opened(tmp_path)
    (tmp_path / "blobs").unlink()
    opened(tmp_path).close()


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777])
def test_a_directory_that_others_may_write_is_refused(tmp_path, mode) -> None:
    directory = tmp_path / "state"
    directory.mkdir()
    directory.chmod(mode)
    with pytest.raises(errors.StateError, match="chmod go-w"):
        opened(directory)
    directory.chmod(0o755)
    opened(directory).close()


def modes(directory) -> dict[str, int]:
    paths = (directory, *directory.rglob("*"))
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in paths}


def filled(directory) -> AggregatorState:
    state = opened(directory)
    state.blobs.put(b"model")
    state.spool(SID, CHUNKS).append(PeerId("a"), 0, bytes(8192))
    return state


def test_what_is_stored_is_for_its_owner_alone(tmp_path) -> None:
    directory = tmp_path / "state"
    before = os.umask(0)
    try:
        state = filled(directory)
        found = modes(directory)
    finally:
        os.umask(before)
    state.close()
    folders = {"state", "blobs", "spool", SID.hex()}
    assert folders < set(found)
    for name, mode in found.items():
        assert mode == (0o700 if name in folders else 0o600), name


def test_rights_that_others_had_are_taken_from_them(tmp_path) -> None:
    directory = tmp_path / "state"
    filled(directory).close()
    for name in ("journal.sqlite3", LEDGER_NAME):
        (directory / name).chmod(0o644)
    for name in ("blobs", "spool"):
        (directory / name).chmod(0o755)
    state = filled(directory)
    found = modes(directory)
    state.close()
    assert {found["journal.sqlite3"], found[LEDGER_NAME]} == {0o600}
    assert {found["blobs"], found["spool"]} == {0o700}
