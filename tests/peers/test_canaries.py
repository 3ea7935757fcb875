"""A run of both programs with known secrets: none of them is left anywhere.

Rule 9-1, and the noise seed's end (9-4). Logs at the level debug, state directories,
temporary files as they are removed, what the machines show of themselves, errors.
"""

import base64
import shutil
import tempfile
import traceback

import pytest

from peers.training import TrainResult
from secagg import errors, events
from secagg.client import Client
from secagg.crypto import transcript
from secagg.crypto.kdf import hkdf
from secagg.drivers.silo.store import SqliteStore
from secagg.entropy import SystemEntropy
from secagg.identity import Identity
from tests.peers.canaries import SECRET, Canaries, written
from tests.peers.programs import AGGREGATOR, HOSPITAL, HOSPITALS, Programs, train

IDENTITIES = [f"{name}.identity.json" for name in (*HOSPITALS, "agg", "consortium")]
DEBUG = 'level = "debug"\n'
NOISE = """
[privacy]
noise_multiplier = 0.001
epsilon = 1e9
delta = 1e-5
"""


class Watch:
    """Knows every secret that is drawn or derived, and reads what is thrown away."""

    def __init__(self, patch, folder) -> None:
        self.canaries = Canaries()
        self.said: list[str] = []
        self.thrown: list[str] = []
        self._watch_draws(patch)
        self._watch_machines(patch)
        self._watch_folders(patch, folder)

    def _watch_draws(self, patch) -> None:
        draw, derive = SystemEntropy.draw, hkdf

        def drawn(entropy, label, size):
            secret = draw(entropy, label, size)
            if label in SECRET:
                self.canaries.note(label, secret)
            return secret

        def derived(ikm, salt, info):
            secret = derive(ikm, salt, info)
            self.canaries.note("derived", secret)
            return secret

        patch.setattr(SystemEntropy, "draw", drawn)
        patch.setattr(transcript, "hkdf", derived)

    def _watch_machines(self, patch) -> None:
        handle = Client.handle

        def handled(client, event):
            effects = handle(client, event)
            self.said += [repr(client), repr(client._session), repr(effects)]
            for effect in effects:
                if isinstance(effect, events.MaskVector):
                    for seed in effect.seeds:
                        self.canaries.note("mask", seed.key)
            return effects

        patch.setattr(Client, "handle", handled)

    def _watch_folders(self, patch, folder) -> None:
        """Temporary files lie here, and are read before they are removed."""
        temporary = folder / "temporary"
        temporary.mkdir()
        patch.setattr(tempfile, "tempdir", str(temporary))
        remove = shutil.rmtree

        def removed(path, *args, **kwargs):
            self.thrown += self.canaries.found_below(type(folder)(path))
            return remove(path, *args, **kwargs)

        patch.setattr(shutil, "rmtree", removed)


@pytest.fixture(scope="module")
def after(tmp_path_factory):
    """What is left after two rounds, in one of which a hospital's disk failed."""
    folder = tmp_path_factory.mktemp("canaries")
    with pytest.MonkeyPatch.context() as patch:
        watch = Watch(patch, folder)
        yield folder, watch, patch


async def ran(folder, watch, patch) -> Programs:
    if (folder / "agg.log").exists():
        return Programs(folder)
    programs = Programs(
        folder,
        privacy=NOISE,
        weights="",
        extras="",
        metrics="",
        ready_deadline=1.0,
    )
    programs.trainers = dict.fromkeys(
        HOSPITALS, lambda state, info: TrainResult(train(state, info).state_dict)
    )
    patch.setattr("tests.peers.programs.AGGREGATOR", AGGREGATOR + DEBUG)
    patch.setattr("tests.peers.programs.HOSPITAL", HOSPITAL + DEBUG)
    fail_once(patch, watch)
    await programs.run()
    for ended in programs.ended.values():
        watch.said += traceback.format_exception(ended)
    return programs


def fail_once(patch, watch) -> None:
    """Let the disk of the last hospital fail when its update is to be spent."""
    really = SqliteStore.record_spent

    def record_spent(store, task_id, round_no):
        if store.folder.name == f"{HOSPITALS[-1]}-state":
            watch.said.append(repr(store))
            raise errors.StateError("the disk is full")
        really(store, task_id, round_no)

    patch.setattr(SqliteStore, "record_spent", record_spent)


async def test_no_secret_of_a_run_is_left_anywhere(after) -> None:
    folder, watch, patch = after
    programs = await ran(folder, watch, patch)
    kinds = set(watch.canaries.secrets)
    assert {"b_u", "s_sk", "c_sk", "round", "noise_seed", "derived", "mask"} <= kinds
    for name in HOSPITALS:
        identity = Identity.load(folder / f"{name}.identity.json")
        watch.canaries.note("identity", identity.key._key.private_bytes_raw())
    assert watch.canaries.found_below(folder, spared=IDENTITIES) == []
    assert watch.thrown == []
    assert watch.canaries.found_in("\n".join(watch.said).encode()) == []
    assert len(programs.events("agg")) > 50
    assert any("the disk is full" in text for text in watch.said)


FORMS = ["raw", "hex", "HEX", "spaced", "repr", "list", "number", "base64"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("before", ["", "a", "ab"])
def test_a_planted_secret_is_found(tmp_path, form, before) -> None:
    """So the test above can fail."""
    secret = bytes(range(7, 39))
    planted = {
        "raw": secret,
        "hex": secret.hex().encode(),
        "HEX": secret.hex().upper().encode(),
        "spaced": secret.hex(" ").encode(),
        "repr": repr(secret).encode(),
        "list": str([*secret]).encode(),
        "number": str(int.from_bytes(secret, "little")).encode(),
        "base64": base64.b64encode(before.encode() + secret + b"end"),
    }
    canaries = Canaries()
    canaries.note("b_u", secret)
    (tmp_path / "state").mkdir()
    text = b'{"a": "' + planted[form] + b'"}\n'
    (tmp_path / "state" / "a.log").write_bytes(before.encode() + text)
    assert canaries.found_below(tmp_path) == ["state/a.log: b_u"]
    assert canaries.found_below(tmp_path, spared=["a.log"]) == []


def test_what_is_no_secret_is_not_found() -> None:
    canaries = Canaries()
    canaries.note("b_u", bytes(range(32)))
    assert canaries.found_in(bytes(range(1, 33))) == []
    assert len({*written(bytes(range(32)))}) >= 12


async def test_a_journal_that_keeps_its_noise_seed_is_found_out(after) -> None:
    """The look reads SQLite's files as they lie on the disk."""
    folder, watch, patch = after
    await ran(folder, watch, patch)
    seed = next(iter(watch.canaries.secrets["noise_seed"]))
    journal = folder / "agg-state" / "journal.sqlite3"
    assert watch.canaries.found_in(journal.read_bytes()) == []
    assert watch.canaries.found_in(journal.read_bytes() + seed) == ["noise_seed"]
