"""secagg.drivers.wire.tls: who gets in over real sockets, and what others are told."""

import ssl

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
from secagg.identity import Identity
from secagg.names import PeerId
from tests.unit.drivers.wire.tls_parties import (
    AGG,
    AGG_2,
    BERN,
    CENTURIES,
    FUTURE,
    PAST,
    ROSTER,
    STRANGER,
    ZUG,
    client,
    meet,
    refusal,
    roster,
    server,
)


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


def test_an_aggregator_that_the_roster_lacks_is_named() -> None:
    with pytest.raises(errors.LocalProtocolError, match="'agg-3'"):
        tls.client_context(BERN, ROSTER, PeerId("agg-3"), now=PAST)


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
