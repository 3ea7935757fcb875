"""Sealing of shares: ChaCha20-Poly1305, the nonce in front. Spec section 3.6.

The caller draws the nonce, once per key and plaintext; nothing here keeps state. The
cipher does not commit to its key: blame rests on signed commitments, never on it.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from secagg import errors

KEY_SIZE: Final = 32
NONCE_SIZE: Final = 12
TAG_SIZE: Final = 16


def seal(key: bytes, nonce: bytes, plaintext: bytes, ad: bytes) -> bytes:
    """Return nonce || ciphertext || tag.

    Args:
        key: 32 bytes.
        nonce: 12 bytes, never used before with this key.
        plaintext: what to hide.
        ad: what to bind it to; authenticated, not sent.

    Raises:
        ParameterError: the key or the nonce has another length.
    """
    _check_key(key)
    if len(nonce) != NONCE_SIZE:
        raise errors.ParameterError(f"a nonce has 12 bytes, not {len(nonce)}")
    return nonce + ChaCha20Poly1305(key).encrypt(nonce, plaintext, ad)


def open_sealed(key: bytes, sealed: bytes, ad: bytes) -> bytes:
    """Return the plaintext of what `seal` made.

    Raises:
        ParameterError: the key has another length.
        RemoteProtocolError: it was not sealed under this key and `ad` (rule 4.3-4).
    """
    _check_key(key)
    errors.require(
        "4.3-4",
        len(sealed) >= NONCE_SIZE + TAG_SIZE,
        f"{len(sealed)} bytes are too few for a sealed share",
    )
    nonce, body = sealed[:NONCE_SIZE], sealed[NONCE_SIZE:]
    try:
        return ChaCha20Poly1305(key).decrypt(nonce, body, ad)
    except InvalidTag:
        errors.require(
            "4.3-4", False, "a sealed share does not open under its key and binding"
        )
        raise


def _check_key(key: bytes) -> None:
    if len(key) != KEY_SIZE:
        raise errors.ParameterError(f"a sealing key has 32 bytes, not {len(key)}")
