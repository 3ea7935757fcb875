"""Blobs by their SHA-256: models and released vectors, served in parts (spec 7.5, 8).

Each is one file, written beside its place and moved there, so a name never stands for
half a blob. Only the newest are kept.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

from secagg import errors
from secagg.drivers import private

KEPT: Final = 8
"""Blobs that are kept: the models and vectors of the last few rounds."""


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

    def put(self, blob: bytes | memoryview) -> bytes:
        """Store a blob durably and return its hash; only the newest are kept.

        Raises:
            StateError: it cannot be written.
        """
        digest = hashlib.sha256(blob).digest()
        path = self._path(digest)
        beside = path.with_suffix(".part")
        try:
            with open(beside, "wb", opener=private.opener) as file:
                file.write(blob)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
            self._sync()
        except OSError as error:
            raise errors.StateError(
                f"cannot write {beside}: {error.strerror}; free some space, or check"
                " the permissions"
            ) from error
        self._drop_old()
        return digest

    def size(self, digest: bytes) -> int | None:
        """Return the size of a blob in bytes; None if it is not here."""
        path = self._path(digest)
        return path.stat().st_size if path.is_file() else None

    def read(self, digest: bytes, offset: int, size: int) -> bytes:
        """Return at most `size` bytes of a blob from `offset` on.

        Raises:
            StateError: it is not here.
        """
        try:
            with self._path(digest).open("rb") as file:
                file.seek(offset)
                return file.read(size)
        except OSError as error:
            raise errors.StateError(
                f"blob {digest.hex()[:12]} cannot be read: {error.strerror}"
            ) from error

    def _path(self, digest: bytes) -> Path:
        return self._directory / digest.hex()

    def _sync(self) -> None:
        """Make the names of the directory durable."""
        descriptor = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _drop_old(self) -> None:
        blobs = [path for path in self._directory.iterdir() if not path.suffix]
        blobs.sort(key=lambda path: path.stat().st_mtime_ns)
        for path in blobs[:-KEPT]:
            path.unlink()
