"""Length-prefixed hashing and HKDF-SHA256: spec sections 1 and 3.5.

`LP` makes a list of parts unambiguous, so that no two inputs of a hash, a signature or
a derivation ever share their bytes. Labels are the caller's.
"""

from __future__ import annotations

import hashlib
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from secagg import errors

DERIVED_SIZE: Final = 32
"""Bytes of a derived key."""


def lp(*parts: bytes) -> bytes:
    """Return LP(parts): for each its length as 4 bytes little endian, then itself.

    Raises:
        ParameterError: a part has 2^32 bytes or more.
    """
    # Called a million times in a large session: no function call a part.
    try:
        return b"".join([len(part).to_bytes(4, "little") + part for part in parts])
    except OverflowError:
        raise errors.ParameterError("a part has 2^32 bytes or more") from None


def digest(label: str, *parts: bytes) -> bytes:
    """Return H(label, parts) = SHA-256(LP(label, parts)), 32 bytes.

    Args:
        label: ASCII; says what the hash is for, such as ``secagg/1/h1``.
        *parts: the hashed values; text goes in as its ASCII bytes.
    """
    return hashlib.sha256(lp(label.encode("ascii"), *parts)).digest()


def hkdf(ikm: bytes, salt: bytes, info: bytes) -> bytes:
    """Return 32 bytes of HKDF-SHA256 (RFC 5869).

    Args:
        ikm: the secret input.
        salt: the session id.
        info: what the key is for, with the identities and keys it is bound to.
    """
    derivation = HKDF(
        algorithm=hashes.SHA256(), length=DERIVED_SIZE, salt=salt, info=info
    )
    return derivation.derive(ikm)
