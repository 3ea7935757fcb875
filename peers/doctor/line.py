"""The way to the aggregator: name, TCP, TLS, clock, roster, and the door itself.

Each step is tried only when the one before went well, so the first failure is the one
to mend. What is proved here starts no round: nothing is said beyond the handshake.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from peers.config_hospital import HospitalConfig
from peers.doctor.findings import Report
from peers.membership import Membership, site_context
from secagg import errors
from secagg.drivers.clock import Clock
from secagg.drivers.wire import dialling, lobby, tls
from secagg.drivers.wire.connection import REPLACED, Connection
from secagg.drivers.wire.door import MAX_DRIFT_MS, Door
from secagg.drivers.wire.lobby import Standing
from secagg.drivers.wire.tls_remedies import explain_tls_error
from secagg.drivers.wire.transport import ConnectionLost, Transport
from secagg.entropy import Entropy
from secagg.messages import Challenge
from secagg.names import PeerId
from secagg.vector import Frame

TCP_SECONDS: Final = 10.0

DRIFT_MS: Final = 30_000
"""A clock this far off is warned of; rule 8-3 refuses ten times as much."""

BACK_SECONDS: Final = 3.0
"""In which a hospital whose place was taken is back: it dials again after 0.5 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Who goes there, and to whom."""

    config: HospitalConfig
    member: Membership
    aggregator: PeerId
    clock: Clock
    entropy: Entropy

    @property
    def door(self) -> Door:
        """What this side proves itself with."""
        return Door(
            identity=self.member.identity,
            book=self.member.book,
            entropy=self.entropy,
            clock=self.clock,
        )

    async def dial(self) -> Transport:
        """Open a connection as the hospital does."""
        context = None
        if self.secure:
            context = site_context(self.config.tls, server=False) or tls.client_context(
                self.member.identity,
                self.member.roster,
                self.aggregator,
                now=tls.time_of(self.clock),
            )
        return await dialling.dial(
            self.config.aggregator, context, proxy=self.config.proxy
        )

    @property
    def secure(self) -> bool:
        """Whether TLS is spoken."""
        return self.config.aggregator.lower().startswith("wss:")


async def check_line(report: Report, way: Way, *, alone: bool) -> None:
    """Go as far as the door; through it only if no hospital of ours runs.

    Args:
        report: where to say it.
        way: who goes where.
        alone: whether this identity is not connected now, as far as is known here.
    """
    target = _target(way.config)
    if not await _check_name(report, *target) or not await _check_tcp(report, *target):
        return
    challenge = await _check_tls(report, way)
    if challenge is None:
        return
    _check_clock(report, way, challenge)
    if _check_rosters(report, way, challenge) and alone:
        await _check_door(report, way)


def _target(config: HospitalConfig) -> tuple[str, int]:
    """Return whom TCP goes to first: the aggregator, or the proxy of the site."""
    parts = urlsplit(config.proxy or config.aggregator)
    usual = {"wss": 443, "ws": 80, "https": 443, "http": 80}.get(parts.scheme, 1080)
    return parts.hostname or "", parts.port or usual


async def _check_name(report: Report, host: str, port: int) -> bool:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        report.fail("name", f"{host}: {explain_tls_error(error)}")
        return False
    addresses = sorted({str(row[4][0]) for row in found})
    report.ok("name", f"{host} is {', '.join(addresses)}")
    return True


async def _check_tcp(report: Report, host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(TCP_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
    except OSError as error:
        report.fail("tcp", f"{host}:{port}: {explain_tls_error(error)}")
        return False
    writer.close()
    report.ok("tcp", f"{host}:{port} answers")
    return True


async def _check_tls(report: Report, way: Way) -> Challenge | None:
    """Return the aggregator's signed Challenge: so TLS let both sides through."""
    with report.checking("tls"):
        transport = await way.dial()
        try:
            challenge = await lobby.challenged(transport, way.door, way.aggregator)
        finally:
            await transport.close()
        if way.secure:
            report.ok(
                "tls",
                f"TLS 1.3; {way.aggregator} proved its key, and took the certificate"
                f" of {way.member.identity.id}",
            )
        else:
            report.warn("tls", "none: plain websockets, meant for this machine alone")
        return challenge
    return None


def _check_clock(report: Report, way: Way, challenge: Challenge) -> None:
    drift = challenge.time_ms - way.clock.now_ms()
    side = "ahead of" if drift > 0 else "behind"
    said = f"the aggregator's is {abs(drift) / 1000:.1f} s {side} ours"
    remedy = "set both by NTP (`timedatectl` shows whether it runs)"
    if abs(drift) > MAX_DRIFT_MS:
        report.fail("clock", f"{said}, more than rule 8-3 allows: {remedy}")
    elif abs(drift) > DRIFT_MS:
        report.warn("clock", f"{said}: {remedy}")
    else:
        report.ok("clock", said)


def _check_rosters(report: Report, way: Way, challenge: Challenge) -> bool:
    roster = way.member.roster
    ours = f"version {roster.version} ({roster.hash.hex()[:12]})"
    if challenge.roster_hash == roster.hash:
        report.ok("rosters", f"both sides have {ours}")
        return True
    theirs = f"version {challenge.roster_version} ({challenge.roster_hash.hex()[:12]})"
    said = f"ours is {ours}, the aggregator has {theirs}"
    if way.member.book.grows and challenge.roster_version > roster.version:
        report.ok("rosters", f"{said}: the hospital takes what it lacks by itself")
        return True
    report.fail(
        "rosters",
        f"{said}: run `secagg roster show` on both sides, and `secagg roster install`"
        " the newest on the other",
    )
    return False


async def _check_door(report: Report, way: Way) -> None:
    """Prove this side as well, to Welcome; then hang up."""
    with report.checking("door"):
        # Each time with more of the roster, if we are behind.
        while (alone := await _let_in(way)) is None:
            pass
        report.ok(
            "door",
            f"{way.aggregator} let {way.member.identity.id} in, under version"
            f" {way.member.roster.version} of the roster",
        )
        if not alone:
            report.warn(
                "running",
                f"another process is connected as {way.member.identity.id}, elsewhere"
                " or with another `state`; this check took its place for a moment: stop"
                " it before a hospital is started here (rule 8-4)",
            )


async def _let_in(way: Way) -> bool | None:
    """Go through the door and hang up.

    Returns:
        Whether nobody took the place back, who had it before; None if the roster came
        instead.
    """
    transport = await way.dial()
    try:
        entered = await lobby.enter(transport, way.door, way.aggregator, Standing())
        return None if entered is None else await _keeps_place(entered[0])
    finally:
        await transport.close("secagg doctor is done")


async def _keeps_place(connection: Connection) -> bool:
    """Wait for whoever was replaced to come back, and replace us."""

    async def nothing(_: Frame) -> None:
        """Leave what is said unanswered."""

    try:
        async with asyncio.timeout(BACK_SECONDS):
            await connection.serve(nothing)
    except TimeoutError:
        return True
    except ConnectionLost as error:
        return error.reason != REPLACED
    return True


def aggregator_of(member: Membership) -> PeerId:
    """Return whom a hospital calls.

    Raises:
        ConnectionRefused: the roster has none, or several.
    """
    known = member.roster.aggregators
    if len(known) != 1:
        raise errors.ConnectionRefused(
            f"the roster's aggregators are {', '.join(known) or 'none'}; the hospital's"
            " program needs exactly one"
        )
    return known[0]
