"""What both programs begin with: their identity, the pinned roster, their own TLS."""

from __future__ import annotations

import datetime
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from peers import enrolment, passphrase
from peers.card import EnrolmentError
from peers.config_sections import Member, Tls
from peers.toml_file import ConfigError
from secagg import errors
from secagg.drivers.roster_book import RosterBook
from secagg.identity import Identity
from secagg.roster import Roster


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """Who this program is, and among whom.

    Attributes:
        identity: its own.
        book: the versions of the roster, those of the state directory too.
    """

    identity: Identity
    book: RosterBook

    @property
    def roster(self) -> Roster:
        """The newest version."""
        return self.book.newest

    @classmethod
    def of(
        cls, config: Member, *, follows: bool = True, looks: bool = False
    ) -> Membership:
        """Load what the configuration names.

        Args:
            config: of the program.
            follows: whether versions that the aggregator has are pinned by themselves.
            looks: whether to leave the state directory as it is, and pin for this
                process alone.

        Raises:
            StateError: the identity file or the state directory cannot be used.
            EnrolmentError: the roster cannot, is not signed by the consortium, or is
                another than the one that was pinned (rule 2.1-5).
        """
        ask = passphrase.asking(
            config.identity,
            file=config.passphrase_file,
            variable=config.passphrase_env,
        )
        identity = passphrase.opened(config.identity, ask)
        given = enrolment.verified(config.roster, config.consortium_key)
        try:
            book = RosterBook.open(config.state, given, grows=follows, looks=looks)
        except errors.RemoteProtocolError as error:
            raise EnrolmentError(f"{config.roster}: {error}") from None
        return cls(identity=identity, book=book)


def site_context(tls: Tls | None, *, server: bool) -> ssl.SSLContext | None:
    """Return the TLS context of a site's own certificates; None to use identities.

    Mutual TLS 1.3: each side shows a certificate of the authorities in ``ca``.

    Raises:
        ConfigError: a file is no certificate or key, they do not belong together, or
            our certificate is not valid now.
    """
    if tls is None:
        return None
    protocol = ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_verify_locations(tls.ca)
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(
            f"[tls] ca = {tls.ca} holds no certificates in PEM: {error}"
        ) from None
    try:
        context.load_cert_chain(tls.certificate, tls.key, password=lambda: b"")
    except (ssl.SSLError, OSError, ValueError) as error:
        raise ConfigError(
            f"[tls] certificate = {tls.certificate} and key = {tls.key} are not a"
            f" certificate and its key, unencrypted, in PEM: {error}"
        ) from None
    _check_valid_now(tls.certificate)
    return context


def _check_valid_now(path: Path) -> None:
    """Say at the start, not at the first handshake, that a certificate is over."""
    ours = x509.load_pem_x509_certificates(path.read_bytes())[0]
    now = datetime.datetime.now(datetime.UTC)
    begins, ends = ours.not_valid_before_utc, ours.not_valid_after_utc
    if now > ends:
        raise ConfigError(
            f"[tls] certificate = {path} expired on {ends:%Y-%m-%d %H:%M} UTC: have"
            " your authority renew it, or leave [tls] out to use the identities"
        )
    if now < begins:
        raise ConfigError(
            f"[tls] certificate = {path} is not valid before"
            f" {begins:%Y-%m-%d %H:%M} UTC, and here it is {now:%Y-%m-%d %H:%M}: set"
            " this machine's clock by NTP, or wait"
        )
