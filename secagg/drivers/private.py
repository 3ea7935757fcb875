"""Files and directories that are for their owner alone.

The state of either side holds seeds, shares and models: nobody else on the machine may
read it, and nobody else may have a say in what lies in it.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from secagg import durable, errors

_FILE: Final = 0o600
_FOLDER: Final = 0o700
_OTHERS_WRITE: Final = 0o022


def opener(path: str, flags: int) -> int:
    """Open a file for `open`, so that a new one is its owner's alone."""
    return os.open(path, flags, _FILE)


def settle_file(path: Path) -> None:
    """Make an empty file if there is none, and take every right from others.

    Raises:
        OSError: it cannot be made.
    """
    try:
        # One that exists is not opened: to close it again would drop the locks that
        # this process holds on it.
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL, _FILE))
    except FileExistsError:
        _withhold(path)


def settle_folder(folder: Path) -> None:
    """Make a folder of ours if there is none, and take every right from others.

    Raises:
        OSError: it cannot be made.
    """
    make_folder(folder)
    _withhold(folder)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, if there is none; durable on return.

    Raises:
        OSError: it cannot be made.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(mode=_FOLDER, parents=True, exist_ok=True)
    for path in reversed(missing):
        durable.sync(path.parent)


def check_unshared(directory: Path) -> None:
    """Refuse a directory that others may write: they could swap the files in it.

    Raises:
        StateError: they may; the message says what to do.
    """
    mode = directory.stat().st_mode & 0o777
    # Elsewhere these bits say nothing.
    if os.name == "posix" and mode & _OTHERS_WRITE:
        raise errors.StateError(
            f"others may write in the state directory {directory} (mode {mode:04o}):"
            f" run `chmod go-w {directory}`, or use another directory"
        )


def _withhold(path: Path) -> None:
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        # Who does not own it cannot, and learns when using it what it may not do.
        with contextlib.suppress(PermissionError):
            path.chmod(mode & _FOLDER)
