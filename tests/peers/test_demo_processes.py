"""peers.demo.processes: ports that stay free, and output that goes to a file."""

import errno
import socket
from pathlib import Path

import pytest

from peers.demo import processes


@pytest.fixture
def taken():
    """A port of the range that somebody listens on."""
    port = processes.free_port()
    with socket.create_server(("127.0.0.1", port)):
        yield port


def test_a_free_port_is_none_that_connections_get() -> None:
    path = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first = int(path.read_text().split()[0]) if path.exists() else 49_152
    if first < processes.PORTS.stop:
        pytest.skip(f"this machine gives connections ports from {first} on")
    assert processes.free_port() < first


def test_a_port_that_is_taken_is_passed_over(taken, monkeypatch) -> None:
    monkeypatch.setattr(processes, "PORTS", [taken])
    with pytest.raises(OSError, match="no free port") as raised:
        processes.free_port()
    assert raised.value.errno == errno.EADDRINUSE
