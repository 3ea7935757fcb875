"""Work that many members do alike, for where they all live in one process.

Each of n members verifies what all others signed: n^2 signatures, of which n differ. A
program that holds the whole cohort, as the simulator does, need not do it n times. What
is marked `alike` is a pure function of its arguments, none of them secret; within
`carried_out_by` its calls go to a runner, which may know the answer already. Everywhere
else a call is a call.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import ParamSpec, Protocol, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Runner(Protocol):
    """Carries work out, or repeats what came of it before."""

    def __call__(
        self, function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """Return ``function(*args, **kwargs)``; what it raises is raised."""


_runner: ContextVar[Runner | None] = ContextVar("runner", default=None)


def alike(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Mark a pure function of hashable arguments, none of them secret."""

    @functools.wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        runner = _runner.get()
        if runner is None:
            return function(*args, **kwargs)
        return runner(function, *args, **kwargs)

    return call


def shared() -> bool:
    """Return whether a runner is there, and so may know an answer already."""
    return _runner.get() is not None


@contextlib.contextmanager
def carried_out_by(runner: Runner) -> Iterator[None]:
    """Within, in this thread or task, what is marked `alike` goes to `runner`."""
    token = _runner.set(runner)
    try:
        yield
    finally:
        _runner.reset(token)
