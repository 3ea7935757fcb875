"""Where and of what a measurement was made."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from pytest_benchmark.utils import get_commit_info

_ROOT = Path(__file__).parents[2]
_LIBRARIES = ("cryptography", "numpy", "numba", "torch", "triton", "websockets")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a reader must know to judge a figure.

    Attributes:
        cpu: the processor's name.
        cores: how many of it this machine has.
        memory_gib: how much memory.
        system, python: what runs here.
        libraries: versions of those the speed depends on.
        accelerator: the GPU's name, empty where none was used.
    """

    cpu: str
    cores: int
    memory_gib: int
    system: str
    python: str
    libraries: dict[str, str]
    accelerator: str = ""

    def __str__(self) -> str:
        """Say it in one line."""
        parts = [
            f"{self.cpu}, {self.cores} cores, {self.memory_gib} GiB",
            f"{self.system}, Python {self.python}",
            *(f"{name} {version}" for name, version in self.libraries.items()),
        ]
        return "; ".join([self.accelerator, *parts] if self.accelerator else parts)


def this_machine(accelerator: str = "") -> Machine:
    """Return the machine this runs on; `accelerator` where one is measured."""
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(
        cpu=_cpu(),
        cores=os.cpu_count() or 1,
        memory_gib=round(pages / 2**30),
        system=platform.system(),
        python=platform.python_version(),
        libraries={name: metadata.version(name) for name in _LIBRARIES},
        accelerator=accelerator,
    )


def this_commit() -> str:
    """Return the commit this runs from, with ``+`` where what is measured differs."""
    commit = get_commit_info(project_name="secagg")["id"]
    changed = subprocess.run(
        ["git", "status", "--porcelain", "--", "secagg", "constraints.txt"],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return f"{commit[:12]}{'+' if changed.stdout else ''}"


def _cpu() -> str:
    """Return the processor's name as the system has it."""
    listed = Path("/proc/cpuinfo")
    if listed.exists():
        for line in listed.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
