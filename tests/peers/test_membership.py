"""peers.membership: identity, pinned roster, and a site's own certificates."""

import datetime
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from peers.card import EnrolmentError
from peers.config_sections import Member, Tls
from peers.membership import Membership, site_context
from peers.toml_file import ConfigError


def member_config(consortium, identity="bern", key=None):
    return Member(
        identity=consortium.folder / f"{identity}.identity.json",
        roster=consortium.folder / "roster.json",
        consortium_key=(key or consortium.key).hex(),
        state=consortium.folder / "state",
    )


def test_a_member_has_its_identity_and_the_roster(consortium) -> None:
    member = Membership.of(member_config(consortium))
    assert member.identity.id == "bern"
    assert member.roster == consortium.roster


def test_2_1_2_a_roster_of_another_consortium_is_refused(consortium) -> None:
    other = consortium.roster.member("zug").key
    with pytest.raises(EnrolmentError, match=r"2\.1-2.*correct `consortium_key`"):
        Membership.of(member_config(consortium, key=other))


def pem_files(folder, *, password=None, days=(-1, 1)):
    """Write a self-signed certificate, valid from and to these days, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=days[0]))
        .not_valid_after(now + datetime.timedelta(days=days[1]))
        .sign(key, hashes.SHA256())
    )
    hidden = BestAvailableEncryption(password) if password else NoEncryption()
    pem = certificate.public_bytes(Encoding.PEM)
    (folder / "site.pem").write_bytes(pem)
    (folder / "ca.pem").write_bytes(pem)
    (folder / "site.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden)
    )
    return Tls(
        certificate=folder / "site.pem", key=folder / "site.key", ca=folder / "ca.pem"
    )


def test_without_a_table_the_identities_are_used() -> None:
    assert site_context(None, server=True) is None


@pytest.mark.parametrize("server", [True, False])
def test_own_certificates_make_mutual_tls_1_3(tmp_path, server) -> None:
    context = site_context(pem_files(tmp_path), server=server)
    assert context is not None
    assert context.minimum_version == ssl.TLSVersion.TLSv1_3
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname is not server


def test_a_ca_file_that_is_none_is_named(tmp_path) -> None:
    tls = pem_files(tmp_path)
    (tmp_path / "ca.pem").write_text("hello")
    with pytest.raises(ConfigError, match=r"ca = .*ca\.pem"):
        site_context(tls, server=True)


def test_a_key_of_another_certificate_is_named(tmp_path) -> None:
    tls = pem_files(tmp_path)
    (tmp_path / "other").mkdir()
    other = pem_files(tmp_path / "other")
    with pytest.raises(ConfigError, match=r"key = .*site\.key"):
        site_context(tls.model_copy(update={"key": other.key}), server=True)


def test_an_encrypted_key_is_refused_instead_of_asked_for(tmp_path) -> None:
    tls = pem_files(tmp_path, password=b"secret")
    with pytest.raises(ConfigError, match="unencrypted"):
        site_context(tls, server=True)


@pytest.mark.parametrize(
    ("days", "told"),
    [
        ((-9, -2), "expired on .* renew it"),
        ((2, 9), "not valid before .* clock by NTP"),
    ],
)
def test_our_own_certificate_must_be_valid_now(tmp_path, days, told) -> None:
    with pytest.raises(ConfigError, match=told):
        site_context(pem_files(tmp_path, days=days), server=False)
