"""The worker as our side sees it: a process that answers one line a request."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[3]
PYTHON = ROOT / ".venv-peers" / "bin" / "python"


def missing() -> str:
    """Say why the other libraries cannot be driven; nothing if they can."""
    if PYTHON.exists():
        return ""
    return "as .venv-peers is not there; `make .venv-peers/.installed` makes it"


class Worker:
    """The process under ``.venv-peers``."""

    def __enter__(self) -> Self:
        """Start it."""
        self._process = subprocess.Popen(
            [PYTHON, "-m", "tests.benchmarks.others.worker"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "FLWR_TELEMETRY_ENABLED": "0"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # What the libraries warn of; a failure is told in an answer.
            stderr=subprocess.DEVNULL,
            text=True,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()

    def call(self, kind: str, call: str, **given: Any) -> dict[str, Any]:
        """Ask for one thing and wait until it is done.

        Raises:
            RuntimeError: it failed there; says how.
        """
        request = json.dumps({"kind": kind, "call": call, "given": given})
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(request + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the worker ended during {kind}.{call}")
        answer: dict[str, Any] = json.loads(line)
        if "failed" in answer:
            raise RuntimeError(f"{kind}.{call} failed:\n{answer['failed']}")
        return answer
