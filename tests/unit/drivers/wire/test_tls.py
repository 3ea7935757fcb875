"""secagg.drivers.wire.tls: who gets in over real sockets, and what others are told."""

import asyncio
import contextlib
import datetime
import socket
import ssl
import stat
import struct
import tempfile
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from secagg import errors
from secagg.drivers.wire import tls
from secagg.drivers.wire.certificates import leaf
from secagg.entropy import SeededEntropy
from secagg.identity import Identity
from secagg.names import PeerId
from secagg.roster import AGGREGATOR, HOSPITAL, Roster, RosterMember

# OpenSSL looks at the machine's clock: these leaves are good, over or to come by it,
# whatever it shows.
PAST = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
FUTURE = datetime.datetime(2200, 1, 1, tzinfo=datetime.UTC)
CENTURIES = 300 * 8766

ENTROPY = SeededEntropy(b"tls")
AGG, AGG_2, BERN, ZUG, STRANGER = (
    Identity.generate(PeerId(name), ENTROPY)
    for name in ("agg", "agg-2", "bern", "zug", "stranger")
)


def roster(*identities):
    members = [
        RosterMember(
            id=identity.id,
            role=AGGREGATOR if identity.id.startswith("agg") else HOSPITAL,
            key=identity.key.public,
            name=identity.id,
        )
        for identity in identities
    ]
    return Roster(consortium="Cardio", version=1, members=tuple(members))


ROSTER = roster(AGG, AGG_2, BERN, ZUG)


def lasting(context, identity):
    """Let the context show a leaf that is good for as long as tests are run."""
    tls.install(context, leaf(identity, now=PAST, validity_hours=CENTURIES))
    return context


def client(identity=BERN, pinned=ROSTER, aggregator="agg"):
    context = tls.client_context(identity, pinned, PeerId(aggregator), now=PAST)
    return lasting(context, identity)


def server(identity=AGG, pinned=ROSTER, on_refused=None):
    context = tls.server_context(identity, pinned, now=PAST, on_refused=on_refused)
    return lasting(context, identity)


def shown_by(writer):
    return writer.get_extra_info("ssl_object").getpeercert(binary_form=True)


async def close(writer):
    writer.close()
    # The other side may have been quicker.
    with contextlib.suppress(OSError):
        await writer.wait_closed()


@contextlib.asynccontextmanager
async def listening(serve, context=None):
    """Serve on the loopback; give the port."""
    host = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with asyncio.timeout(20), host:
        yield host.sockets[0].getsockname()[1]


async def never(reader, writer):
    raise AssertionError("a refused client was served")


async def call(port, context):
    """Call, and wait for a byte: only then has TLS 1.3 said what it thinks of us."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname="not.its.name"
    )
    try:
        await reader.readexactly(1)
        return shown_by(writer)
    finally:
        await close(writer)


async def meet(client_context, server_context):
    """Let the two talk; return whom each of them met."""
    met = []

    async def serve(reader, writer):
        met.append(tls.peer_identity(shown_by(writer), ROSTER))
        writer.write(b"!")
        await close(writer)

    async with listening(serve, server_context) as port:
        shown = await call(port, client_context)
    return tls.peer_identity(shown, ROSTER), *met


async def refusal(client_context, server_context):
    """Return what the client is told."""
    with pytest.raises((OSError, EOFError)) as caught:
        await meet(client_context, server_context)
    return tls.explain_tls_error(caught.value)


# --- who gets in


@pytest.mark.parametrize("hospital", [BERN, ZUG], ids=["bern", "zug"])
async def test_members_meet_and_know_each_other_by_their_keys(hospital) -> None:
    assert await meet(client(hospital), server()) == ("agg", hospital.id)


async def test_contexts_are_good_from_the_moment_they_are_made() -> None:
    ours = tls.client_context(BERN, ROSTER, PeerId("agg"))
    theirs = tls.server_context(AGG, ROSTER)
    assert await meet(ours, theirs) == ("agg", "bern")


async def test_a_client_that_is_not_in_the_roster_is_refused() -> None:
    refused: list[str] = []
    told = await refusal(client(STRANGER), server(on_refused=refused.append))
    assert "its roster has another key" in told
    assert len(refused) == 1
    assert "Compare fingerprints" in refused[0]


async def test_a_client_whose_key_differs_in_the_aggregators_roster_is_refused() -> (
    None
):
    other = Identity(PeerId("bern"), STRANGER.seed)
    assert "another key" in await refusal(client(), server(pinned=roster(AGG, other)))


async def test_an_aggregator_is_no_client() -> None:
    assert "another key" in await refusal(client(AGG_2), server())


@pytest.mark.parametrize("other", [AGG_2, ZUG, STRANGER], ids=lambda other: other.id)
async def test_whoever_is_not_the_aggregator_called_is_refused(other) -> None:
    told = await refusal(client(), server(other))
    assert "not from the identity that this roster names" in told
    assert "Compare fingerprints" in told


async def test_a_client_without_a_certificate_is_refused() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    assert "connect with an identity" in await refusal(context, server())


def below_a_leaf(folder):
    """Write the chain of a certificate that BERN's own leaf vouches for."""
    above = leaf(BERN, now=PAST, validity_hours=CENTURIES)
    issuer = x509.load_pem_x509_certificate(above.certificate)
    key = Ed25519PrivateKey.generate()
    above_key = above.key.public_key()
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(above_key)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(PAST)
        .not_valid_after(FUTURE)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("bern")]), True)
        .add_extension(authority, False)
        .sign(above.key, None)
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = folder / "chain.pem"
    path.write_bytes(
        certificate.public_bytes(Encoding.PEM) + above.certificate + secret
    )
    return path


