"""Key agreement: X25519 with explicit checks of what a peer sent. Spec section 3.2.

The checks do not rely on the library, which is free to accept or refuse such keys.
"""

from __future__ import annotations

import functools
import hmac
from typing import Final

from cryptography.hazmat.primitives.asymmetric import x25519

from secagg import errors

KEY_SIZE: Final = 32

# As many as the largest session has members, 1 KB each.
_KEYS: Final = 4096

_P: Final = 2**255 - 19
_LOW_BITS: Final = 2**255 - 1

# The canonical u-coordinates whose point, on the curve or its twist, has an order that
# divides 8: those for which X25519 gives 0 with every secret.
_LOW_ORDER: Final = frozenset(
    {
        0,
        1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
        _P - 1,
    }
)


class KeyPair:
    """An X25519 key pair, kept with the raw secret that is shared out."""

    __slots__ = ("_agreed", "_key", "public", "secret")

    public: bytes
    """The public key, 32 bytes; compare this one, since the secret is clamped."""

    secret: bytes
    """The raw secret, 32 bytes, as it was given: not clamped."""

    def __init__(self, secret: bytes) -> None:
        """Derive the pair from 32 secret bytes.

        Raises:
            ParameterError: the secret has another length.
        """
        if len(secret) != KEY_SIZE:
            raise errors.ParameterError(
                f"an agreement secret has 32 bytes, not {len(secret)}"
            )
        self._key = x25519.X25519PrivateKey.from_private_bytes(secret)
        self._agreed: dict[bytes, bytes] = {}
        self.secret = secret
        self.public = self._key.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        """Show the public key alone."""
        return f"KeyPair(<redacted>, public={self.public.hex()})"

    def exchange(self, pk: bytes) -> bytes:
        """Return the raw X25519 output; `shared_secret` is the checked form.

        Two channels go over one agreement, so it is remembered, for as long as the pair
        lives and no longer.

        Raises:
            ValueError: the library refuses an output of zero, or the key.
        """
        if pk not in self._agreed:
            self._agreed[pk] = self._key.exchange(_parsed(pk))
        return self._agreed[pk]


@functools.lru_cache(maxsize=_KEYS)
def _parsed(pk: bytes) -> x25519.X25519PublicKey:
    """Return a public key for the library: every lost member agrees with the same."""
    return x25519.X25519PublicKey.from_public_bytes(pk)


def check_public_key(pk: bytes) -> None:
    """Refuse a public key that no honest client sends.

    Args:
        pk: a key as received, any length.

    Raises:
        RemoteProtocolError: not 32 bytes or its top bit set (rule 3.2-1), not below
            2^255 - 19 (rule 3.2-2), or of low order (rule 3.2-3).
    """
    errors.require(
        "3.2-1",
        len(pk) == KEY_SIZE and pk[-1] < 128,
        f"a public key of {len(pk)} bytes is not 32 bytes with the top bit 0",
    )
    value = int.from_bytes(pk, "little") & _LOW_BITS
    errors.require("3.2-2", value < _P, "a public key is not below 2^255 - 19")
    errors.require(
        "3.2-3", value not in _LOW_ORDER, "a public key is a point of low order"
    )


def shared_secret(sk: KeyPair, pk: bytes) -> bytes:
    """Return X25519(sk, pk), 32 bytes: to be hashed before use.

    Args:
        sk: our pair.
        pk: the peer's public key, already through `check_public_key`.

    Raises:
        ParameterError: `pk` has another length, so it was not checked.
        RemoteProtocolError: the output is all zero (rule 3.2-4).
    """
    if len(pk) != KEY_SIZE:
        raise errors.ParameterError(f"a public key has 32 bytes, not {len(pk)}")
    try:
        output = sk.exchange(pk)
    except ValueError:
        # OpenSSL's own refusal of zero.
        output = bytes(KEY_SIZE)
    errors.require(
        "3.2-4",
        not hmac.compare_digest(output, bytes(KEY_SIZE)),
        "an agreement gave the all-zero secret",
    )
    return output
