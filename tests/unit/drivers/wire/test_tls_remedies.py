"""secagg.drivers.wire.tls_remedies: each error leads to what an operator can do.

The errors that two sides really meet are produced over sockets in test_tls.py.
"""

import asyncio
import socket
import ssl

import pytest

from secagg.drivers.wire.tls_remedies import explain_tls_error


def verification(code):
    """The error of a certificate that OpenSSL refused by this code."""
    error = ssl.SSLCertVerificationError(1, "certificate verify failed: words")
    error.verify_code = code
    return error


def tls(reason):
    """The error with this reason."""
    error = ssl.SSLError(1, f"[SSL: {reason}] words")
    error.reason = reason
    return error


CASES = [
    *((verification(code), "Compare fingerprints") for code in (2, 18, 19, 20, 21, 7)),
    (verification(9), "Set the clocks"),
    (verification(10), "Set the clocks"),
    (verification(62), "by the name in its certificate"),
    (verification(64), "by the name in its certificate"),
    (
        tls("TLSV1_ALERT_UNKNOWN_CA"),
        "another key of ours, or none yet: then its operator has to install",
    ),
    (tls("SSLV3_ALERT_CERTIFICATE_EXPIRED"), "Set the clocks"),
    (tls("TLS_ALERT_CERTIFICATE_EXPIRED"), "Set the clocks"),
    (tls("SSLV3_ALERT_BAD_CERTIFICATE"), "Set the clocks"),
    (tls("SSLV3_ALERT_CERTIFICATE_UNKNOWN"), "Compare fingerprints"),
    (tls("TLSV13_ALERT_CERTIFICATE_REQUIRED"), "connect with an identity"),
    (tls("PEER_DID_NOT_RETURN_A_CERTIFICATE"), "connect with its identity"),
    (tls("TLSV1_ALERT_PROTOCOL_VERSION"), "TLS 1.3"),
    (tls("UNSUPPORTED_PROTOCOL"), "TLS 1.3"),
    (tls("WRONG_VERSION_NUMBER"), "proxy answers"),
    (tls("HTTP_REQUEST"), "proxy answers"),
    (tls("HTTPS_PROXY_REQUEST"), "proxy answers"),
    (tls("UNEXPECTED_EOF_WHILE_READING"), "firewall or proxy intercepts TLS"),
    (ssl.SSLEOFError(8, "EOF occurred"), "firewall or proxy intercepts TLS"),
    (ConnectionResetError(104, "reset"), "firewall or proxy intercepts TLS"),
    (BrokenPipeError(32, "broken"), "firewall or proxy intercepts TLS"),
    (asyncio.IncompleteReadError(b"", 1), "firewall or proxy intercepts TLS"),
    (ConnectionRefusedError(111, "refused"), "that the aggregator runs"),
    (socket.gaierror(-2, "unknown"), "check its spelling"),
    (TimeoutError(), "dial out"),
]


@pytest.mark.parametrize(("error", "remedy"), CASES, ids=lambda case: str(case)[:60])
def test_an_error_is_told_with_its_remedy(error, remedy) -> None:
    assert remedy in explain_tls_error(error)


@pytest.mark.parametrize("error", [tls("NEW_IN_4_0"), verification(79), tls(None)])
def test_an_unknown_error_is_told_as_it_is_with_what_to_check(error) -> None:
    told = explain_tls_error(error)
    assert "words" in told
    assert "Compare fingerprints" in told


def caught_from(outer, inner):
    """Raise `outer` from `inner` and catch it."""
    try:
        raise outer from inner
    except type(outer) as error:
        return error


def test_what_an_error_was_raised_from_is_looked_at() -> None:
    middle = caught_from(ValueError("no response"), verification(10))
    error = caught_from(RuntimeError("failed"), middle)
    assert "has expired" in explain_tls_error(error)


def test_the_outermost_error_that_is_known_is_told() -> None:
    error = caught_from(ConnectionRefusedError(111, "refused"), verification(10))
    assert "nothing answers" in explain_tls_error(error)


def test_errors_that_lead_to_each_other_come_to_an_end() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    assert "first" in explain_tls_error(first)
