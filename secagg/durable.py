"""Files that survive a power cut: written beside their place, synced, and put there.

So a file is the old one or the new one, whole, whenever the machine stops; and once a
function here returns, it is the new one (spec 9-5).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_MAKE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC

_ANYBODY: Final = 0o666
"""What the process's umask takes from; the folder says who may read."""


def create(path: Path, data: bytes, *, mode: int = _ANYBODY) -> None:
    """Write a new file, of `mode` from the first moment; it is on the disk on return.

    Raises:
        FileExistsError: there is one.
        OSError: it cannot be written.
    """
    _write(path, data, mode)
    sync(path.parent)


def replace(path: Path, data: bytes, *, mode: int = _ANYBODY) -> None:
    """Put a file in the place of `path`, whole or not at all; on the disk on return.

    Raises:
        OSError: it cannot be written; what was there still is.
    """
    beside = path.with_name(path.name + ".part")
    # One that a crash left may have another mode, and a secret nobody wants any more.
    beside.unlink(missing_ok=True)
    _write(beside, data, mode)
    beside.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Put a file, or the names in a folder, on stable storage.

    Raises:
        OSError: the disk failed.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(path: Path, data: bytes, mode: int) -> None:
    with os.fdopen(os.open(path, _MAKE, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
