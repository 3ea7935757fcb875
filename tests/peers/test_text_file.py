"""peers.text_file: why a file cannot be read, in one line with the remedy."""

import pytest

from peers import text_file


class MistakeError(Exception):
    """What is asked to be raised."""


def missing(folder):
    return folder / "roster.json"


def folder_itself(folder):
    return folder


def no_text(folder):
    path = folder / "x"
    path.write_bytes(b"\xff")
    return path


def under_a_file(folder):
    path = folder / "y"
    path.touch()
    return path / "z"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (missing, r"check the path, or ask for it"),
        (folder_itself, "is a folder: give the file in it"),
        (no_text, "not a text file in UTF-8"),
        (under_a_file, "cannot be read: Not a directory"),
    ],
)
def test_why_a_file_cannot_be_read_is_said(tmp_path, make, said) -> None:
    path = make(tmp_path)
    with pytest.raises(MistakeError, match=said) as caught:
        text_file.read(path, "ask for it", MistakeError)
    assert str(path) in str(caught.value)


def test_the_text_is_read(tmp_path) -> None:
    (tmp_path / "a").write_text("so", encoding="utf-8")
    assert text_file.read(tmp_path / "a", "", MistakeError) == "so"
