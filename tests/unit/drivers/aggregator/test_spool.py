"""secagg.drivers.aggregator.spool: uploads in order, once, and across a crash."""

import errno
import os
import resource

import numpy as np
import pytest

from secagg import errors, packing, vector
from secagg.drivers.aggregator import spool as spools
from secagg.drivers.aggregator.spool import FileSpool, UploadLostError
from secagg.names import PeerId, SessionId
from tests.memory_spool import MemorySpool

SID = SessionId(bytes(range(32)))
BERN, ZUG = PeerId("bern"), PeerId("zug")
CHUNKS = vector.Chunks(length=3 * 4096 + 5, width=17, chunk_log2=12)
COUNT = CHUNKS.count


def upload(seed=1, chunks=CHUNKS):
    """The packed chunks of some vector."""
    parts = []
    for index in range(chunks.count):
        start, stop = chunks.span(index)
        elements = np.arange(start, stop, dtype=np.uint32) * seed
        parts.append(packing.pack(elements, chunks.width))
    return parts


PARTS = upload()


def root_of(parts):
    builder = vector.RootBuilder(SID)
    for index, part in enumerate(parts):
        builder.add(index, part)
    return builder.root()


def fill(spool, peer=BERN, parts=PARTS, count=COUNT):
    for index in range(count):
        assert spool.append(peer, index, parts[index])


def stored(spool, peer=BERN):
    return [spool.read(peer, index) for index in range(spool.next_index(peer))]


@pytest.fixture(params=["memory", "file"])
def spool(request, tmp_path):
    """A new spool of each kind."""
    if request.param == "memory":
        return MemorySpool(SID, CHUNKS)
    return FileSpool(tmp_path, SID, CHUNKS)


@pytest.fixture
def path(tmp_path):
    """Where FileSpool(tmp_path) keeps the upload of BERN."""
    return tmp_path / SID.hex() / BERN


# --- both kinds


def test_a_complete_upload_has_its_root_and_its_chunks(spool) -> None:
    fill(spool)
    assert spool.complete(BERN)
    assert spool.root(BERN) == root_of(PARTS)
    assert stored(spool) == PARTS


def test_the_next_index_counts_the_stored_chunks(spool) -> None:
    seen = [spool.next_index(BERN)]
    for index, part in enumerate(PARTS):
        spool.append(BERN, index, part)
        seen.append(spool.next_index(BERN))
    assert seen == [*range(COUNT + 1)]


def test_uploads_of_peers_do_not_mix(spool) -> None:
    others = upload(seed=3)
    for index in range(COUNT):
        spool.append(BERN, index, PARTS[index])
        spool.append(ZUG, index, others[index])
    assert (stored(spool, BERN), stored(spool, ZUG)) == (PARTS, others)
    assert spool.root(ZUG) == root_of(others)


@pytest.mark.parametrize("count", range(COUNT))
def test_an_incomplete_upload_has_no_root(spool, count) -> None:
    fill(spool, count=count)
    assert not spool.complete(BERN)
    with pytest.raises(errors.LocalProtocolError, match="not complete"):
        spool.root(BERN)


def test_7_1_2_a_repeat_is_ignored_whatever_it_holds(spool) -> None:
    fill(spool, count=2)
    assert not spool.append(BERN, 1, PARTS[1])
    assert not spool.append(BERN, 0, PARTS[1])
    assert not spool.append(BERN, 0, b"")
    assert stored(spool) == PARTS[:2]


