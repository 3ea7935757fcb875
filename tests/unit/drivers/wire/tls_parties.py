"""Who meets over TLS in its tests, and how."""

import asyncio
import contextlib
import datetime

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519

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


def issuer_of(der):
    """The member under whose key a leaf was issued."""
    shown = x509.load_der_x509_certificate(der)
    for member in ROSTER.members:
        key = ed25519.Ed25519PublicKey.from_public_bytes(member.key)
        with contextlib.suppress(InvalidSignature):
            key.verify(shown.signature, shown.tbs_certificate_bytes)
            return member.id
    return None


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
        met.append(issuer_of(shown_by(writer)))
        writer.write(b"!")
        await close(writer)

    async with listening(serve, server_context) as port:
        shown = await call(port, client_context)
    return issuer_of(shown), *met


async def refusal(client_context, server_context):
    """Return what the client is told."""
    with pytest.raises((OSError, EOFError)) as caught:
        await meet(client_context, server_context)
    return tls.explain_tls_error(caught.value)
