"""The kernels that are interpreted are made fast enough."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def _fast(fast_interpreter):
    return fast_interpreter
