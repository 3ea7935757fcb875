"""A folder to type commands in, and a consortium founded there."""

import pytest

from tests.peers.commands.typed import accept, succeed


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder that is the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def enrolled(folder):
    """A consortium's key and roster with an aggregator and one hospital."""
    for peer in ("consortium", "agg", "bern"):
        succeed("identity", "new", peer, "--name", peer.title())
    accept("agg", "--role", "aggregator", "--consortium", "Cardio")
    accept("bern")
    return folder
