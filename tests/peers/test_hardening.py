"""peers.hardening: the programs' memory goes into no core file."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")

STATE = """
import resource
from peers.hardening import PR_GET_DUMPABLE, prctl
print(prctl(PR_GET_DUMPABLE), *resource.getrlimit(resource.RLIMIT_CORE))
"""


def run(program: str) -> str:
    """What a process of its own says, which began with dumps allowed if it may."""
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_a_process_is_not_dumped_and_not_traced() -> None:
    called = "from peers.hardening import keep_memory_private\nkeep_memory_private()"
    assert run(called + STATE) == "0 0 0"


def test_without_it_a_process_is() -> None:
    assert run(STATE).startswith("1 ")


@pytest.mark.parametrize("program", ["aggregator", "hospital"])
def test_both_programs_begin_with_it(program, tmp_path) -> None:
    """Before they read the configuration, so before they read a key."""
    started = f"""
import contextlib
from peers.cli import app
with contextlib.suppress(SystemExit):
    app(["{program}", "--config", "{tmp_path}/none.toml"])
"""
    assert run(started + STATE) == "0 0 0"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every process")
def test_another_process_of_the_account_cannot_read_its_memory() -> None:
    look = "open(f'/proc/{os.getppid()}/mem', 'rb')"
    program = f"""
import subprocess, sys
from peers.hardening import keep_memory_private
keep_memory_private()
look = "import os; {look}"
print(subprocess.run([sys.executable, "-c", look], stderr=-3).returncode)
"""
    assert run(program) == "1"
