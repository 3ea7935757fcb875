import hashlib

import pytest

from secagg import errors
from secagg.drivers.aggregator import blobs
from secagg.drivers.aggregator.blobs import BlobStore


def test_a_blob_is_found_by_its_sha_256_and_read_in_parts(tmp_path) -> None:
    store = BlobStore(tmp_path / "blobs")
    digest = store.put(b"0123456789")
    assert digest == hashlib.sha256(b"0123456789").digest()
    assert store.size(digest) == 10
    assert store.read(digest, 4, 3) == b"456"
    assert store.read(digest, 8, 100) == b"89"


def test_a_blob_outlives_the_process(tmp_path) -> None:
    digest = BlobStore(tmp_path).put(b"kept")
    assert BlobStore(tmp_path).read(digest, 0, 4) == b"kept"


def test_what_is_not_here_has_no_size_and_cannot_be_read(tmp_path) -> None:
    store = BlobStore(tmp_path)
    assert store.size(bytes(32)) is None
    with pytest.raises(errors.StateError, match="cannot be read"):
        store.read(bytes(32), 0, 1)


def test_only_the_newest_blobs_are_kept(tmp_path) -> None:
    store = BlobStore(tmp_path)
    digests = [store.put(bytes([k])) for k in range(blobs.KEPT + 2)]
    assert [store.size(d) for d in digests[:2]] == [None, None]
    assert all(store.size(d) == 1 for d in digests[2:])


def test_storing_a_blob_again_makes_it_the_newest(tmp_path) -> None:
    store = BlobStore(tmp_path)
    first = store.put(b"first")
    for k in range(blobs.KEPT - 1):
        store.put(bytes([k]))
    store.put(b"first")
    store.put(b"another")
    assert store.size(first) == 5


def test_a_blob_that_a_crash_left_half_written_does_not_count(tmp_path) -> None:
    store = BlobStore(tmp_path)
    (tmp_path / (bytes(32).hex() + ".part")).write_bytes(b"half")
    assert store.size(bytes(32)) is None


def test_a_directory_that_cannot_be_made_is_a_state_error(tmp_path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(errors.StateError, match="cannot use the directory"):
        BlobStore(tmp_path / "file" / "blobs")
