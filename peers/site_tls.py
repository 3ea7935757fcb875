"""A site's own certificates in a program that runs for a year: read again when renewed.

Whoever renews them (an ACME client, the site's authority) replaces the files. The live
context takes them from the next handshake on; connections in progress go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from cryptography import x509

from peers.config_sections import Tls
from peers.logs import Logger
from peers.membership import site_context
from peers.toml_file import ConfigError
from secagg.drivers.clock import Clock, SystemClock

LOOK_SECONDS: Final = 60.0
"""How often the files are looked at."""

SOON: Final = datetime.timedelta(days=14)
"""Before its end by so much a certificate should have been renewed."""

_Stamp = tuple[tuple[int, int, int] | None, ...]


class SiteTls:
    """The live TLS context of a site's own certificates.

    Attributes:
        context: for `serve` or `connect`.
    """

    def __init__(self, tls: Tls, *, server: bool) -> None:
        """Read the files.

        Raises:
            ConfigError: as `site_context`.
        """
        self._tls = tls
        self._server = server
        self._seen = self._stamp()
        self._refused: _Stamp = ()
        self._ending: datetime.datetime | None = None
        made = site_context(tls, server=server)
        assert made is not None  # noqa: S101 there is a table [tls]
        self.context: ssl.SSLContext = made

    def renew_if_changed(self) -> bool:
        """Take the files if others lie there now; return whether.

        An authority that was taken out of ``ca`` stays trusted until the program is
        started again: OpenSSL adds to what a context trusts.

        Raises:
            ConfigError: they cannot be used; those before stay in use.
        """
        now = self._stamp()
        if now == self._seen:
            return False
        # Half a renewal, or a key of another certificate, must not reach the live one.
        site_context(self._tls, server=self._server)
        self.context.load_verify_locations(self._tls.ca)
        self.context.load_cert_chain(self._tls.certificate, self._tls.key)
        self._seen = now
        return True

    async def run(self, log: Logger, clock: Clock) -> None:
        """Look again and again, until cancelled; say once what came of it."""
        while True:
            await clock.pause(LOOK_SECONDS)
            self.look(log, clock)

    def look(self, log: Logger, clock: Clock) -> None:
        """Take what is new; say what cannot be used, and that the end is near."""
        try:
            if self.renew_if_changed():
                log.info("certificate_renewed", file=str(self._tls.certificate))
        except (ConfigError, OSError) as error:
            # Tried again: one that is not valid yet will be.
            stamp = self._stamp()
            if stamp != self._refused:
                self._refused = stamp
                log.warning("certificate_not_renewed", detail=str(error))
        ends = expiry(self._tls.certificate)
        if ends is not None and ends != self._ending and _now(clock) > ends - SOON:
            self._ending = ends
            log.warning("certificate_ends_soon", ends=ends.isoformat())

    def _stamp(self) -> _Stamp:
        files = (self._tls.certificate, self._tls.key, self._tls.ca)
        return tuple(_state_of(path) for path in files)


@contextlib.asynccontextmanager
async def live(
    tls: Tls | None, *, server: bool, log: Logger, clock: Clock | None = None
) -> AsyncIterator[ssl.SSLContext | None]:
    """Yield the context of a site's own certificates, kept fresh; None without.

    Raises:
        ConfigError: as `site_context`.
    """
    if tls is None:
        yield None
        return
    ours = SiteTls(tls, server=server)
    looking = asyncio.create_task(ours.run(log, clock or SystemClock()))
    try:
        yield ours.context
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


def expiry(certificate: Path) -> datetime.datetime | None:
    """Return when the certificate in a file ends; None if there is none now."""
    try:
        found = x509.load_pem_x509_certificates(certificate.read_bytes())
    except (OSError, ValueError):
        return None
    return found[0].not_valid_after_utc


def _now(clock: Clock) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(clock.now_ms() / 1000, datetime.UTC)


def _state_of(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when a file is replaced; None while it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
