"""One suite over every transport: add a transport here and nowhere else."""

import pytest


@pytest.fixture(params=["memory", "websocket"])
def network(request):
    return request.param
