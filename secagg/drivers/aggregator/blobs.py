"""Blobs by their SHA-256: models and released vectors, served in parts (spec 7.5, 8).

Each is one file, written beside its place and moved there, so a name never stands for
half a blob. Only the newest are kept.
"""

from __future__ import annotations

import hashlib
import os
import threading
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from secagg import durable, errors
from secagg.drivers import private

KEPT: Final = 8
"""Blobs that are kept: the models and vectors of the last few rounds."""


_UNFINISHED: Final = "unfinished.part"
"""Where a blob grows until its hash, and so its name, is known."""


class Blob:
    """One blob, held open for whoever reads windows of it."""

    def __init__(self, path: Path) -> None:
        """Open the file; it is closed with the last reference.

        Raises:
            StateError: it is not there.
        """
        self._path = path
        try:
            self._file = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise _unreadable(path, error) from error
        weakref.finalize(self, os.close, self._file)

    def read(self, offset: int, size: int) -> bytes:
        """Return at most `size` bytes from `offset` on.

        Raises:
            StateError: the disk failed.
        """
        try:
            return os.pread(self._file, size, offset)
        except OSError as error:
            raise _unreadable(self._path, error) from error


class BlobStore:
    """A directory of blobs."""

    def __init__(self, directory: Path) -> None:
        """Use `directory`, making it if need be.

        Raises:
            StateError: it cannot be made.
        """
        try:
            private.settle_folder(directory)
        except OSError as error:
            raise errors.StateError(
                f"cannot use the directory {directory}: {error.strerror}"
            ) from error
        self._directory = directory
        self._writing = threading.Lock()

    def put(self, blob: bytes) -> bytes:
        """Store a blob durably and return its hash; only the newest are kept.

        Raises:
            StateError: it cannot be written.
        """
        return self.write([blob])

    def write(self, parts: Iterable[bytes | memoryview]) -> bytes:
        """Store a blob that comes in parts, as `put`; none of it is kept in memory.

        Raises:
            StateError: it cannot be written.
        """
        # A session that a restart resumes writes its mean while its round stocks its
        # model: one after the other, as both grow in one place.
        with self._writing:
            return self._write(parts)

    def _write(self, parts: Iterable[bytes | memoryview]) -> bytes:
        beside = self._directory / _UNFINISHED
        hasher = hashlib.sha256()
        try:
            with open(beside, "wb", opener=private.opener) as file:
                for part in parts:
                    hasher.update(part)
                    file.write(part)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path(hasher.digest()))
            durable.sync(self._directory)
        except OSError as error:
            raise errors.StateError(
                f"cannot write {beside}: {error.strerror}; free some space, or check"
                " the permissions"
            ) from error
        self._drop_old()
        return hasher.digest()

    def size(self, digest: bytes) -> int | None:
        """Return the size of a blob in bytes; None if it is not here."""
        path = self._path(digest)
        return path.stat().st_size if path.is_file() else None

    def read(self, digest: bytes, offset: int, size: int) -> bytes:
        """Return at most `size` bytes of a blob from `offset` on.

        Raises:
            StateError: it is not here.
        """
        return self.open(digest).read(offset, size)

    def open(self, digest: bytes) -> Blob:
        """Return a blob that stays readable, also when it is not kept any more.

        Raises:
            StateError: it is not here.
        """
        return Blob(self._path(digest))

    def _path(self, digest: bytes) -> Path:
        return self._directory / digest.hex()

    def _drop_old(self) -> None:
        blobs = [path for path in self._directory.iterdir() if not path.suffix]
        blobs.sort(key=lambda path: path.stat().st_mtime_ns)
        for path in blobs[:-KEPT]:
            path.unlink()


def _unreadable(path: Path, error: OSError) -> errors.StateError:
    return errors.StateError(f"blob {path.name[:12]} cannot be read: {error.strerror}")
