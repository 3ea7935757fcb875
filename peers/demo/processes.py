"""What the processes of a run on one machine need: a server, a port, a file, an end."""

from __future__ import annotations

import multiprocessing
import os
import socket
import threading
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Final

SIGKILLED: Final = -9
"""The exit code of a process that was killed."""


def fork_server(module: str) -> ForkServerContext:
    """Return the context whose server loads a module once, with one thread each."""
    os.environ["OMP_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([module])
    return context


def free_port() -> int:
    """Return a port of the loopback that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


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
