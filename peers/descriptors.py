"""How many files and sockets this process may hold: all that the system allows it.

Every hospital and every connection at the door is a descriptor. Many systems give a
process 1,024 of them at first and allow it many more when it asks.
"""

from __future__ import annotations

import resource
from typing import Final

OWN: Final = 128
"""Beside connections: the database, spools, logs, and what a library opens."""


def raise_limit() -> int:
    """Raise the soft limit to the hard one, where that is allowed; return what it is.

    Where the system refuses, what there was stays.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        return soft
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def enough(limit: int, connections: int) -> bool:
    """Return whether a limit holds so many connections.

    Args:
        limit: as `raise_limit` returns it; -1 for none.
        connections: proved and unproved ones together.
    """
    return limit == resource.RLIM_INFINITY or limit >= connections + OWN
