"""peers.descriptors: as many sockets as the system allows."""

import resource

import pytest

from peers.descriptors import OWN, enough, raise_limit


@pytest.fixture
def limits(monkeypatch):
    """Limits of a process that the test may change."""
    held = [1024, 4096]

    def getrlimit(which: int) -> tuple[int, int]:
        assert which == resource.RLIMIT_NOFILE
        return held[0], held[1]

    def setrlimit(which: int, pair: tuple[int, int]) -> None:
        assert which == resource.RLIMIT_NOFILE
        held[:] = pair

    monkeypatch.setattr(resource, "getrlimit", getrlimit)
    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    return held


def test_the_soft_limit_becomes_the_hard_one(limits) -> None:
    assert raise_limit() == 4096
    assert limits == [4096, 4096]


@pytest.mark.parametrize("refusal", [OSError, ValueError])
def test_where_the_system_refuses_what_there_was_stays(
    limits, monkeypatch, refusal
) -> None:
    def refuse(which: int, pair: tuple[int, int]) -> None:
        raise refusal

    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert raise_limit() == 1024
    assert limits == [1024, 4096]


def test_a_limit_holds_the_connections_and_the_rest() -> None:
    assert enough(1000 + OWN, 1000)
    assert not enough(1000 + OWN - 1, 1000)
    assert enough(resource.RLIM_INFINITY, 1 << 40)
