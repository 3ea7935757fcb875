"""What can be looked at without a network: keys, roster, state, disk, versions."""

from __future__ import annotations

import datetime
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Final

from peers.config_hospital import HospitalConfig
from peers.config_sections import Member, Tls
from peers.doctor.findings import Report
from peers.membership import Membership, site_context
from peers.site_tls import SOON, expiry
from secagg import engine, errors
from secagg.crypto.fingerprint import fingerprint
from secagg.drivers import private
from secagg.drivers.postgres import DatabaseUrl, Postgres
from secagg.drivers.silo.cross_check import check_account
from secagg.drivers.silo.store import FILE_NAME, SqliteStore
from secagg.drivers.wire.door import check_enrolled
from secagg.names import VERSION, PeerId
from secagg.roster import AGGREGATOR, HOSPITAL

SMALL_DISK: Final = 1 << 30
"""Free bytes below which a hospital is warned: logs, receipts and one mean of 10^8."""

_FULL_DISK: Final = 64 << 20
_MEAN_BYTES: Final = 8
"""Of a coordinate of the released mean, which lies there for a moment."""

_LIBRARIES: Final = ("cryptography", "msgpack", "numpy", "websockets")


def check_member(report: Report, config: Member) -> Membership | None:
    """Check key file and roster, and that the one is in the other."""
    with report.checking("identity"):
        pinned = (
            isinstance(config, HospitalConfig)
            and config.policy.roster_updates == "pinned"
        )
        member = Membership.of(config, follows=not pinned, looks=True)
        mine = fingerprint(member.identity.key.public)
        report.ok("identity", f"{member.identity.id}, fingerprint {mine}")
        _check_enrolled(report, config, member)
        return member
    return None


def _check_enrolled(report: Report, config: Member, member: Membership) -> None:
    roster, book = member.roster, member.book
    said = (
        f"version {roster.version} of {roster.consortium}, hash"
        f" {roster.hash.hex()[:12]}, {len(roster.hospitals)} hospitals"
    )
    hospital = isinstance(config, HospitalConfig)
    try:
        check_enrolled(member.identity, book, HOSPITAL if hospital else AGGREGATOR)
    except errors.NotEnrolled as error:
        if hospital and book.grows:
            report.warn(
                "roster",
                f"{error}. The aggregator may have a newer version, which the hospital"
                " takes by itself: see the line `door`",
            )
        else:
            report.fail("roster", str(error))
        return
    if not roster.aggregators:
        report.fail("roster", f"{said}; no aggregator is in it: get the newest one")
    else:
        report.ok("roster", f"{said}, signed by the consortium")


def check_certificate(report: Report, tls: Tls | None, now_ms: int) -> None:
    """Check a site's own certificate, and that it is renewed in time."""
    if tls is None:
        return
    with report.checking("certificate"):
        site_context(tls, server=False)
        ends = expiry(tls.certificate)
        if ends is None:
            return
        now = datetime.datetime.fromtimestamp(now_ms / 1000, datetime.UTC)
        said = f"{tls.certificate} is valid until {ends:%Y-%m-%d %H:%M} UTC"
        if now > ends - SOON:
            report.warn("certificate", f"{said}: have it renewed, as files in place")
        else:
            report.ok("certificate", said)


def check_state(report: Report, state: Path) -> None:
    """Check that the state directory is ours and can be written, and leave it as it is.

    One that is not there yet is not made either: its parent is tried.
    """
    there = state if state.exists() else _existing(state.parent)
    with report.checking("state"):
        if state.exists():
            private.check_unshared(state)
        try:
            with tempfile.TemporaryFile(dir=there) as probe:
                probe.write(b"secagg")
                probe.flush()
                os.fsync(probe.fileno())
        except OSError as error:
            raise errors.StateError(
                f"{there} cannot be written: {error.strerror}; correct the path"
                " `state`, its permissions, or free some space"
            ) from None
        made = "" if state.exists() else ", will be made at the first start"
        report.ok("state", f"{state} can be written{made}")


def _existing(folder: Path) -> Path:
    return folder if folder.exists() else _existing(folder.parent)


def free_bytes(state: Path) -> int:
    """Return the free bytes where a state directory is, or would be."""
    return shutil.disk_usage(_existing(state)).free


def check_disk(report: Report, state: Path) -> None:
    """Check a hospital's disk; how long the model is it learns in the first round."""
    free = free_bytes(state)
    said = (
        f"{_gb(free)} free; a round writes {_MEAN_BYTES} bytes a parameter, so a model"
        f" of {free // _MEAN_BYTES / 1e6:,.0f} million has room"
    )
    if free < _FULL_DISK:
        report.fail("disk", f"{said}: free some space")
    elif free < SMALL_DISK:
        report.warn("disk", f"{said}: free some space if the model may be larger")
    else:
        report.ok("disk", said)


def check_room(report: Report, state: Path, needed: int) -> None:
    """Check an aggregator's disk against what a round needs."""
    free = free_bytes(state)
    said = f"{_gb(free)} free, a round needs up to {_gb(needed)}"
    if free < needed:
        report.fail("disk", f"{said}: free some space, or put `state` on another disk")
    else:
        report.ok("disk", said)


def check_journal(report: Report, url: DatabaseUrl) -> None:
    """Check that a journal's server takes us; under a name and a lock of its own.

    So an aggregator that runs is not disturbed.
    """
    with report.checking("journal"), Postgres(url, "doctor", (), version=1):
        report.ok("journal", "the PostgreSQL server lets this account make its tables")


@contextmanager
def held_store(report: Report, state: Path, me: PeerId) -> Iterator[bool]:
    """Hold a hospital's state for the block; yield whether no hospital runs on it.

    Its account is compared with its receipts, as at the start of the hospital.

    A hospital that runs must not be disturbed: its connection would be replaced by a
    second one of its identity (rule 8-4).
    """
    if not (state / FILE_NAME).exists():
        yield True
        return
    try:
        store = SqliteStore(state)
    except errors.StateError as error:
        if "another process" in str(error):
            report.warn(
                "running",
                "a hospital runs on this state directory: it is left alone, and what"
                " would end its connection is not tried",
            )
        else:
            report.fail("running", str(error))
        yield False
        return
    with store:
        with report.checking("account"):
            check_account(store, me)
        yield True


def check_versions(report: Report) -> None:
    """Say which versions are here; what speaks another protocol is refused by it."""
    parts = [f"secagg {VERSION}", "protocol secagg/1", f"Python {_python()}"]
    parts += [f"{name} {metadata.version(name)}" for name in _LIBRARIES]
    report.ok("versions", ", ".join(parts))


def check_engine(report: Report, name: str) -> None:
    """Check that the mask engine is there, with what it needs."""
    with report.checking("engine"):
        chosen = engine.resolved(name)
        engine.device_of(chosen)
        report.ok("engine", chosen if name == chosen else f"{chosen}, for {name}")


def _python() -> str:
    return platform.python_version()


def _gb(count: int) -> str:
    return f"{count / 1e9:,.1f} GB"
