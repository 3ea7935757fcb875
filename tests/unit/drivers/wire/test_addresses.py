"""secagg.drivers.wire.addresses: in clear on the loopback alone."""

import pytest

from secagg import errors
from secagg.drivers.wire.addresses import check_url, is_loopback


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("aggregator:8443", "wss://host:port"),
        ("https://aggregator:8443", "wss://host:port"),
        ("wss://", "wss://host:port"),
        ("wss://host:port", "write wss://host:port"),
        ("wss://agg..example:8443", "write wss://host:port"),
        ("wss://aggregator:99999", r"in 1\.\.65535"),
        ("wss://[::1:8443", "write wss://host:port"),
        (f"wss://{'a' * 64}.example:8443", "write wss://host:port"),
        ("ws://aggregator:8443", "would travel in clear"),
        ("ws://10.0.0.1:8443", "would travel in clear"),
        ("wss://aggregator:8443", "needs a TLS context"),
    ],
)
def test_an_address_that_must_not_be_dialled_is_refused(url, said) -> None:
    with pytest.raises(errors.ConnectionRefused, match=said):
        check_url(url, None)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_the_loopback_is_told_from_other_hosts(host) -> None:
    assert is_loopback(host)
    assert not is_loopback("example.org")
    assert not is_loopback("192.0.2.1")
