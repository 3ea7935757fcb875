"""secagg.drivers.wire.certificates: leaves, anchors, and whose leaf it is."""

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from secagg import errors
from secagg.drivers.wire import certificates
from secagg.entropy import SeededEntropy
from secagg.identity import Identity
from secagg.names import PeerId
from secagg.roster import AGGREGATOR, HOSPITAL, Roster, RosterMember

NOW = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)

ENTROPY = SeededEntropy(b"certificates")
IDENTITIES = {
    name: Identity.generate(PeerId(name), ENTROPY)
    for name in ("agg", "bern", "zug", "stranger")
}
BERN, ZUG = IDENTITIES["bern"], IDENTITIES["zug"]


def member(name):
    role = AGGREGATOR if name == "agg" else HOSPITAL
    key = IDENTITIES[name].key.public
    return RosterMember(id=PeerId(name), role=role, key=key, name=name)


ROSTER = Roster(
    consortium="Cardio",
    version=3,
    members=tuple(member(name) for name in ("agg", "bern", "zug")),
)


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


# --- whose leaf


def der(certificate):
    return certificate.public_bytes(Encoding.DER)


def refusal(shown, roster=ROSTER):
    with pytest.raises(errors.ConnectionRefused) as caught:
        certificates.peer_identity(shown, roster)
    return str(caught.value)


@pytest.mark.parametrize("name", ["agg", "bern", "zug"])
def test_a_leaf_belongs_to_the_member_whose_key_signed_it(name) -> None:
    shown = der(leaf_of(IDENTITIES[name]))
    assert certificates.peer_identity(shown, ROSTER) == name


def test_a_strangers_leaf_is_refused_with_the_remedy() -> None:
    assert "compare fingerprints" in refusal(der(leaf_of(IDENTITIES["stranger"])))


def test_a_member_that_calls_itself_otherwise_is_refused_by_both_names() -> None:
    said = refusal(der(leaf_of(Identity(PeerId("zug"), BERN.seed))))
    assert "'zug'" in said
    assert "'bern'" in said


def forged(issuer_key, signer, names=("secagg:bern",), digest=None, more=None):
    """A certificate that claims to be issued under `issuer_key`, by `signer`."""
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer_key)])
    uris = [x509.UniformResourceIdentifier(name) for name in names]
    builder = (
        x509.CertificateBuilder()
        .subject_name(issuer)
        .issuer_name(issuer)
        .public_key(signer.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + HOUR)
    )
    if uris:
        builder = builder.add_extension(x509.SubjectAlternativeName(uris), False)
    if more is not None:
        builder = builder.add_extension(more, False)
    return der(builder.sign(signer, digest))


def private(identity):
    return ed25519.Ed25519PrivateKey.from_private_bytes(identity.seed)


def test_a_leaf_that_only_names_a_member_as_its_issuer_is_refused() -> None:
    bern = BERN.key.public.hex()
    assert certificates.peer_identity(forged(bern, private(BERN)), ROSTER) == "bern"
    assert "no key" in refusal(forged(bern, private(ZUG)))
    curve = ec.generate_private_key(ec.SECP256R1())
    assert "no key" in refusal(forged(bern, curve, digest=SHA256()))


@pytest.mark.parametrize("issuer", ["bern", "00", "zz" * 32])
def test_an_issuer_that_is_no_key_of_the_roster_is_refused(issuer) -> None:
    assert "no key" in refusal(forged(issuer, private(BERN)))


@pytest.mark.parametrize("names", [(), ("https://bern",), ("secagg:",)])
def test_a_leaf_without_a_members_id_is_refused(names) -> None:
    shown = forged(BERN.key.public.hex(), private(BERN), names)
    assert "calls itself" in refusal(shown)


@pytest.mark.parametrize("shown", [b"", b"\x30\x03\x02\x01\x00", b"no certificate"])
def test_bytes_that_are_no_certificate_are_refused(shown) -> None:
    assert "compare fingerprints" in refusal(shown)


def bent(before: bytes, after: bytes) -> bytes:
    """A member's leaf with some bytes of its DER changed."""
    sound: bytes = der(leaf_of(BERN))
    assert sound.count(before) >= 1
    return sound.replace(before, after, 1)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"\x55\x04\x03\x0c", b"\x55\x04\x03\x03"),  # a name that is bits, not text
        (b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x05"),  # X.509 version 6
        (b"\x55\x1d\x25", b"\x55\x1d\x11"),  # two lists of alternative names
    ],
    ids=["name", "version", "twice"],
)
def test_a_certificate_that_cannot_be_taken_apart_is_refused(before, after) -> None:
    assert "no key" in refusal(bent(before, after))


def test_a_members_leaf_with_names_of_an_unknown_kind_is_refused() -> None:
    """Its signature is right, so that TLS lets it in."""
    odd = x509.UnrecognizedExtension(
        x509.oid.ExtensionOID.SUBJECT_ALTERNATIVE_NAME, bytes.fromhex("3002a300")
    )
    shown = forged(BERN.key.public.hex(), private(BERN), (), more=odd)
    assert "no key" in refusal(shown)


def test_no_certificate_is_refused_with_the_remedy() -> None:
    assert "showed no certificate" in refusal(None)
