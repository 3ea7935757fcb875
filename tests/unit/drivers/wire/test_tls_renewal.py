"""secagg.drivers.wire.tls: leaves are renewed, and their key lies nowhere."""

import asyncio
import datetime
import ssl
import stat
import tempfile
from pathlib import Path
from typing import Any

import pytest

from secagg.drivers.wire import tls
from secagg.drivers.wire.certificates import leaf
from tests.unit.drivers.wire.tls_parties import (
    AGG,
    BERN,
    CENTURIES,
    PAST,
    call,
    client,
    close,
    issuer_of,
    listening,
    server,
    shown_by,
)


class FakeClock:
    """A clock that is told the time, and ends after the last."""

    def __init__(self, *times_ms):
        self._times = list(times_ms)
        self.paused = []

    def now_ms(self):
        return self._times.pop(0)

    def seconds(self):
        raise AssertionError

    async def deadline(self, seconds):
        raise AssertionError

    async def pause(self, seconds):
        self.paused.append(seconds)
        if not self._times:
            raise asyncio.CancelledError


def renewals(*hours):
    """Ask a renewer of leaves for a day at these hours after PAST."""
    renewer = tls.LeafRenewer(client(), BERN)
    times = [PAST + datetime.timedelta(hours=hour) for hour in hours]
    return [renewer.renew_if_due(time) for time in times]


def test_a_leaf_is_renewed_at_first_and_when_half_its_life_is_over() -> None:
    assert renewals(0, 1, 11.9, 12, 23, 24.1) == [True, False, False, True, False, True]


def test_a_leaf_is_renewed_after_a_long_sleep() -> None:
    assert renewals(0, 1000, 1001) == [True, True, False]


def test_a_leaf_is_renewed_when_the_clock_was_set_back() -> None:
    assert renewals(100, 50, 51) == [True, True, False]


class NotingRenewer(tls.LeafRenewer):
    """Notes when it was asked, in hours after 1970."""

    def __init__(self):
        super().__init__(client(), BERN)
        self.asked = []

    def renew_if_due(self, now):
        self.asked.append(now.timestamp() / 3600)
        return super().renew_if_due(now)


async def test_the_renewer_looks_at_the_clock_every_minute() -> None:
    renewer, clock = NotingRenewer(), FakeClock(0, 60_000, 13 * 3_600_000)
    with pytest.raises(asyncio.CancelledError):
        await renewer.run(clock)
    assert renewer.asked == [0, 1 / 60, 13]
    assert clock.paused == [60.0] * 3


async def test_a_renewal_that_fails_is_said_and_tried_again(monkeypatch) -> None:
    seen: list[Any] = []
    results = iter([OSError(28, "No space left on device"), None])
    renewer = tls.LeafRenewer(client(), BERN, observer=seen.append)
    install = tls.install

    def failing(context, issued) -> None:
        error = next(results)
        if error is not None:
            raise error
        install(context, issued)

    monkeypatch.setattr(tls, "install", failing)
    with pytest.raises(asyncio.CancelledError):
        await renewer.run(FakeClock(0, 60_000, 120_000))
    (told,) = seen
    assert "No space left on device" in told.reason
    assert told.retry_seconds == 60.0
    assert next(results, "both were tried") == "both were tried"


async def test_a_renewed_leaf_is_shown_to_new_callers_and_disturbs_no_other() -> None:
    async def echo(reader, writer):
        writer.write(b"!")
        while byte := await reader.read(1):
            writer.write(byte)
        await close(writer)

    context = server()
    renewer = tls.LeafRenewer(context, AGG, validity_hours=CENTURIES)
    async with listening(echo, context) as port:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=client(), server_hostname=""
        )
        assert await reader.readexactly(1) == b"!"
        assert renewer.renew_if_due(PAST)
        writer.write(b"?")
        assert await reader.readexactly(1) == b"?"
        before, after = shown_by(writer), await call(port, client())
        await close(writer)
    assert before != after
    assert issuer_of(after) == "agg"


# --- the key on the disk


def test_the_leafs_key_is_written_encrypted_for_its_owner_alone_and_removed(
    monkeypatch, tmp_path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    seen = []

    class Watching(ssl.SSLContext):
        def load_cert_chain(self, certfile, *arguments, **options):
            path = Path(certfile)
            mode = stat.S_IMODE(path.parent.stat().st_mode)
            seen.append((mode, path.read_text()))
            super().load_cert_chain(certfile, *arguments, **options)

    tls.install(Watching(ssl.PROTOCOL_TLS_CLIENT), leaf(BERN, now=PAST))
    [(mode, text)] = seen
    assert mode == 0o700
    assert "BEGIN ENCRYPTED PRIVATE KEY" in text
    assert list(tmp_path.iterdir()) == []
