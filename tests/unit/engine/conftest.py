"""The engines that are interpreted are made fast enough."""

import pytest

from tests.interpreter import fast_rounds


@pytest.fixture(scope="session", autouse=True)
def _fast_interpreter():
    with fast_rounds():
        yield
