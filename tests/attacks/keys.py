"""Attacks 37 and 42 on keys and channels."""

from __future__ import annotations

import contextlib
from unittest import mock

from secagg.crypto import agree, sign
from secagg.names import SessionId
from tests.attacks.attack import Attack, accepted, without
from tests.samples import blob

SID = SessionId(blob(1))


def a_point_of_low_order() -> bool:
    return accepted(agree.check_public_key, (1).to_bytes(32, "little"))


def a_value_that_is_not_reduced() -> bool:
    return accepted(agree.check_public_key, (2**255 - 18).to_bytes(32, "little"))


def a_signature_under_the_neutral_key() -> bool:
    neutral = (1).to_bytes(32, "little")
    forged = neutral + bytes(32)
    return sign.verify(neutral, forged, b"anything")


@contextlib.contextmanager
def _any_key():
    sign._strict_key.cache_clear()
    with mock.patch.object(sign, "_is_strict_key", return_value=True):
        yield
    sign._strict_key.cache_clear()


ATTACKS = [
    Attack(37, a_point_of_low_order, without("3.2-3")),
    Attack(37, a_value_that_is_not_reduced, without("3.2-2")),
    Attack(42, a_signature_under_the_neutral_key, _any_key),
]
