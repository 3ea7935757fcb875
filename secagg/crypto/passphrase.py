"""A passphrase over a key at rest: scrypt (RFC 7914), then encrypted PKCS#8.

PKCS#8 as `cryptography` writes it derives its key by 2,048 rounds of PBKDF2, which a
graphics card tries by the million. So its password is what scrypt makes of the
passphrase, at the cost that OWASP names: 128 MiB and a third of a second for each try.
"""

from __future__ import annotations

import hmac
import unicodedata
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from secagg import errors

SALT_SIZE: Final = 16
SMALLEST: Final = 12
"""Characters of a new passphrase: it is tried on a stolen file, at leisure."""

_N: Final = 1 << 17
_R: Final = 8
_P: Final = 1


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Passphrase:
    """What a person remembers; never shown.

    Attributes:
        text: as it was typed.
    """

    text: str

    def __repr__(self) -> str:
        """Show nothing of it."""
        return "Passphrase(<redacted>)"

    def __eq__(self, other: object) -> bool:
        """Compare in constant time."""
        if not isinstance(other, Passphrase):
            return NotImplemented
        return hmac.compare_digest(self._bytes(), other._bytes())

    def __hash__(self) -> int:
        """Refuse: it belongs in no set."""
        raise TypeError("a passphrase is not hashed")

    def require_new(self) -> None:
        """Refuse one that is too short to be chosen.

        Raises:
            ParameterError: it has fewer than `SMALLEST` characters.
        """
        if len(self.text) < SMALLEST:
            raise errors.ParameterError(
                f"the passphrase has {len(self.text)} characters: choose {SMALLEST} or"
                " more, such as five words drawn by dice"
            )

    def stretched(self, salt: bytes) -> bytes:
        """Return the password for PKCS#8: scrypt's 32 bytes, as hexadecimal digits."""
        kdf = Scrypt(salt=salt, length=32, n=_N, r=_R, p=_P)
        return kdf.derive(self._bytes()).hex().encode("ascii")

    def _bytes(self) -> bytes:
        # An e with an accent is one character on one keyboard, and two on another.
        # What the environment has that is not UTF-8 stays the bytes it is.
        text = unicodedata.normalize("NFC", self.text)
        return text.encode("utf-8", "surrogateescape")


def seal(seed: bytes, passphrase: Passphrase, salt: bytes) -> str:
    """Encrypt the seed of an Ed25519 key.

    Args:
        seed: 32 bytes.
        passphrase: long enough.
        salt: fresh, `SALT_SIZE` bytes.

    Returns:
        An encrypted PKCS#8 key, PEM.

    Raises:
        ParameterError: the passphrase is too short.
    """
    passphrase.require_new()
    encryption = BestAvailableEncryption(passphrase.stretched(salt))
    key = Ed25519PrivateKey.from_private_bytes(seed)
    sealed = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    return sealed.decode("ascii")


def unseal(sealed: str, passphrase: Passphrase, salt: bytes) -> bytes:
    """Return the seed that `seal` encrypted, 32 bytes.

    Raises:
        ParameterError: another passphrase, or no such key.
    """
    password = passphrase.stretched(salt)
    try:
        key = load_pem_private_key(sealed.encode("ascii"), password)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise errors.ParameterError(
            "the passphrase does not open it, or it is damaged"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise errors.ParameterError("it holds a key of another kind")
    return key.private_bytes_raw()
