"""The vector files are what the model writes, byte for byte, and nothing else."""

import hashlib

import pytest

from protocol_spec.model.generate import PARTS, generate, text_of
from tests.spec.vector_files import FOLDER, index


@pytest.mark.parametrize("part", PARTS)
def test_the_model_writes_the_same_bytes_again(part):
    written = index()[part]
    made = {}
    for name, content in PARTS[part]():
        made[name] = text_of(content)
        assert made[name] == (FOLDER / f"{name}.json").read_text("ascii"), name
    digests = {n: hashlib.sha256(t.encode()).hexdigest() for n, t in made.items()}
    assert digests == written


def test_the_folder_holds_the_files_of_the_index_and_no_others():
    listed = [name for part in index().values() for name in part]
    assert len(set(listed)) == len(listed)
    there = {path.name for path in FOLDER.iterdir()}
    assert there == {f"{name}.json" for name in [*listed, "index"]}
    assert list(index()) == list(PARTS)


def test_all_files_together_stay_small():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 8_500_000


def test_generating_removes_what_no_longer_belongs(tmp_path, monkeypatch):
    part = "encodings"
    monkeypatch.setattr("protocol_spec.model.generate.PARTS", {part: PARTS[part]})
    (tmp_path / "old.json").write_text("{}")
    generate(tmp_path)
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {f"{name}.json" for name in [*index()[part], "index"]}
