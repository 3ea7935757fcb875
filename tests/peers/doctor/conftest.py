"""The files of a hospital and of an aggregator."""

import sys

import pytest

from tests.peers.doctor.sites import AGGREGATOR_FILE, HOSPITAL_FILE, WARD, fields


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch):
    """Let the site's code be found, and forgotten after the test."""
    monkeypatch.setattr(sys, "path", [*sys.path])
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
