"""Files that hold a key or a passphrase: for their owner alone, and what they seem.

Read through one open file, so that what was looked at is what is read. A symbolic link
is refused: whoever may write the folder it leads to would choose the key.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final

from secagg import durable, errors

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_MODE: Final = 0o600

# Not to follow a link; not to wait at a pipe that lies in the file's place.
_LOOK: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

_MOST: Final = 1 << 16
"""Bytes that are read; such a file has a few hundred."""


def read(path: Path, what: str, *, missing: str, leaked: str) -> str:
    """Return the text of a file that only this account may use.

    Args:
        path: the file.
        what: what it holds, for the messages: ``the identity``.
        missing: how to get one, for whoever has none.
        leaked: what to do if others may have read it.

    Raises:
        StateError: there is none, it is a link or no file, another account owns it or
            may use it, or it is no text; the message says what to do.
    """
    try:
        descriptor = os.open(path, _LOOK)
    except OSError as error:
        raise _unread(path, what, error, missing) from None
    try:
        _check(os.fstat(descriptor), path, what, leaked)
        return os.read(descriptor, _MOST).decode("utf-8")
    except OSError as error:
        raise _unread(path, what, error, missing) from None
    except UnicodeDecodeError:
        raise errors.StateError(
            f"{path} does not hold {what}: it is not text; restore the file from a"
            " backup"
        ) from None
    finally:
        os.close(descriptor)


def create(path: Path, text: str) -> None:
    """Write a new file for its owner alone from the first moment, durably.

    Raises:
        FileExistsError: there is one.
        OSError: it cannot be written.
    """
    durable.create(path, text.encode(), mode=_MODE)


def replace(path: Path, text: str) -> None:
    """Put a file in the place of one, whole or not at all, durably.

    Raises:
        OSError: it cannot be written; the old file is still there.
    """
    durable.replace(path, text.encode(), mode=_MODE)


def _check(status: os.stat_result, path: Path, what: str, leaked: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise errors.StateError(
            f"{path} is no file that could hold {what}: give the path of the file"
        )
    ours = os.geteuid()
    if status.st_uid != ours:
        raise errors.StateError(
            f"{path} with {what} belongs to the account {status.st_uid}, and this runs"
            f" as {ours}: run it as its owner, or `chown {ours} {path}`; {leaked}"
        )
    mode = stat.S_IMODE(status.st_mode)
    if mode & _OTHERS:
        raise errors.StateError(
            f"other accounts may use {what} in {path} (mode {mode:03o}): run"
            f" `chmod 600 {path}`; {leaked}"
        )


def _unread(path: Path, what: str, error: OSError, missing: str) -> errors.StateError:
    if isinstance(error, FileNotFoundError):
        return errors.StateError(
            f"there is no file {path} with {what}: check the path, or {missing}"
        )
    if error.errno == errno.ELOOP:
        return errors.StateError(
            f"{path} is a symbolic link, behind which another file with {what} could be"
            " put: give the path of the file itself"
        )
    return errors.StateError(f"cannot read {what} in {path}: {error.strerror}")
