"""A hospital's state through a power cut at any moment: nothing acknowledged is lost.

Rule 9-5, with real files: a preloaded library writes down what SQLite and we ask
of the system, and every disk that a cut may leave is opened again.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from secagg import errors
from secagg.drivers.silo.store import SqliteStore
from tests.power.disk import ACK, acknowledged, read_log, states

HERE = Path(__file__).parent

PROGRAM = f"""
import os, pathlib, sys
from secagg.drivers import database
from secagg.drivers.silo.store import SqliteStore

folder = pathlib.Path(sys.argv[1])
told = os.open(folder / {ACK!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def say(word):
    os.write(told, (word + " ").encode())


if len(sys.argv) > 2:
    really = database.Database.execute

    def execute(self, statement, *values):
        return really(self, statement.replace("EXTRA", "OFF"), *values)

    database.Database.execute = execute

for life in range(2):
    with SqliteStore(folder / "state") as store:
        number = 1 + life
        store.record_joined("icu", number, 1)
        say(f"joined-{{number}}")
        store.record_spent("icu", number)
        say(f"spent-{{number}}")
        store.record_head("icu", bytes([number]) * 32)
        say(f"head-{{number}}")
"""

WORDS = [f"{what}-{k}" for k in (1, 2) for what in ("joined", "spent", "head")]


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    """The library, compiled; skips where there is no compiler."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("no C compiler, or not Linux")
    library = tmp_path_factory.mktemp("shim") / "shim.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", library, HERE / "shim.c", "-ldl"],
        check=True,
    )
    return library


def log_of(shim, folder, *arguments):
    """What the program did to its files."""
    folder.mkdir()
    log = folder.parent / f"{folder.name}.log"
    environment = {
        **os.environ,
        "LD_PRELOAD": str(shim),
        "POWER_LOG": str(log),
        "POWER_FOLDER": str(folder),
    }
    program = [sys.executable, "-c", PROGRAM, folder, *arguments]
    subprocess.run(program, check=True, env=environment)
    return read_log(log)


def words_of(directory) -> list[str]:
    """What a state says, in the words of the program."""
    with SqliteStore(directory) as store:
        joined, head = store.last_joined("icu")[0], store.head("icu")[0]
        spent = [k for k in (1, 2) if store.spent("icu", k)]
    return [
        word
        for word in WORDS
        if (word.startswith("joined") and int(word[-1]) <= joined)
        or (word.startswith("spent") and int(word[-1]) in spent)
        or (word.startswith("head") and int(word[-1]) <= head)
    ]


def disks_after_cuts(changes, root):
    """For each moment and each disk then: what was acknowledged, what it says."""
    seen: dict[str, list[str] | str] = {}
    # Before a sync anything since the one before it may be missing, so the moments in
    # between are among these.
    syncs = [place for place, change in enumerate(changes) if change.kind == "S"]
    for moment in (*syncs, len(changes)):
        told = acknowledged(changes[:moment])
        for files in states(changes[:moment]):
            digest = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()
            if digest not in seen:
                seen[digest] = restored(files, root / digest[:16])
            yield told, seen[digest]


def restored(files, folder) -> list[str] | str:
    """Open the state that lies in these files; the error if it is refused."""
    state = folder / "state"
    state.mkdir(parents=True)
    for path, data in files.items():
        (state / Path(path).name).write_bytes(data)
    try:
        return words_of(state)
    except errors.StateError as error:
        return f"refused: {error}"


def test_whatever_a_power_cut_leaves_says_all_that_was_acknowledged(
    shim, tmp_path
) -> None:
    changes = log_of(shim, tmp_path / "disk")
    assert acknowledged(changes) == WORDS
    count = 0
    for told, said in disks_after_cuts(changes, tmp_path / "after"):
        assert isinstance(said, list), said
        # One more may be there: it was written, and the cut came before it was told.
        assert said in (told, WORDS[: len(told) + 1]), (told, said)
        count += 1
    assert count > 100


def test_without_syncs_something_acknowledged_is_lost(shim, tmp_path) -> None:
    """So the test above can fail: the same with synchronous = OFF."""
    changes = log_of(shim, tmp_path / "disk", "forgetful")
    assert any(
        isinstance(said, str) or len(said) < len(told)
        for told, said in disks_after_cuts(changes, tmp_path / "after")
    )
