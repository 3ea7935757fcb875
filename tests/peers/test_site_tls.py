"""peers.site_tls: renewed files reach a live context; a mistake in them does not."""

import asyncio
import contextlib
import datetime
import os
import ssl
from typing import Any

import pytest
from cryptography import x509

from peers.config_sections import Log
from peers.logs import opened_log
from peers.site_tls import LOOK_SECONDS, SiteTls, expiry, live
from peers.toml_file import ConfigError
from tests.drivers.fake_clock import FakeClock
from tests.peers.test_membership import pem_files


class Said:
    """A logger that notes what is said."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def _say(self, event, **_) -> None:
        self.events.append(event)

    info = warning = _say


def listener() -> Any:
    return Said()


def clock_at(days=0.0):
    """A clock so many days from now."""
    now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    return FakeClock(round(now.timestamp() * 1000))


async def shown_by(context):
    """The serial number of the certificate that a server with `context` shows."""

    async def serve(reader, writer) -> None:
        writer.close()

    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client)
        seen = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        # This client has no certificate, and the server may say so.
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return x509.load_der_x509_certificate(seen).serial_number


@pytest.fixture
def folder(tmp_path):
    """Where the site's files are."""
    (tmp_path / "site").mkdir()
    return tmp_path / "site"


def serial_in(folder):
    pem = (folder / "site.pem").read_bytes()
    return x509.load_pem_x509_certificate(pem).serial_number


def test_files_that_are_as_they_were_are_left_alone(folder) -> None:
    assert not SiteTls(pem_files(folder), server=True).renew_if_changed()


async def test_a_renewed_certificate_is_shown_from_the_next_handshake_on(
    folder,
) -> None:
    ours = SiteTls(pem_files(folder), server=True)
    first = serial_in(folder)
    pem_files(folder)
    assert ours.renew_if_changed()
    assert not ours.renew_if_changed()
    assert await shown_by(ours.context) == serial_in(folder) != first


def test_half_a_renewal_is_refused_and_taken_when_it_is_whole(folder) -> None:
    ours = SiteTls(pem_files(folder), server=True)
    old_key = (folder / "site.key").read_bytes()
    pem_files(folder)
    new_key = (folder / "site.key").read_bytes()
    (folder / "site.key").write_bytes(old_key)
    said, clock = listener(), clock_at()
    for _ in range(3):
        ours.look(said, clock)
    assert said.events.count("certificate_not_renewed") == 1
    (folder / "site.key").write_bytes(new_key)
    ours.look(said, clock)
    assert "certificate_renewed" in said.events


def test_one_that_is_not_valid_yet_is_tried_again(folder, monkeypatch) -> None:
    ours = SiteTls(pem_files(folder), server=True)
    pem_files(folder, days=(1, 90))
    for _ in range(2):
        with pytest.raises(ConfigError, match="not valid before"):
            ours.renew_if_changed()


def test_a_file_that_is_gone_is_said_once(folder) -> None:
    ours = SiteTls(pem_files(folder), server=True)
    os.unlink(folder / "site.pem")
    said = listener()
    for _ in range(3):
        ours.look(said, clock_at())
    assert said.events == ["certificate_not_renewed"]


@pytest.mark.parametrize(("days", "times"), [(20, 0), (27, 1), (31, 1)])
def test_an_end_that_is_near_is_said_once(folder, days, times) -> None:
    ours = SiteTls(pem_files(folder, days=(-1, 40)), server=True)
    said = listener()
    for _ in range(3):
        ours.look(said, clock_at(days))
    assert said.events == ["certificate_ends_soon"] * times


async def test_the_files_are_looked_at_every_minute(folder) -> None:
    pauses: list[float] = []

    class Pausing(FakeClock):
        async def pause(self, seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 3:
                raise asyncio.CancelledError

    ours = SiteTls(pem_files(folder, days=(-1, 4000)), server=True)
    with pytest.raises(asyncio.CancelledError):
        await ours.run(listener(), Pausing())
    assert pauses == [LOOK_SECONDS] * 3


async def test_a_program_has_the_context_while_it_runs(folder) -> None:
    with opened_log(Log(file=folder / "log")) as log:
        async with live(None, server=True, log=log) as context:
            assert context is None
        tls = pem_files(folder)
        async with live(tls, server=True, log=log, clock=clock_at()) as context:
            assert context is not None


def test_what_is_no_certificate_has_no_end(tmp_path) -> None:
    assert expiry(tmp_path / "none") is None
    (tmp_path / "junk").write_text("junk")
    assert expiry(tmp_path / "junk") is None
