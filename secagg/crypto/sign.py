"""Identity signatures: Ed25519 with strict verification. Spec section 3.1.

Libraries differ in the keys and signatures they accept. Whatever one might accept and
another refuse is refused here before the library is asked, so that all parties agree on
what a valid signature is. All inputs of the checks are public.
"""

from __future__ import annotations

import functools
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519

from secagg import errors

SEED_SIZE: Final = 32
PUBLIC_SIZE: Final = 32
SIGNATURE_SIZE: Final = 64

_P: Final = 2**255 - 19
_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
_SIGN_BIT: Final = 1 << 255

# As many as the largest session has members, 1 KB each.
_KEYS: Final = 4096

# The y of the eight points whose order divides 8, computed as l * B' for points B' of
# the whole curve (l the group order): order 4; 1; 8 twice, both signs of x; and 2.
_SMALL_ORDER_Y: Final = frozenset(
    {
        0,
        1,
        2707385501144840649318225287225658788936804267575313519463743609750303402022,
        55188659117513257062467267217118295137698188065244968500265048394206261417927,
        _P - 1,
    }
)


class SigningKey:
    """An Ed25519 identity key."""

    __slots__ = ("_key", "public")

    public: bytes
    """The public key, 32 bytes."""

    def __init__(self, seed: bytes) -> None:
        """Derive the key pair from a seed of 32 secret bytes (RFC 8032 5.1.5).

        Raises:
            ParameterError: the seed has another length.
        """
        if len(seed) != SEED_SIZE:
            raise errors.ParameterError(f"a seed has 32 bytes, not {len(seed)}")
        self._key = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._key.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        """Show the public key alone."""
        return f"SigningKey(<redacted>, public={self.public.hex()})"

    def sign(self, message: bytes) -> bytes:
        """Return the signature, 64 bytes."""
        return self._key.sign(message)


def check_public_key(public: bytes) -> None:
    """Refuse a key that no identity may have.

    Args:
        public: a key as received, any length.

    Raises:
        RemoteProtocolError: not 32 bytes, not canonical, or of small order (rule
            3.1-1).
    """
    errors.require(
        "3.1-1",
        _is_strict_key(public),
        "an identity key is not a canonical Ed25519 key of full order",
    )


def verify(public: bytes, signature: bytes, message: bytes) -> bool:
    """Return whether `signature` is valid, by the strict rules (rule 3.1-1).

    False for a key or a signature of another length, a key that is not canonical or
    of small order, and a scalar S that is not below the group order.
    """
    key = _strict_key(public)
    if key is None or not _is_strict_signature(signature):
        return False
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


@functools.lru_cache(maxsize=_KEYS)
def _strict_key(public: bytes) -> ed25519.Ed25519PublicKey | None:
    """Return a key that passes the strict checks, parsed; None for others.

    Remembered, since every member of a roster signs several times in a session.
    """
    if not _is_strict_key(public):
        return None
    try:
        return ed25519.Ed25519PublicKey.from_public_bytes(public)
    except ValueError:
        return None


def _is_strict_key(public: bytes) -> bool:
    if len(public) != PUBLIC_SIZE:
        return False
    # RFC 8032 5.1.3: y in the low 255 bits, the sign of x on top. x = 0 only for
    # y = 1 and -1, whose order is small: so no other test of the sign is needed.
    y = int.from_bytes(public, "little") & (_SIGN_BIT - 1)
    return y < _P and y not in _SMALL_ORDER_Y


def _is_strict_signature(signature: bytes) -> bool:
    if len(signature) != SIGNATURE_SIZE:
        return False
    return int.from_bytes(signature[32:], "little") < _ORDER
