"""Certificates from identity keys: short-lived leaves, and anchors for roster keys.

Each identity key is a tiny certificate authority of its own. It signs a leaf that lives
for a day and goes with a fresh key; the other side needs no certificate in advance, for
it builds the trust anchor itself, from the public key in its roster.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from secagg import errors
from secagg.identity import Identity

VALIDITY_HOURS: Final = 24
"""How long a leaf is good for; it is renewed when half of that is over."""

# A clock that is wrong by hours gets through to the comparison of clocks (rule 8-3),
# which says by how much. The leaf's key did not exist before: nothing is given away.
_BACKDATE: Final = datetime.timedelta(hours=24)

# RFC 5280 4.1.2.5: no end is known; anchors live as long as the roster that has them.
_FOREVER: Final = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)
_EVER: Final = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)

_ORGANIZATION: Final = "secagg"
_URI: Final = "secagg:"

_CERT_SIGN: Final = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(frozen=True, slots=True)
class Leaf:
    """A short-lived certificate and its key.

    Attributes:
        certificate: PEM.
        key: the private key, Ed25519; never shown.
        expires: when the certificate ends.
    """

    certificate: bytes
    key: Ed25519PrivateKey = field(repr=False)
    expires: datetime.datetime


def leaf(
    identity: Identity,
    *,
    now: datetime.datetime,
    validity_hours: float = VALIDITY_HOURS,
) -> Leaf:
    """Issue a leaf for a fresh key, signed by the identity.

    The identity's key signs nothing else that could pass for a certificate: all its
    other signatures are over LP(label, ...), whose first bytes are no DER.

    Args:
        identity: who it is for, and who signs it.
        now: the time, with its zone.
        validity_hours: how long it is good for, above 0.

    Raises:
        ParameterError: `validity_hours` is not above 0.
    """
    if not validity_hours > 0:
        raise errors.ParameterError(f"validity_hours = {validity_hours} is not above 0")
    key = Ed25519PrivateKey.generate()
    expires = now + datetime.timedelta(hours=validity_hours)
    issuer = Ed25519PrivateKey.from_private_bytes(identity.seed)
    names = [x509.UniformResourceIdentifier(_URI + identity.id)]
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    certificate = (
        _builder(key.public_key(), _name(identity.key.public))
        .subject_name(_name_of(identity.id))
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(expires)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(_key_identifier_of(issuer.public_key()), critical=False)
        .sign(issuer, None)
    )
    return Leaf(certificate.public_bytes(Encoding.PEM), key, expires)


def anchor(public_key: bytes) -> bytes:
    """Build the local trust anchor for a roster key.

    It has the name and the key that leaves of this identity are issued under. OpenSSL
    takes it as an anchor under `ssl.VERIFY_X509_PARTIAL_CHAIN`, which trusts what is in
    the store without checking its signature; so a throwaway key signs it.

    Args:
        public_key: an Ed25519 identity key of the roster, 32 bytes.

    Returns:
        A certificate, PEM. It never leaves this process and says nothing secret.
    """
    throwaway = Ed25519PrivateKey.generate()
    key = Ed25519PublicKey.from_public_bytes(public_key)
    certificate = (
        _builder(key, _name_of("throwaway"))
        .subject_name(_name(public_key))
        .not_valid_before(_EVER)
        .not_valid_after(_FOREVER)
        # No further authority may stand between it and a leaf.
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_CERT_SIGN, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(_key_identifier_of(throwaway.public_key()), critical=False)
        .sign(throwaway, None)
    )
    return certificate.public_bytes(Encoding.PEM)


def _builder(key: Ed25519PublicKey, issuer: x509.Name) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .public_key(key)
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
    )


def _name(identity_key: bytes) -> x509.Name:
    """Return the name under which an identity issues."""
    # A common name has room for 64 characters: exactly those of the key.
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, identity_key.hex()),
        ]
    )


def _name_of(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _key_identifier_of(key: Ed25519PublicKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)
