import pytest

from secagg.drivers.silo.scratch import IN_MEMORY, Scratch


def test_what_was_written_is_read_anywhere(tmp_path) -> None:
    with Scratch(tmp_path) as scratch:
        scratch.write(b"abc")
        scratch.write(b"defg")
        assert scratch.read(2, 3) == b"cde"
        assert scratch.read(0, 100) == b"abcdefg"


def test_more_than_memory_should_hold_lies_in_a_file_without_a_name(tmp_path) -> None:
    with Scratch(tmp_path) as scratch:
        scratch.write(bytes(IN_MEMORY))
        scratch.write(b"end")
        assert scratch.read(IN_MEMORY, 3) == b"end"
        assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_gone_is_noticed_when_a_file_is_needed(tmp_path) -> None:
    with Scratch(tmp_path / "gone") as scratch, pytest.raises(OSError, match="gone"):
        scratch.write(bytes(IN_MEMORY + 1))