async def test_a_leaf_cannot_vouch_for_another_certificate(tmp_path) -> None:
    context = client()
    context.load_cert_chain(below_a_leaf(tmp_path))
    refused: list[str] = []
    told = await refusal(context, server(on_refused=refused.append))
    assert "rejects this side's certificate" in told
    assert "invalid CA" in refused[0]


# --- dates


@pytest.mark.parametrize(
    ("now", "to_client", "to_server"),
    [
        (PAST, "it has expired there", "has expired"),
        (FUTURE, "not valid there yet", "not valid yet"),
    ],
    ids=["expired", "not yet"],
)
async def test_a_client_with_a_leaf_out_of_date_is_refused(
    now, to_client, to_server
) -> None:
    context = client()
    refused: list[str] = []
    tls.install(context, leaf(BERN, now=now))
    told = await refusal(context, server(on_refused=refused.append))
    assert to_client in told
    assert "Set the clocks" in told
    assert to_server in refused[0]


@pytest.mark.parametrize(
    ("now", "expected"),
    [(PAST, "has expired"), (FUTURE, "is not valid yet")],
    ids=["expired", "not yet"],
)
async def test_an_aggregator_with_a_leaf_out_of_date_is_refused(now, expected) -> None:
    context = server()
    tls.install(context, leaf(AGG, now=now))
    told = await refusal(client(), context)
    assert expected in told
    assert "Set the clocks" in told


# --- the protocol


async def test_tls_1_3_is_spoken() -> None:
    versions = []

    async def serve(reader, writer):
        versions.append(writer.get_extra_info("ssl_object").version())
        writer.write(b"!")
        await close(writer)

    async with listening(serve, server()) as port:
        await call(port, client())
    assert versions == ["TLSv1.3"]


def only_tls_1_2(context):
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


async def test_a_client_of_tls_1_2_is_refused() -> None:
    refused: list[str] = []
    told = await refusal(only_tls_1_2(client()), server(on_refused=refused.append))
    assert "TLS 1.3" in told
    assert "TLS 1.3" in refused[0]


async def test_a_server_of_tls_1_2_is_refused() -> None:
    assert "TLS 1.3" in await refusal(client(), only_tls_1_2(server()))


@pytest.mark.parametrize("made", [client, server])
def test_certificates_are_judged_strictly_by_rfc_5280(made) -> None:
    assert made().verify_flags & ssl.VERIFY_X509_STRICT


async def test_no_session_is_resumed_without_a_certificate() -> None:
    sessions = []

    async def serve(reader, writer):
        writer.write(b"!")
        await close(writer)

    async with listening(serve, server()) as port:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=client(), server_hostname=""
        )
        await reader.readexactly(1)
        sessions.append(writer.get_extra_info("ssl_object").session)
        await close(writer)
    assert not sessions[0].has_ticket


async def answer_to_a_client(serve):
    """Return what a client is told by something that is no TLS server."""
    async with listening(serve) as port:
        with pytest.raises((OSError, EOFError)) as caught:
            await call(port, client())
    return tls.explain_tls_error(caught.value)


async def test_a_line_that_is_reset_is_told_from_a_refusal() -> None:
    async def reset(reader, writer):
        await reader.read(1)
        # Linger for no time: closing sends a reset, as a firewall does.
        linger = struct.pack("ii", 1, 0)
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        await close(writer)

    assert "firewall or proxy" in await answer_to_a_client(reset)


async def test_a_line_that_is_hung_up_is_told_from_a_refusal() -> None:
    async def hang_up(reader, writer):
        await reader.read(1)
        await close(writer)

    assert "firewall or proxy" in await answer_to_a_client(hang_up)


async def test_a_proxy_that_answers_in_clear_is_named() -> None:
    async def forbid(reader, writer):
        await reader.read(1)
        writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        await close(writer)

    assert "does not speak TLS" in await answer_to_a_client(forbid)


async def test_a_client_that_speaks_http_is_reported() -> None:
    refused: list[str] = []
    async with listening(never, server(on_refused=refused.append)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        writer.write_eof()
        await reader.read()
        await close(writer)
    assert ["does not speak TLS" in text for text in refused] == [True]


def first_words(context):
    """Return what a client with this context says first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing).do_handshake()
    return outgoing.read()


async def test_a_refused_client_hears_why_and_is_cut_off_when_it_goes_on() -> None:
    async with listening(never, server()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(first_words(only_tls_1_2(client())))
        # An alert (21) of two bytes: fatal (2), protocol version (70).
        assert await reader.readexactly(7) == b"\x15\x03\x03\x00\x02\x02\x46"
        writer.write(b"more")
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        await close(writer)


# --- renewal


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
    assert tls.peer_identity(after, ROSTER) == "agg"


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


def test_an_aggregator_that_the_roster_lacks_is_named() -> None:
    with pytest.raises(errors.LocalProtocolError, match="'agg-3'"):
        tls.client_context(BERN, ROSTER, PeerId("agg-3"), now=PAST)
