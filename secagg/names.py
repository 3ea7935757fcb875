"""Names shared by every layer: peers, sessions, rounds and the vectors of the flow.

Imports nothing of ours. The vector types are distinct on purpose: a step that is
skipped (an unmasked vector handed to the wire) does not type-check.
"""

from __future__ import annotations

import enum
import re
from typing import Any, Final, NewType, TypeAlias

import numpy as np
from numpy.typing import NDArray

VERSION = "0.1.0"
"""Of this package; two sides tell it each other in Hello (spec 8)."""

PeerId = NewType("PeerId", str)
"""A roster id, ``[a-z0-9-]{1,64}`` (spec 2.1-1)."""

PEER_ID: Final = re.compile(r"[a-z0-9-]{1,64}")
"""What an id matches, in full."""

SessionId = NewType("SessionId", bytes)
"""32 bytes: the hash of the Manifest (spec 3.4-1)."""

RangeRuns: TypeAlias = tuple[tuple[int, float], ...]
"""(count, r): so many coordinates one after the other have the range r (spec 2.2)."""

InputVector = NewType("InputVector", NDArray[np.uint32])
"""x_u mod p, elements in [0, p); never leaves the hospital."""

MaskedVector = NewType("MaskedVector", NDArray[np.uint32])
"""y_u, elements in [0, p); the only vector that goes on the wire."""

VectorSum = NewType("VectorSum", NDArray[np.signedinteger[Any]])
"""The opened integer sum of x_u over U3, centred; int64, or int32 where all fit."""

Mean = NewType("Mean", NDArray[np.float64])
"""The released mean over U3, shape (m,)."""


class Round(enum.StrEnum):
    """The rounds of a session, in order (spec 4)."""

    MANIFEST = "manifest"
    ADVERTISE_KEYS = "advertise_keys"
    COIN = "coin"
    SHARE_KEYS = "share_keys"
    SHARE_ACK = "share_ack"
    MASKED_INPUT = "masked_input"
    CONSISTENCY = "consistency"
    UNMASKING = "unmasking"
    RESULT = "result"
