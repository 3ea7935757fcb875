"""Fingerprints of identity keys, for two people to compare by telephone.

The roster is trusted because people compared fingerprints once; nothing is trusted
because it was seen first (spec 2.1).
"""

from __future__ import annotations

import hashlib
from typing import Final

GROUPS: Final = 6
"""Groups of five digits: 99 bits, out of reach of a search for a second key."""

_GROUP_SIZE: Final = 5


def fingerprint(key: bytes) -> str:
    """Return 30 decimal digits of SHA-256(key), such as ``04731-...-88210``.

    Digits are read aloud in any language and mistaken in none, as letters are by their
    sound. The hash as an integer, most significant byte first, is taken mod 10^30: no
    digits are more likely than others by more than 2^-150.

    Args:
        key: a public key, 32 bytes.
    """
    value = int.from_bytes(hashlib.sha256(key).digest(), "big")
    size = GROUPS * _GROUP_SIZE
    text = f"{value % 10**size:0{size}}"
    return "-".join(text[at : at + _GROUP_SIZE] for at in range(0, size, _GROUP_SIZE))
