"""Pure work done side by side, on threads that whoever runs a machine may lend it.

A hospital among a thousand verifies 2,700 signatures, 120 us each, and OpenSSL lets go
of the interpreter's lock meanwhile. A machine has no threads of its own: it asks here,
and where nobody lends any, one part is done after the other. What comes back is the
same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, Final, Protocol, TypeVar

from secagg.alike import shared

_Part = TypeVar("_Part")
_Made = TypeVar("_Made")

_AT_A_TIME: Final = 32
"""Parts of a task: handing one over takes 30 us."""


class Threads(Protocol):
    """As `MaskEngine.on_threads`."""

    def __call__(
        self, work: Callable[[Any], Any], parts: Iterable[Any], /
    ) -> Iterator[Any]:
        """Do `work` for each part, side by side; return what came of it, in order."""
        ...


_lent: ContextVar[Threads | None] = ContextVar("threads", default=None)


@contextlib.contextmanager
def lent(threads: Threads) -> Iterator[None]:
    """Within, in this thread or task, work may be done on `threads`."""
    token = _lent.set(threads)
    try:
        yield
    finally:
        _lent.reset(token)


def side_by_side(work: Callable[[_Part], _Made], parts: Sequence[_Part]) -> list[_Made]:
    """Return ``work(part)`` for each part, in order.

    Args:
        work: a pure function; what it raises is raised, by the first part that does.
        parts: any number, each some 100 us of work that holds no lock.
    """
    threads = _lent.get()
    # What is shared between members is known to this thread alone.
    if threads is None or shared() or len(parts) <= _AT_A_TIME:
        return [work(part) for part in parts]
    tasks = [
        parts[first : first + _AT_A_TIME] for first in range(0, len(parts), _AT_A_TIME)
    ]
    done = threads(lambda task: [work(part) for part in task], tasks)
    return [made for some in done for made in some]
