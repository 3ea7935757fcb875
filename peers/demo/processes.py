"""What the processes of a run on one machine need: a server, a port, a file, an end."""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
import secrets
import socket
import threading
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Final

SIGKILLED: Final = -9
"""The exit code of a process that was killed."""


PORTS: Final = range(20_000, 32_768)
"""Below those of connections, which Linux takes from 32,768 on and others later."""

_ATTEMPTS = 100


def fork_server(module: str) -> ForkServerContext:
    """Return the context whose server loads a module once, with one thread each."""
    os.environ["OMP_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([module])
    return context


def free_port() -> int:
    """Return a port of the loopback that nobody listens on just now.

    It is none that the system gives to a connection, so that it stays free while a
    server that was killed is started again.

    Raises:
        OSError: none was found.
    """
    for _ in range(_ATTEMPTS):
        port = secrets.choice(PORTS)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError(errno.EADDRINUSE, "no free port was found")


def send_output_to(path: Path) -> None:
    """Append what this process would print to a file."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def end_with_parent() -> None:
    """Die when whoever started this process dies, also while holding still."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
