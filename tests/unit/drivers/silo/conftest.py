"""What the tests of a silo's memory share."""

import pytest

from secagg.drivers.silo.store import MemoryStore, SqliteStore


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    """A new store of each kind."""
    if request.param == "memory":
        yield MemoryStore()
        return
    with SqliteStore(tmp_path / "state") as made:
        yield made
