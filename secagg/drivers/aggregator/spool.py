"""Where the aggregator keeps the chunks of y_u until the sum is opened. Spec section 7.

One upload per member and session, in order, checked as it comes; a peer can store its
own M elements once and not a byte more. In files, each chunk is preceded by its leaf's
hash. So a restart reads an upload again, drops whatever a crash tore, and the client
goes on from there (spec 7.4).

When data is safe: a chunk is with the operating system when `append` returns and
outlives the process, not a power cut. With the last chunk of an upload the file and its
folder are synced, so a root that was announced outlives a power cut as well. The disk
begins earlier, every few MiB while more comes, so that little is left to wait for then.
An upload that could not be synced is dropped whole and begins anew: a disk tells of
what it lost once, and a later sync of the same bytes would succeed without them.
"""

from __future__ import annotations

import abc
import contextlib
import os
import re
import shutil
from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Final

from secagg import durable, errors, packing, vector
from secagg.drivers import private
from secagg.names import PEER_ID, PeerId, SessionId
from secagg.vector import Chunks, RootBuilder

_LEAF_SIZE: Final = 32
# Bytes of an upload after which the disk begins with them. 10 MB took it 35 ms, as long
# as they took to come.
_SYNC_BYTES: Final = 4 << 20

_SESSION: Final = re.compile(r"[0-9a-f]{64}")


class UploadLostError(errors.StateError):
    """What a member sent cannot be read back: the round has to be repeated."""


class Spool(abc.ABC):
    """The uploads of one session. Calls for one peer must not overlap."""

    def __init__(self, sid: SessionId, chunks: Chunks) -> None:
        """Begin with what is stored already.

        Args:
            sid: the session.
            chunks: how every member's vector is cut.
        """
        self.sid = sid
        self.chunks = chunks
        self._uploads: dict[PeerId, RootBuilder] = {}

    def append(self, peer: PeerId, index: int, chunk: bytes | memoryview) -> bool:
        """Check a chunk and store it; return False for a repeat, which is ignored.

        Args:
            peer: who sent it: a member of U2, as the caller knows.
            index: which chunk it says it is.
            chunk: packed, as received.

        Raises:
            RemoteProtocolError: out of order (rule 7.1-2).
            CodecError: misshapen (rules 7.1-3 to 7.1-5).
            StateError: it could not be stored; `next_index` says what may be sent.
        """
        upload = self._upload(peer)
        if not vector.is_next(index, upload.count, self.chunks):
            return False
        vector.check_chunk(chunk, index, self.chunks)
        leaf = vector.leaf_hash(self.sid, index, chunk)
        self._store(peer, index, leaf, chunk)
        # Counted once it is stored, and not if that failed.
        upload.add_leaf(leaf)
        return True

    def next_index(self, peer: PeerId) -> int:
        """Return the first chunk that is missing (spec 7.4)."""
        return self._upload(peer).count

    def complete(self, peer: PeerId) -> bool:
        """Return whether all chunks of `peer` are stored."""
        return self.next_index(peer) == self.chunks.count

    def root(self, peer: PeerId) -> bytes:
        """Return the root of a complete upload, 32 bytes.

        Raises:
            LocalProtocolError: chunks are missing.
        """
        if not self.complete(peer):
            raise errors.LocalProtocolError(f"the upload of {peer} is not complete")
        return self._upload(peer).root()

    def read(self, peer: PeerId, index: int) -> bytes:
        """Return a stored chunk.

        Raises:
            LocalProtocolError: it is not stored.
            UploadLostError: what is stored is not what came, or cannot be read.
        """
        if not 0 <= index < self.next_index(peer):
            raise errors.LocalProtocolError(f"chunk {index} of {peer} is not stored")
        return self._load(peer, index)

    @abc.abstractmethod
    def remove(self) -> None:
        """Drop all uploads: the session is over."""

    def _upload(self, peer: PeerId) -> RootBuilder:
        if peer not in self._uploads:
            self._uploads[peer] = self._resume(peer)
        return self._uploads[peer]

    @abc.abstractmethod
    def _resume(self, peer: PeerId) -> RootBuilder:
        """Return the root over what is stored of `peer`, and drop what is torn."""

    @abc.abstractmethod
    def _store(
        self, peer: PeerId, index: int, leaf: bytes, chunk: bytes | memoryview
    ) -> None:
        """Store a chunk after those before it."""

    @abc.abstractmethod
    def _load(self, peer: PeerId, index: int) -> bytes:
        """Return a chunk that is stored."""


