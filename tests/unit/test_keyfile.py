"""secagg.keyfile: for its owner alone, no link, looked at and read as one file."""

import os
import stat

import pytest

from secagg import errors, keyfile


def read(path):
    return keyfile.read(path, "the key", missing="make one", leaked="make another")


def refusal(path):
    with pytest.raises(errors.StateError) as caught:
        read(path)
    return str(caught.value)


@pytest.fixture
def path(tmp_path):
    """A good file."""
    keyfile.create(tmp_path / "key", "sésame\n")
    return tmp_path / "key"


def test_what_was_created_is_read(path) -> None:
    assert read(path) == "sésame\n"


def test_a_new_file_is_for_its_owner_alone(path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_is_not_created_over_another(path) -> None:
    with pytest.raises(FileExistsError):
        keyfile.create(path, "other")
    assert read(path) == "sésame\n"


@pytest.mark.parametrize("bit", [1 << place for place in range(6)])
def test_every_right_of_others_is_refused(path, bit) -> None:
    path.chmod(0o600 | bit)
    said = refusal(path)
    assert f"chmod 600 {path}" in said
    assert "make another" in said


def test_a_file_of_another_account_is_refused(path, monkeypatch) -> None:
    ours = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: ours + 1)
    said = refusal(path)
    assert f"account {ours}" in said
    assert f"chown {ours + 1} {path}" in said


def test_a_symbolic_link_is_refused(path) -> None:
    link = path.with_name("link")
    link.symlink_to(path)
    assert "symbolic link" in refusal(link)


def test_a_link_that_leads_nowhere_is_refused_as_a_link(tmp_path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    assert "symbolic link" in refusal(tmp_path / "link")


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert "is no file" in refusal(tmp_path / "pipe")


def test_a_folder_is_refused(tmp_path) -> None:
    assert "is no file" in refusal(tmp_path)


def test_a_missing_file_is_said_with_the_remedy(tmp_path) -> None:
    said = refusal(tmp_path / "typo")
    assert "typo" in said
    assert "make one" in said


def test_what_is_no_text_is_refused_and_not_shown(path) -> None:
    path.write_bytes(b"\xffsesame")
    assert "sesame" not in refusal(path)


def test_a_replaced_file_is_for_its_owner_alone_and_whole(path) -> None:
    keyfile.replace(path, "new\n")
    assert read(path) == "new\n"
    assert [entry.name for entry in path.parent.iterdir()] == ["key"]


def test_what_a_crash_left_beside_it_is_not_read_back(path) -> None:
    beside = path.with_name("key.part")
    beside.write_text("old secret")
    keyfile.replace(path, "new\n")
    assert read(path) == "new\n"
    assert not beside.exists()


def test_a_file_that_cannot_be_replaced_is_still_there(path) -> None:
    path.with_name("key.part").mkdir()
    with pytest.raises(OSError, match=r"key\.part"):
        keyfile.replace(path, "new\n")
    assert read(path) == "sésame\n"
