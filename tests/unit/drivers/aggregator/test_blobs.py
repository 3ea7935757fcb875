import hashlib
import os
from concurrent.futures import ThreadPoolExecutor

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


def test_a_blob_in_parts_has_the_name_of_the_whole(tmp_path) -> None:
    store = BlobStore(tmp_path)
    parts: list[bytes | memoryview] = [b"012", memoryview(b"345"), b""]
    digest = store.write(iter(parts))
    assert digest == hashlib.sha256(b"012345").digest()
    assert store.read(digest, 0, 10) == b"012345"


def test_a_blob_whose_parts_fail_is_not_there(tmp_path) -> None:
    def parts():
        yield b"012"
        raise errors.StateError("no more")

    store = BlobStore(tmp_path)
    with pytest.raises(errors.StateError, match="no more"):
        store.write(parts())
    assert store.size(hashlib.sha256(b"012").digest()) is None
    assert store.read(store.put(b"3"), 0, 9) == b"3"


def test_an_open_blob_is_readable_after_it_was_dropped(tmp_path) -> None:
    store = BlobStore(tmp_path)
    blob = store.open(store.put(b"held"))
    for k in range(blobs.KEPT):
        store.put(bytes([k]))
    assert store.size(hashlib.sha256(b"held").digest()) is None
    assert blob.read(1, 2) == b"el"


def test_an_open_blob_is_closed_with_its_last_reference(tmp_path) -> None:
    store = BlobStore(tmp_path)
    blob = store.open(store.put(b"held"))
    number = blob._file
    del blob
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(number)


def test_beyond_4_gib_a_part_is_read_at_its_offset(tmp_path) -> None:
    digest = bytes(31) + b"\x07"
    far = (1 << 32) + 12345
    with (tmp_path / digest.hex()).open("wb") as file:
        file.seek(far)
        file.write(b"far away")
    store = BlobStore(tmp_path)
    assert store.size(digest) == far + 8
    assert store.read(digest, far + 4, 100) == b"away"
    assert store.read(digest, far - 2, 3) == b"\0\0f"


def test_a_blob_that_is_put_while_another_grows_takes_its_turn(tmp_path) -> None:
    store, waiting = BlobStore(tmp_path), []
    with ThreadPoolExecutor(1) as pool:

        def parts():
            yield b"a" * 10
            waiting.append(pool.submit(store.put, b"b" * 5))
            yield b"a" * 10

        first = store.write(parts())
        second = waiting[0].result()
    assert store.read(first, 0, 99) == b"a" * 20
    assert store.read(second, 0, 99) == b"b" * 5