class FileSpool(Spool):
    """Uploads in files, one per member in a folder of the session.

    A file is open only while it is used, so that a thousand members do not exhaust the
    descriptors. To take up an upload after a restart reads all of it.
    """

    def __init__(self, directory: Path, sid: SessionId, chunks: Chunks) -> None:
        """Begin with what `directory` holds of this session.

        Raises:
            StateError: the folder cannot be made.
        """
        super().__init__(sid, chunks)
        self._folder = directory / sid.hex()
        self._disk = ThreadPoolExecutor(1)
        self._syncing: dict[Path, Future[None]] = {}
        try:
            private.settle_folder(directory)
            private.settle_folder(self._folder)
        except OSError as error:
            raise _unusable(self._folder, error) from error

    def remove(self) -> None:
        """Drop all uploads: the session is over."""
        self._uploads.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, peer: PeerId) -> Path:
        if not PEER_ID.fullmatch(peer):
            raise errors.LocalProtocolError(f"{peer!r} is no id, hence no file name")
        return self._folder / peer

    def _offset(self, count: int) -> int:
        """Return how many bytes the first `count` chunks and their leaves take."""
        elements = min(count << self.chunks.chunk_log2, self.chunks.length)
        return count * _LEAF_SIZE + packing.packed_size(elements, self.chunks.width)

    def _resume(self, peer: PeerId) -> RootBuilder:
        upload = RootBuilder(self.sid)
        path = self._path(peer)
        try:
            # Not truncated, and made if missing.
            with open(path, "ab+", opener=private.opener) as file:
                file.seek(0)
                self._take_up(file, upload)
                file.truncate(self._offset(upload.count))
            self._settle(path, upload.count)
        except OSError as error:
            raise _unusable(path, error) from error
        return upload

    def _take_up(self, file: BinaryIO, upload: RootBuilder) -> None:
        """Add chunk after chunk until one is missing, torn or altered."""
        while upload.count < self.chunks.count:
            record = file.read(_LEAF_SIZE + self.chunks.size_bytes(upload.count))
            leaf, chunk = record[:_LEAF_SIZE], record[_LEAF_SIZE:]
            if leaf != vector.leaf_hash(self.sid, upload.count, chunk):
                return
            upload.add_leaf(leaf)

    def _store(
        self, peer: PeerId, index: int, leaf: bytes, chunk: bytes | memoryview
    ) -> None:
        path = self._path(peer)
        try:
            with path.open("rb+") as file:
                file.seek(self._offset(index))
                file.write(leaf)
                file.write(chunk)
            self._sync_ahead(path, index)
            self._settle(path, index + 1)
        except OSError as error:
            said = self._said(path) or error
            self._drop_from(path, index)
            # What is left of it is read from the disk when it is asked for.
            del self._uploads[peer]
            raise _unusable(path, said) from error

    def _sync_ahead(self, path: Path, index: int) -> None:
        """Let the disk begin, if the chunk filled up some MiB and it is not at work."""
        before, after = (self._offset(index + k) // _SYNC_BYTES for k in (0, 1))
        last = index + 1 == self.chunks.count
        begun = self._syncing.get(path)
        if begun is not None and (begun.done() or last):
            del self._syncing[path]
            # Waits, and raises what the disk said, which tells it only once.
            begun.result()
        if before < after and not last and path not in self._syncing:
            self._syncing[path] = self._disk.submit(_synced, path, path)

    def _said(self, path: Path) -> OSError | None:
        """Wait for the sync that is at work, and return what made it drop the file."""
        begun = self._syncing.pop(path, None)
        said = None if begun is None else begun.exception()
        return said if isinstance(said, OSError) else None

    def _settle(self, path: Path, count: int) -> None:
        """Put a complete upload on stable storage."""
        if count == self.chunks.count:
            _synced(path, path, self._folder)

    def _drop_from(self, path: Path, index: int) -> None:
        """Drop a chunk that failed, lest it be taken for a synced one."""
        # Where even this fails, the caller's error has said what is wrong.
        with contextlib.suppress(OSError):
            os.truncate(path, self._offset(index))

    def _load(self, peer: PeerId, index: int) -> bytes:
        path = self._path(peer)
        size = self.chunks.size_bytes(index)
        try:
            with path.open("rb") as file:
                file.seek(self._offset(index))
                leaf, chunk = file.read(_LEAF_SIZE), file.read(size)
        except OSError as error:
            raise UploadLostError(str(_unusable(path, error))) from error
        if leaf != vector.leaf_hash(self.sid, index, chunk):
            raise UploadLostError(
                f"chunk {index} in {path} is not what {peer} sent: check the disk; the"
                " round has to be repeated"
            )
        return chunk


def sweep(directory: Path, keep: Collection[SessionId]) -> None:
    """Remove the uploads of sessions that are over, after a restart.

    Only folders named as a session are touched, whatever else `directory` holds.
    """
    kept = {sid.hex() for sid in keep}
    for folder in directory.glob("*"):
        if _SESSION.fullmatch(folder.name) and folder.name not in kept:
            shutil.rmtree(folder, ignore_errors=True)


def _synced(upload: Path, *paths: Path) -> None:
    """Put `paths` on stable storage; drop the upload if the disk fails at one.

    Now, and not by who waits for it: no restart may find it and have it synced again.
    """
    try:
        for path in paths:
            durable.sync(path)
    except OSError:
        with contextlib.suppress(OSError):
            upload.unlink()
        raise


def _unusable(path: Path, error: OSError) -> errors.StateError:
    return errors.StateError(
        f"cannot use the spool {path}: {error.strerror}; see that the disk has room and"
        " that this account may write there"
    )
