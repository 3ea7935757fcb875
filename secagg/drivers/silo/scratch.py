"""Scratch: where a released vector lies while a mean is read from it.

In memory while it is small, then in a file without a name beside the hospital's state,
so that a mean of 10^8 coordinates does not stand beside the bytes it came in.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final, Self

IN_MEMORY: Final = 8 << 20
"""Bytes that are held in memory before a file is made."""


class Scratch:
    """Bytes that are written in order, read anywhere, and gone at the end."""

    def __init__(self, folder: Path | None) -> None:
        """Begin empty; a file, once there is one, lies in `folder`."""
        # Closed by __exit__, and by the collector where nobody enters.
        self._file = tempfile.SpooledTemporaryFile(  # noqa: SIM115
            max_size=IN_MEMORY, dir=None if folder is None else str(folder)
        )

    def __enter__(self) -> Self:
        """Return the scratch itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let the bytes go."""
        self._file.close()

    def write(self, part: bytes | memoryview) -> int:
        """Take the next part.

        Raises:
            OSError: the disk is full.
        """
        return self._file.write(part)

    def read(self, offset: int, size: int) -> bytes:
        """Return at most `size` bytes from `offset` on; nothing is written after."""
        self._file.seek(offset)
        return self._file.read(size)
