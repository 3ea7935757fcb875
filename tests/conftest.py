"""Hypothesis profiles, Triton interpreted, and a state home that is only the tests'.

The same examples on every run, or a wider search by hand.

``pytest --hypothesis-profile explore`` looks further with fresh examples.
"""

import contextlib
import json
import os
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, settings

from tests.postgres import NoServerError, running_server

# Read when the kernels are imported, which no test has done yet. With
# TRITON_INTERPRET=0 in the environment they run on the GPU.
os.environ.setdefault("TRITON_INTERPRET", "1")

settings.register_profile(
    "deterministic",
    derandomize=True,
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "explore",
    deadline=None,
    max_examples=2000,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("deterministic")


@pytest.fixture(scope="session", autouse=True)
def _state_home(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state-home")))
        yield


@pytest.fixture(scope="session")
def hopper():
    """What the GPU's kernels become on a Hopper GPU, compiled once."""
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.hopper"],
        check=True,
        stdout=subprocess.PIPE,
        env=environment,
    )
    return json.loads(done.stdout)


@pytest.fixture(scope="session")
def fast_interpreter():
    """Triton's interpreter, fast enough; here, since it loads torch."""
    from tests.interpreter import fast_rounds

    with fast_rounds():
        yield


@pytest.fixture(scope="session")
def postgres_server():
    """A PostgreSQL server of our own; skips where there is none."""
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(running_server())
        except NoServerError as error:
            pytest.skip(str(error))
        yield server


@pytest.fixture
def postgres_url(postgres_server):
    """The address of a new database, with its password."""
    return postgres_server.database()