BREACHES = {
    "a gap": ("7.1-2", 2, PARTS[2]),
    "a chunk too short": ("7.1-3", 1, PARTS[1][:-1]),
    "a chunk too long": ("7.1-3", 1, PARTS[1] + b"\0"),
    "an element not below p": ("7.1-5", 1, b"\xff" * len(PARTS[1])),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_is_refused_by_its_rule_and_stores_nothing(spool, breach) -> None:
    rule, index, chunk = BREACHES[breach]
    fill(spool, count=1)
    with pytest.raises(errors.RemoteProtocolError) as caught:
        spool.append(BERN, index, chunk)
    assert caught.value.rule == rule
    assert stored(spool) == PARTS[:1]
    assert spool.append(BERN, 1, PARTS[1])


def test_7_1_4_padding_that_is_not_zero_is_refused(spool) -> None:
    fill(spool, count=COUNT - 1)
    last = PARTS[-1][:-1] + bytes([PARTS[-1][-1] | 0x80])
    with pytest.raises(errors.CodecError) as caught:
        spool.append(BERN, COUNT - 1, last)
    assert caught.value.rule == "7.1-4"


def test_7_1_2_a_peer_stores_its_elements_and_not_a_chunk_more(spool) -> None:
    fill(spool)
    with pytest.raises(errors.RemoteProtocolError) as caught:
        spool.append(BERN, COUNT, PARTS[0])
    assert caught.value.rule == "7.1-2"
    assert stored(spool) == PARTS


@pytest.mark.parametrize("index", [-1, 2])
def test_a_chunk_that_is_not_stored_cannot_be_read(spool, index) -> None:
    fill(spool, count=2)
    with pytest.raises(errors.LocalProtocolError, match=str(index)):
        spool.read(BERN, index)


def test_a_session_that_is_over_leaves_nothing(spool, tmp_path) -> None:
    fill(spool)
    spool.remove()
    assert list(tmp_path.iterdir()) == []


# --- files


def test_a_file_holds_the_elements_and_a_hash_a_chunk_and_no_more(
    tmp_path, path
) -> None:
    fill(FileSpool(tmp_path, SID, CHUNKS))
    assert path.stat().st_size == CHUNKS.total_bytes + 32 * COUNT


@pytest.mark.parametrize("count", range(COUNT + 1))
def test_a_restart_goes_on_after_the_last_stored_chunk(tmp_path, count) -> None:
    fill(FileSpool(tmp_path, SID, CHUNKS), count=count)
    again = FileSpool(tmp_path, SID, CHUNKS)
    assert again.next_index(BERN) == count
    for index in range(count, COUNT):
        assert again.append(BERN, index, PARTS[index])
    assert again.root(BERN) == root_of(PARTS)
    assert stored(again) == PARTS


ENDS = [(32 + len(PARTS[0])) * k for k in range(COUNT)]
TORN = sorted({size for end in ENDS for size in (end, end + 1, end + 31, end + 32)})


@pytest.mark.parametrize("size", TORN)
def test_a_torn_chunk_is_dropped_wherever_it_is_torn(tmp_path, path, size) -> None:
    fill(FileSpool(tmp_path, SID, CHUNKS))
    os.truncate(path, size)
    again = FileSpool(tmp_path, SID, CHUNKS)
    kept = sum(end <= size for end in ENDS) - 1
    assert again.next_index(BERN) == kept
    assert path.stat().st_size == ENDS[kept]
    for index in range(kept, COUNT):
        again.append(BERN, index, PARTS[index])
    assert stored(again) == PARTS


@pytest.mark.parametrize("place", [0, 32, 100, len(PARTS[0]) + 31])
def test_what_a_power_cut_left_as_zeros_is_dropped(tmp_path, path, place) -> None:
    """Sizes may reach the disk before the data."""
    fill(FileSpool(tmp_path, SID, CHUNKS), count=3)
    data = bytearray(path.read_bytes())
    data[ENDS[1] + place :] = bytes(len(data) - ENDS[1] - place)
    path.write_bytes(data)
    assert stored(FileSpool(tmp_path, SID, CHUNKS)) == PARTS[:1]


def test_another_sessions_upload_is_not_taken_up(tmp_path, path) -> None:
    other = SessionId(bytes(32))
    fill(FileSpool(tmp_path, SID, CHUNKS))
    again = FileSpool(tmp_path, other, CHUNKS)
    path.rename(tmp_path / other.hex() / BERN)
    assert again.next_index(BERN) == 0


def test_a_chunk_altered_on_the_disk_is_not_read(tmp_path, path) -> None:
    spool = FileSpool(tmp_path, SID, CHUNKS)
    fill(spool)
    data = bytearray(path.read_bytes())
    data[ENDS[1] + 40] ^= 1
    path.write_bytes(data)
    assert spool.read(BERN, 0) == PARTS[0]
    with pytest.raises(UploadLostError, match="bern"):
        spool.read(BERN, 1)


@pytest.fixture
def files_limited_to():
    """Let no file grow beyond so many bytes: a write stops there and fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 1, 32, 33, 5000])
def test_a_chunk_without_room_is_dropped_and_may_come_again(
    tmp_path, path, files_limited_to, room
) -> None:
    spool = FileSpool(tmp_path, SID, CHUNKS)
    fill(spool, count=1)
    files_limited_to(ENDS[1] + room)
    with pytest.raises(errors.StateError, match="see that the disk has room"):
        spool.append(BERN, 1, PARTS[1])
    assert path.stat().st_size == ENDS[1]
    assert spool.next_index(BERN) == 1
    files_limited_to(CHUNKS.total_bytes * 2)
    for index in range(1, COUNT):
        assert spool.append(BERN, index, PARTS[index])
    assert stored(spool) == PARTS


class SyncWatch:
    """Replaces os.fsync: notes what was synced, or fails."""

    def __init__(self, monkeypatch):
        self.synced = []
        self.fails_at: int | None = None
        self._fsync = os.fsync
        monkeypatch.setattr(os, "fsync", self)

    def __call__(self, descriptor):
        node = os.fstat(descriptor).st_ino
        if node == self.fails_at:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.synced.append(node)
        self._fsync(descriptor)


@pytest.fixture
def sync(monkeypatch):
    return SyncWatch(monkeypatch)


def test_the_last_chunk_is_synced_with_its_folder(tmp_path, path, sync) -> None:
    spool = FileSpool(tmp_path, SID, CHUNKS)
    sync.synced.clear()
    fill(spool, count=COUNT - 1)
    assert sync.synced == []
    spool.append(BERN, COUNT - 1, PARTS[-1])
    assert sync.synced == [path.stat().st_ino, path.parent.stat().st_ino]


def test_a_complete_upload_found_at_a_restart_is_synced(tmp_path, path, sync) -> None:
    """The crash may have come between the write and the sync."""
    fill(FileSpool(tmp_path, SID, CHUNKS))
    again = FileSpool(tmp_path, SID, CHUNKS)
    sync.synced.clear()
    assert again.complete(BERN)
    assert sync.synced == [path.stat().st_ino, path.parent.stat().st_ino]


def refused(spool, index, peer=BERN):
    with pytest.raises(errors.StateError, match="error"):
        spool.append(peer, index, PARTS[index])


@pytest.mark.parametrize("what", ["file", "folder"])
def test_an_upload_that_cannot_be_synced_comes_anew(tmp_path, path, sync, what) -> None:
    """A second sync of the same bytes would succeed, and mean nothing."""
    spool = FileSpool(tmp_path, SID, CHUNKS)
    fill(spool, count=COUNT - 1)
    fill(spool, ZUG)
    sync.fails_at = (path if what == "file" else path.parent).stat().st_ino
    refused(spool, COUNT - 1)
    assert not path.exists()
    sync.fails_at = None
    assert FileSpool(tmp_path, SID, CHUNKS).next_index(BERN) == 0
    assert spool.next_index(BERN) == 0
    sync.synced.clear()
    fill(spool)
    assert sync.synced == [path.stat().st_ino, path.parent.stat().st_ino]
    assert stored(spool) == PARTS
    assert spool.complete(ZUG)


def test_a_complete_upload_that_a_restart_cannot_sync_comes_anew(
    tmp_path, path, sync
) -> None:
    fill(FileSpool(tmp_path, SID, CHUNKS))
    sync.fails_at = path.stat().st_ino
    again = FileSpool(tmp_path, SID, CHUNKS)
    with pytest.raises(errors.StateError, match="error"):
        again.next_index(BERN)
    sync.fails_at = None
    fill(again)
    assert stored(again) == PARTS


@pytest.fixture
def ahead(monkeypatch):
    """The disk begins with every chunk but the last."""
    monkeypatch.setattr(spools, "_SYNC_BYTES", 1)


def test_the_disk_begins_while_more_is_to_come(tmp_path, path, sync, ahead) -> None:
    spool = FileSpool(tmp_path, SID, CHUNKS)
    sync.synced.clear()
    fill(spool, count=1)
    spool._syncing[path].result(timeout=60)
    file, folder = path.stat().st_ino, path.parent.stat().st_ino
    assert sync.synced == [file]
    for index in range(1, COUNT):
        spool.append(BERN, index, PARTS[index])
    assert sync.synced[-2:] == [file, folder]
    assert spool._syncing == {}
    assert stored(spool) == PARTS


def test_an_upload_that_could_not_be_synced_early_comes_anew(
    tmp_path, path, sync, ahead
) -> None:
    spool = FileSpool(tmp_path, SID, CHUNKS)
    assert spool.next_index(BERN) == 0
    sync.fails_at = path.stat().st_ino
    fill(spool, count=1)
    assert spool._syncing[path].exception(timeout=60) is not None
    sync.fails_at = None
    # At once: a process that is killed now must not find it.
    assert not path.exists()
    refused(spool, 1)
    assert spool.next_index(BERN) == 0
    fill(spool)
    assert spool.root(BERN) == root_of(PARTS)
    assert stored(spool) == PARTS


@pytest.mark.parametrize("peer", ["../bern", "a/b", ".", "", "Bern"])
def test_a_name_that_is_no_id_makes_no_file(tmp_path, peer) -> None:
    with pytest.raises(errors.LocalProtocolError, match="no id"):
        FileSpool(tmp_path, SID, CHUNKS).next_index(PeerId(peer))


def test_a_folder_that_cannot_be_made_is_named(tmp_path) -> None:
    (tmp_path / "spool").write_text("")
    with pytest.raises(errors.StateError, match=str(tmp_path / "spool")):
        FileSpool(tmp_path / "spool", SID, CHUNKS)


def test_a_spool_that_vanished_is_named(tmp_path, path) -> None:
    spool = FileSpool(tmp_path, SID, CHUNKS)
    fill(spool, count=1)
    path.unlink()
    with pytest.raises(UploadLostError, match=str(path)):
        spool.read(BERN, 0)
    with pytest.raises(errors.StateError, match=str(path)):
        spool.append(BERN, 1, PARTS[1])
    spool.remove()
    with pytest.raises(errors.StateError, match=str(path)):
        spool.next_index(BERN)


def test_after_a_restart_only_running_sessions_are_kept(tmp_path) -> None:
    over, running = SessionId(b"o" * 32), SessionId(b"r" * 32)
    for sid in (over, running):
        FileSpool(tmp_path, sid, CHUNKS)
    (tmp_path / "else").mkdir()
    spools.sweep(tmp_path, {running})
    left = sorted(entry.name for entry in tmp_path.iterdir())
    assert left == sorted([running.hex(), "else"])


def test_a_directory_that_was_never_made_needs_no_sweep(tmp_path) -> None:
    spools.sweep(tmp_path / "none", ())
    assert not (tmp_path / "none").exists()


# --- beyond 4 GB


@pytest.mark.parametrize("index", [1 << 11, (1 << 20) - 2])
def test_a_chunk_beyond_4_gib_lies_behind_those_before_it(tmp_path, index) -> None:
    # 2^20 chunks of 2.5 MiB: the file is sparse, and ends where the test began.
    chunks = vector.Chunks(length=(1 << 40) - 3, width=20, chunk_log2=20)
    spool = FileSpool(tmp_path, SID, chunks)
    assert spool.next_index(BERN) == 0
    upload = spool._upload(BERN)
    before = vector.leaf_hash(SID, 0, b"before")
    upload._tree.count = index
    upload._tree._complete = [before] * index.bit_count()
    parts = [bytes(chunks.size_bytes(k)) for k in (index, index + 1)]
    assert spool.append(BERN, index, parts[0])
    assert spool.append(BERN, index + 1, parts[1])
    assert spool.next_index(BERN) == index + 2
    assert spool.read(BERN, index + 1) == parts[1]
    size = (tmp_path / SID.hex() / BERN).stat().st_size
    assert size == 32 * (index + 2) + (index + 1) * len(parts[0]) + len(parts[1])
    assert size > 1 << 32
