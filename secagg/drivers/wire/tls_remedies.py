"""TLS errors, said so that an operator knows what to do next.

OpenSSL names the check that failed; here stands what to look at. The texts are written
for either side, since a hospital and an aggregator meet the same errors.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from typing import Final

_COMPARE: Final = (
    "Compare fingerprints with the other side (`secagg identity show`, `secagg roster"
    " show`), and accept the newest roster on both"
)
_CLOCKS: Final = (
    "Set the clocks of both machines (NTP); leaves last a day and are renewed by a"
    " running process, so restart one that was suspended"
)
_TLS_13: Final = (
    "the other side does not offer TLS 1.3, which secagg requires: update its OpenSSL,"
    " or take the proxy that ends TLS out of the way"
)
_NO_TLS: Final = (
    "the other side does not speak TLS: check host and port, and whether a proxy"
    " answers in the aggregator's place"
)
_CUT: Final = (
    "the connection was cut while TLS was being set up. If this happens at once and"
    " every time, a firewall or proxy intercepts TLS: ask for the aggregator's address"
    " to be let through untouched. If others get through, the other side may not accept"
    " this side's certificate. " + _COMPARE
)
_UNKNOWN_ISSUER: Final = (
    "the other side's certificate is not from the identity that this roster names, nor"
    " from an authority this site has chosen. " + _COMPARE
)
_OTHER_NAME: Final = (
    "the other side's certificate is for another name or address: with a certificate"
    " authority of your own, call the aggregator by the name in its certificate"
)
_REJECTED: Final = "the other side rejects this side's certificate: "

# The codes X509_V_ERR_... of OpenSSL's x509_vfy.h, which do not change.
_BY_VERIFY_CODE: Final = {
    2: _UNKNOWN_ISSUER,
    18: _UNKNOWN_ISSUER,
    19: _UNKNOWN_ISSUER,
    20: _UNKNOWN_ISSUER,
    21: _UNKNOWN_ISSUER,
    7: "the other side's certificate carries a false signature. " + _COMPARE,
    9: "the other side's certificate is not valid yet. " + _CLOCKS,
    10: "the other side's certificate has expired. " + _CLOCKS,
    62: _OTHER_NAME,
    64: _OTHER_NAME,
}

# What the other side said, by the name of its alert (RFC 8446, section 6).
_BY_ALERT: Final = {
    "UNKNOWN_CA": (
        _REJECTED + "its roster has another key of ours, or none yet: then its"
        " operator has to install the newest roster (`secagg roster install`). "
        + _COMPARE
    ),
    "CERTIFICATE_EXPIRED": _REJECTED + "it has expired there. " + _CLOCKS,
    "BAD_CERTIFICATE": _REJECTED + "perhaps it is not valid there yet. " + _CLOCKS,
    "CERTIFICATE_UNKNOWN": _REJECTED + "its issuer may not issue it. " + _COMPARE,
    "CERTIFICATE_REQUIRED": (
        "the other side wants a certificate and got none: connect with an identity"
    ),
    "PROTOCOL_VERSION": _TLS_13,
}

_BY_REASON: Final = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": (
        "the other side showed no certificate: it has to connect with its identity"
    ),
    "UNSUPPORTED_PROTOCOL": _TLS_13,
    "WRONG_VERSION_NUMBER": _NO_TLS,
    "HTTP_REQUEST": _NO_TLS,
    "HTTPS_PROXY_REQUEST": _NO_TLS,
    "UNEXPECTED_EOF_WHILE_READING": _CUT,
}

_BY_TYPE: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (
        ConnectionRefusedError,
        "nothing answers there: check host and port, and that the aggregator runs",
    ),
    (
        socket.gaierror,
        "the host name is not known here: check its spelling, and this machine's DNS",
    ),
    (
        TimeoutError,
        "no answer came in time: check host and port, and that the firewall lets this"
        " machine dial out to them",
    ),
    (ConnectionError, _CUT),
    (ssl.SSLEOFError, _CUT),
    (EOFError, _CUT),
)


def explain_tls_error(error: BaseException) -> str:
    """Return what went wrong with a connection and what to do about it.

    Args:
        error: as caught; what it was raised from is looked at as well.

    Returns:
        One or two sentences, without a full stop at the end.
    """
    known = (_remedy(each) for each in _chain(error))
    found = next((text for text in known if text is not None), None)
    return found or (
        f"the connection could not be secured ({error}). Check host, port and clocks."
        f" {_COMPARE}"
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what led to it."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _remedy(error: BaseException) -> str | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _BY_VERIFY_CODE.get(error.verify_code)
    if isinstance(error, ssl.SSLError):
        # An error that Python itself raised has no reason.
        reason = getattr(error, "reason", None) or ""
        # As in TLSV1_ALERT_UNKNOWN_CA; the prefix tells which version invented it.
        alert = reason.partition("_ALERT_")[2]
        said = _BY_ALERT.get(alert) or _BY_REASON.get(reason)
        if said is not None:
            return said
    return next((text for kind, text in _BY_TYPE if isinstance(error, kind)), None)
