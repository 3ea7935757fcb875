"""Mutual TLS 1.3 between the identities of the roster, and nothing but the roster.

A context trusts exactly the roster it was built from: another roster needs a new one.
A site with a certificate authority of its own hands in an `ssl.SSLContext` instead; the
protocol proves identities by itself (spec 8), so TLS is the outer of two walls.
"""

from __future__ import annotations

import datetime
import os
import ssl
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, cast

from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from secagg.drivers.clock import Clock
from secagg.drivers.progress import LeafNotRenewed, Observer, unobserved
from secagg.drivers.wire.certificates import (
    VALIDITY_HOURS,
    Leaf,
    anchor,
    leaf,
)
from secagg.drivers.wire.tls_remedies import explain_tls_error
from secagg.identity import Identity
from secagg.names import PeerId
from secagg.roster import Roster, RosterMember

__all__ = [
    "LeafRenewer",
    "client_context",
    "explain_tls_error",
    "install",
    "server_context",
    "time_of",
    "trust_hospitals",
]

_LOOK_SECONDS: Final = 60.0


def client_context(
    identity: Identity,
    roster: Roster,
    aggregator_id: PeerId,
    *,
    now: datetime.datetime | None = None,
    verified: bool = True,
) -> ssl.SSLContext:
    """Return a hospital's context: trusts that aggregator's key and nothing else.

    Args:
        identity: the hospital.
        roster: pinned.
        aggregator_id: whom it calls.
        now: the time for the leaf; this machine's by default.
        verified: if not, anyone is trusted: for what proves itself (`lobby.update`).

    Raises:
        LocalProtocolError: the roster has no such member.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Whoever holds the pinned key is the aggregator, at whatever address it is reached;
    # a host name would add nothing, and would break behind tunnels.
    context.check_hostname = False
    _settle(context, [roster.member(aggregator_id)])
    if not verified:
        context.verify_mode = ssl.CERT_NONE
    install(context, leaf(identity, now=now or _system_time()))
    return context


def server_context(
    identity: Identity,
    roster: Roster,
    *,
    now: datetime.datetime | None = None,
    on_refused: Callable[[str], None] | None = None,
) -> ssl.SSLContext:
    """Return an aggregator's context: demands a certificate of the roster's hospitals.

    Args:
        identity: the aggregator.
        roster: pinned.
        now: the time for the leaf; this machine's by default.
        on_refused: is told of every handshake that failed, with the remedy; asyncio
            drops those errors without a word.
    """
    context = _TellingContext(ssl.PROTOCOL_TLS_SERVER)
    context.on_refused = on_refused
    # A ticket would let a client in again without its certificate.
    context.num_tickets = 0
    _settle(context, [roster.member(peer) for peer in roster.hospitals])
    install(context, leaf(identity, now=now or _system_time()))
    return context


def trust_hospitals(context: ssl.SSLContext, rosters: Iterable[Roster]) -> None:
    """Let the hospitals of these rosters through from the next handshake on.

    Keys are only ever added: who was taken out of the roster, or has another key now,
    gets as far as the handshake of spec 8, which tells it so by the consortium's own
    signature and lets it no further.
    """
    known: set[bytes] = set()
    for roster in rosters:
        for peer in roster.hospitals:
            key = roster.member(peer).key
            if key not in known:
                known.add(key)
                _trust(context, key)


def install(context: ssl.SSLContext, issued: Leaf) -> None:
    """Let `context` show this leaf from the next handshake on.

    The ssl module reads files alone. This one lies for a moment in a folder that only
    its owner may enter, with the key encrypted under a password that lives here alone.
    """
    password = os.urandom(32).hex().encode("ascii")
    encrypted = issued.key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password)
    )
    # Its mode is 0700.
    with tempfile.TemporaryDirectory(prefix="secagg-") as folder:
        chain = Path(folder) / "leaf.pem"
        chain.write_bytes(issued.certificate + encrypted)
        context.load_cert_chain(chain, password=password)


def time_of(clock: Clock) -> datetime.datetime:
    """Return the time of day by `clock`, for a leaf."""
    return datetime.datetime.fromtimestamp(clock.now_ms() / 1000, datetime.UTC)


class _TellingObject(ssl.SSLObject):
    """A TLS object that lets the other side know why it is refused.

    asyncio drops a failed handshake together with OpenSSL's alert, and the client would
    see a cut line and guess. Here a failure with an alert first passes for a wait for
    more bytes, upon which asyncio sends what is pending. The error is raised when the
    client says anything more; its hanging up or the handshake's timeout ends it too.
    """

    outgoing: ssl.MemoryBIO
    on_refused: Callable[[str], None] | None
    _failed: ssl.SSLError | None = None

    def do_handshake(self) -> None:
        """Go on with the handshake."""
        if self._failed is not None:
            raise self._failed
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            self._failed = error
            if self.on_refused is not None:
                self.on_refused(explain_tls_error(error))
            if self.outgoing.pending:
                raise ssl.SSLWantReadError from error
            raise


class _TellingContext(ssl.SSLContext):
    """A context of such objects."""

    sslobject_class: type[ssl.SSLObject] = _TellingObject
    on_refused: Callable[[str], None] | None = None

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        *arguments: Any,
        **options: Any,
    ) -> ssl.SSLObject:
        """Make the object, as asyncio does."""
        made = super().wrap_bio(incoming, outgoing, *arguments, **options)
        # It is of sslobject_class, above.
        telling = cast(_TellingObject, made)
        telling.outgoing = outgoing
        telling.on_refused = self.on_refused
        return telling


class LeafRenewer:
    """Keeps the leaf of a live context fresh: connections that are open stay open."""

    def __init__(
        self,
        context: ssl.SSLContext,
        identity: Identity,
        *,
        validity_hours: float = VALIDITY_HOURS,
        observer: Observer = unobserved,
    ) -> None:
        """Renew `context` with leaves of `identity`; tell `observer` if that fails."""
        self._observer = observer
        self._context = context
        self._identity = identity
        self._validity_hours = validity_hours
        self._fresh: tuple[datetime.datetime, datetime.datetime] | None = None

    def renew_if_due(self, now: datetime.datetime) -> bool:
        """Renew the first time, and when half the leaf's life is over; say whether."""
        # A clock that was set back is before the first of the two.
        if self._fresh is not None and self._fresh[0] <= now < self._fresh[1]:
            return False
        issued = leaf(self._identity, now=now, validity_hours=self._validity_hours)
        install(self._context, issued)
        self._fresh = (now, now + (issued.expires - now) / 2)
        return True

    async def run(self, clock: Clock) -> None:
        """Renew until cancelled.

        Looks at the clock often, rather than waiting for half a life: a machine that
        slept through the night must not wake up with an expired leaf.
        """
        while True:
            try:
                self.renew_if_due(time_of(clock))
            except OSError as error:
                # A full disk, say. The leaf in use is good for half its life yet.
                self._observer(
                    LeafNotRenewed(reason=str(error), retry_seconds=_LOOK_SECONDS)
                )
            await clock.pause(_LOOK_SECONDS)


def _settle(context: ssl.SSLContext, trusted: Iterable[RosterMember]) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
    for member in trusted:
        _trust(context, member.key)


def _trust(context: ssl.SSLContext, key: bytes) -> None:
    context.load_verify_locations(cadata=anchor(key).decode("ascii"))


def _system_time() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
