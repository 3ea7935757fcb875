import os
import stat

import pytest

from secagg import errors
from secagg.drivers import private


@pytest.fixture(autouse=True)
def _open_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_is_its_owners_alone(tmp_path) -> None:
    path = tmp_path / "file"
    with open(path, "wb", opener=private.opener) as file:
        file.write(b"secret")
    assert mode(path) == 0o600


@pytest.mark.parametrize(
    ("had", "has"), [(0o644, 0o600), (0o666, 0o600), (0o440, 0o400)]
)
def test_a_file_that_is_there_is_kept_and_taken_from_others(tmp_path, had, has) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"kept")
    path.chmod(had)
    private.settle_file(path)
    assert (mode(path), path.read_bytes()) == (has, b"kept")


def test_a_file_that_is_missing_is_made(tmp_path) -> None:
    private.settle_file(tmp_path / "file")
    assert (mode(tmp_path / "file"), (tmp_path / "file").read_bytes()) == (0o600, b"")


def test_a_folder_is_its_owners_alone(tmp_path) -> None:
    (tmp_path / "old").mkdir(mode=0o755)
    for name in ("old", "new"):
        private.settle_folder(tmp_path / name)
        assert mode(tmp_path / name) == 0o700


def test_a_shared_directory_is_refused_with_the_remedy(tmp_path) -> None:
    tmp_path.chmod(0o770)
    with pytest.raises(errors.StateError, match=r"mode 0770.*chmod go-w"):
        private.check_unshared(tmp_path)
    tmp_path.chmod(0o755)
    private.check_unshared(tmp_path)
