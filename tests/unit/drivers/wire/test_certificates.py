"""secagg.drivers.wire.certificates: leaves and anchors."""

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from secagg import errors
from secagg.drivers.wire import certificates
from secagg.entropy import SeededEntropy
from secagg.identity import Identity
from secagg.names import PeerId

NOW = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)

BERN = Identity.generate(PeerId("bern"), SeededEntropy(b"certificates"))


def leaf_of(identity, **options):
    issued = certificates.leaf(identity, now=NOW, **options)
    return x509.load_pem_x509_certificate(issued.certificate)


def anchor_of(identity):
    return x509.load_pem_x509_certificate(certificates.anchor(identity.key.public))


def extension(certificate, kind):
    return certificate.extensions.get_extension_for_class(kind).value


def key_of(certificate):
    return certificate.public_key().public_bytes_raw()


# --- leaves


def test_a_leaf_is_signed_by_the_identity() -> None:
    certificate = leaf_of(BERN)
    key = ed25519.Ed25519PublicKey.from_public_bytes(BERN.key.public)
    key.verify(certificate.signature, certificate.tbs_certificate_bytes)


def test_a_leaf_names_its_id_and_the_identity_key_it_was_issued_under() -> None:
    certificate = leaf_of(BERN)
    [issuer] = certificate.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert issuer.value == BERN.key.public.hex()
    names = extension(certificate, x509.SubjectAlternativeName)
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    assert uris == ["secagg:bern"]


def test_a_leaf_has_a_fresh_key_each_time_and_never_the_identitys() -> None:
    issued = [certificates.leaf(BERN, now=NOW) for _ in range(2)]
    shown = [x509.load_pem_x509_certificate(each.certificate) for each in issued]
    keys = [key_of(certificate) for certificate in shown]
    assert len({*keys, BERN.key.public}) == 3
    assert [each.key.public_key().public_bytes_raw() for each in issued] == keys
    assert shown[0].serial_number != shown[1].serial_number


@pytest.mark.parametrize("hours", [1, 24, 0.5])
def test_a_leaf_lives_as_long_as_asked_and_began_a_day_ago(hours) -> None:
    certificate = leaf_of(BERN, validity_hours=hours)
    assert certificate.not_valid_after_utc == NOW + hours * HOUR
    assert certificate.not_valid_before_utc == NOW - 24 * HOUR
    assert certificates.leaf(BERN, now=NOW).expires == NOW + 24 * HOUR


@pytest.mark.parametrize("hours", [0, -1, float("nan")])
def test_a_leaf_that_would_be_over_at_once_is_refused(hours) -> None:
    with pytest.raises(errors.ParameterError, match="validity_hours"):
        certificates.leaf(BERN, now=NOW, validity_hours=hours)


def test_a_leaf_is_no_authority_and_serves_either_side() -> None:
    certificate = leaf_of(BERN)
    assert not extension(certificate, x509.BasicConstraints).ca
    assert set(extension(certificate, x509.ExtendedKeyUsage)) == {
        ExtendedKeyUsageOID.CLIENT_AUTH,
        ExtendedKeyUsageOID.SERVER_AUTH,
    }


def test_a_leafs_key_is_not_shown() -> None:
    issued = certificates.leaf(BERN, now=NOW)
    assert issued.key.private_bytes_raw().hex() not in repr(issued)
    assert "key=" not in repr(issued)


def test_what_a_leaf_is_signed_over_begins_as_no_other_signature_does() -> None:
    # LP(label, ...) begins with a small length in four bytes: a byte and three zeros.
    assert leaf_of(BERN).tbs_certificate_bytes[:2] == b"\x30\x82"


# --- anchors


def test_an_anchor_has_the_name_and_the_key_that_leaves_are_issued_under() -> None:
    anchor = anchor_of(BERN)
    assert anchor.subject == leaf_of(BERN).issuer
    assert anchor.public_key().public_bytes_raw() == BERN.key.public


def test_an_anchor_needs_no_secret_and_is_not_signed_by_its_own_key() -> None:
    anchor = anchor_of(BERN)
    assert anchor.issuer != anchor.subject


def test_an_anchor_allows_no_authority_below_itself() -> None:
    constraints = extension(anchor_of(BERN), x509.BasicConstraints)
    assert constraints.ca
    assert constraints.path_length == 0


def test_an_anchor_outlives_its_roster() -> None:
    anchor = anchor_of(BERN)
    assert anchor.not_valid_before_utc.year == 2000
    assert anchor.not_valid_after_utc.year == 9999
