"""The aggregator's program in a process that is forked, so that it starts at once."""

import functools
import multiprocessing
import os
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess

from peers.demo.processes import end_with_parent


def main(path: str, log: Connection) -> None:
    """Run `secagg aggregator`; its standard error goes to `log`."""
    from peers.cli import app

    end_with_parent()
    os.dup2(log.fileno(), 2)
    app(["aggregator", "--config", path])


@functools.cache
def _context() -> ForkServerContext:
    """A server that has everything imported; one of a test run."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pytest", "peers.cli", "numba", __name__])
    return context


def start(path: str) -> tuple[ForkServerProcess, Connection]:
    """Start it; return the process, and where its log can be read."""
    ours, theirs = _context().Pipe(duplex=False)
    process = _context().Process(target=main, args=(path, theirs))
    process.start()
    # Or the end of the process would not end the log.
    theirs.close()
    return process, ours
