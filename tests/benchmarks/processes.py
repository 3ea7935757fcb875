"""Processes of a benchmark: started, heard as JSON, and never left over."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def running() -> Iterator[Callable[[list[str]], subprocess.Popen[str]]]:
    """Yield what starts a process; all of them are gone at the end.

    What is to stay until the end reads its standard input, which is left open.
    """
    started: list[subprocess.Popen[str]] = []

    def start(command: list[str]) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    try:
        yield start
    finally:
        for process in started:
            process.kill()
            process.communicate()


def heard(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return the next line that a process says; it raised if there is none."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"{process.args!r} ended without a word")
    found: dict[str, Any] = json.loads(line)
    return found
