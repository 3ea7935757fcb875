"""secagg.durable: what is written survives a power cut, or was never there (9-5)."""

import os

import pytest

from secagg import durable


@pytest.fixture
def done(monkeypatch) -> list[str]:
    """What was synced and moved, in order."""
    steps: list[str] = []
    sync, replace = os.fsync, os.replace

    def synced(descriptor) -> None:
        folder = os.path.isdir(f"/proc/self/fd/{descriptor}")
        steps.append("sync folder" if folder else "sync file")
        sync(descriptor)

    def replaced(*paths) -> None:
        steps.append("replace")
        replace(*paths)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    return steps


def test_a_file_is_synced_before_it_is_put_in_place_and_its_name_after(
    tmp_path, done
) -> None:
    path = tmp_path / "x"
    path.write_text("old, and longer")
    durable.replace(path, b"new")
    assert path.read_bytes() == b"new"
    assert done == ["sync file", "replace", "sync folder"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["x"]


def test_a_new_file_is_synced_with_its_name(tmp_path, done) -> None:
    durable.create(tmp_path / "x", b"new")
    assert (tmp_path / "x").read_bytes() == b"new"
    assert done == ["sync file", "sync folder"]


def test_a_new_file_takes_the_place_of_none(tmp_path) -> None:
    (tmp_path / "x").write_text("old")
    with pytest.raises(FileExistsError):
        durable.create(tmp_path / "x", b"new")
    assert (tmp_path / "x").read_text() == "old"


def test_the_mode_is_that_asked_for_whatever_a_crash_left(tmp_path) -> None:
    left = tmp_path / "x.part"
    left.write_text("left")
    left.chmod(0o666)
    durable.replace(tmp_path / "x", b"new", mode=0o600)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o600


def test_a_disk_that_fails_leaves_the_old_file(tmp_path, monkeypatch) -> None:
    path = tmp_path / "x"
    path.write_text("old")

    def full(_) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        durable.replace(path, b"new")
    assert path.read_text() == "old"
