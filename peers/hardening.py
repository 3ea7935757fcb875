"""What the two programs do to their own process before they hold a secret.

Keys, seeds and updates lie in memory in the clear while a session runs. Here the kernel
is told not to write that memory to a core file, and not to let other processes of the
same account read it. Nothing is locked into memory: Python's objects cannot be told
apart from the rest, and to lock all of it would lock the models as well. So what is
swapped out is on the swap device; encrypt that, or run without one.
"""

from __future__ import annotations

import contextlib
import ctypes
import resource
import sys
from typing import Final

PR_GET_DUMPABLE: Final = 3
PR_SET_DUMPABLE: Final = 4
"""Numbers of prctl(2), which ptrace(2) and core(5) go by."""


def keep_memory_private() -> None:
    """Switch off core dumps of this process, and being traced by others.

    Elsewhere than on Linux only the limit is set.
    """
    # Where the limit cannot be set, as under some sandboxes, the flag below is enough.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        prctl(PR_SET_DUMPABLE, 0)


def prctl(option: int, value: int = 0) -> int:
    """Ask the kernel about this process, or tell it; -1 if it does not know that."""
    return int(ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0))
