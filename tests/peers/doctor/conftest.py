"""The files of a hospital and of an aggregator."""

import sys

import pytest

from peers.doctor import line
from tests.peers.doctor.sites import AGGREGATOR_FILE, HOSPITAL_FILE, WARD, fields


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch):
    """Have the site's code forgotten after the test, and nobody waited for."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(line, "BACK_SECONDS", 0)
    yield
    sys.modules.pop("infirmary", None)


@pytest.fixture
def bern(consortium):
    """The path of bern's file; the aggregator answers nowhere."""
    consortium.write("infirmary.py", WARD)
    return consortium.write("bern.toml", fields(HOSPITAL_FILE, consortium))


@pytest.fixture
def agg(consortium):
    """The path of the aggregator's file."""
    consortium.write("infirmary.py", WARD)
    return consortium.write("agg.toml", fields(AGGREGATOR_FILE, consortium))
