"""Fingerprints of identity keys, for two people to compare by telephone.

The roster is trusted because people compared fingerprints once; nothing is trusted
because it was seen first (spec 2.1).
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final

GROUPS: Final = 6
"""Groups of four characters: 120 bits, out of reach of a search for a second key."""

_GROUP_SIZE: Final = 4


def fingerprint(key: bytes) -> str:
    """Return the start of SHA-256(key) in base32, such as ``7ZXB-...-K2QA``.

    Base32 (RFC 4648) has capital letters and 2..7 alone, so that nothing read aloud is
    mistaken for something else by its case or as zero and one.

    Args:
        key: a public key, 32 bytes.
    """
    digest = hashlib.sha256(key).digest()
    text = base64.b32encode(digest).decode("ascii")
    starts = range(0, GROUPS * _GROUP_SIZE, _GROUP_SIZE)
    return "-".join(text[start : start + _GROUP_SIZE] for start in starts)
