"""Pure work spread over an executor: in order, a few pieces at a time, never lost.

Any `concurrent.futures.Executor` serves: threads, processes, Dask's, which is on other
machines. A piece gives the same wherever it runs; so one that an executor does not
bring back, or brings back damaged, is done here, and so is all that is left after it.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future
from typing import Any, Final, Protocol, TypeVar

from secagg import errors

PATIENCE_SECONDS: Final = 60.0
"""How long a piece may take, where pieces take a second: an executor whose workers are
all gone may wait for new ones for ever."""

Told = Callable[[errors.ExecutorFailed], None]
"""Is told, once, that an executor failed."""

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Piece(Protocol[R_co]):
    """A piece of work: picklable, and its repr shows no secret, since workers log."""

    def run(self) -> R_co:
        """Return the result, which depends on this value alone."""
        ...

    def fits(self, result: object) -> bool:
        """Return whether `result` can be one of this piece."""
        ...


P = TypeVar("P", bound=Piece[Any])


def unheard(failed: errors.ExecutorFailed) -> None:
    """Take no notice: the work is done all the same."""
    del failed


def run(piece: Piece[R]) -> R:
    """Run a piece: what a worker is asked to call."""
    return piece.run()


class Spread:
    """Runs pieces on an executor; here where there is none, or once it failed."""

    def __init__(self, executor: Executor | None, told: Told = unheard) -> None:
        """Take an executor; it stays its owner's, who shuts it down."""
        self._executor = executor
        self._told = told

    def map(
        self, pieces: Iterable[P], *, here: Callable[[P], R], ahead: int
    ) -> Generator[tuple[P, R], None, None]:
        """Yield the pieces in their order, each with its result; close it to cancel.

        Args:
            pieces: taken from as they are needed.
            here: runs a piece in this process.
            ahead: pieces that are out, or done and not yet taken, at most; it bounds
                the memory.
        """
        waiting: collections.deque[tuple[P, Future[R] | None]] = collections.deque()
        try:
            for piece in pieces:
                waiting.append((piece, self._submitted(piece)))
                if self._executor is None or len(waiting) >= ahead:
                    yield self._done(*waiting.popleft(), here)
            while waiting:
                yield self._done(*waiting.popleft(), here)
        finally:
            for _, future in waiting:
                if future is not None:
                    future.cancel()

    def _submitted(self, piece: P) -> Future[R] | None:
        if self._executor is None:
            return None
        try:
            return self._executor.submit(run, piece)
        except Exception as error:  # noqa: BLE001 executors are not ours: any may come
            self._fail(type(error).__name__)
            return None

    def _done(
        self, piece: P, future: Future[R] | None, here: Callable[[P], R]
    ) -> tuple[P, R]:
        if self._executor is None or future is None:
            return piece, here(piece)
        try:
            result = future.result(PATIENCE_SECONDS)
        except Exception as error:  # noqa: BLE001 executors are not ours: any may come
            self._fail(type(error).__name__)
            return piece, here(piece)
        if piece.fits(result):
            return piece, result
        self._fail("a worker brought back what cannot be a result")
        return piece, here(piece)

    def _fail(self, why: str) -> None:
        """Do without the executor from now on."""
        # Of an error its name alone: its text may quote what the worker was given.
        self._executor = None
        self._told(
            errors.ExecutorFailed(
                f"the executor given for unmasking failed ({why}): the sum is opened in"
                " this process; see to its workers before the next round"
            )
        )
