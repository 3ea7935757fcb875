"""Attacks 26 to 36 on masks, field, rounding and noise."""

from __future__ import annotations

from unittest import mock

import numpy as np

from secagg import packing
from secagg.crypto import kdf, transcript
from secagg.field import prime
from secagg.masking import own_masks
from secagg.names import PeerId, SessionId
from secagg.params import Parameters
from tests.attacks.attack import Attack, accepted, without
from tests.samples import blob, sound_manifest

SID = SessionId(blob(1))


def a_key_found_by_trying() -> bool:
    """All keys that differ in their first byte alone."""
    key = transcript.self_mask_key(SID, blob(9))
    return any(key == bytes([first]) + bytes(31) for first in range(256))


def _keys_of_one_byte():
    return mock.patch.object(
        transcript, "hkdf", lambda *a: kdf.hkdf(*a)[:1] + bytes(31)
    )


def one_mask_in_two_sessions() -> bool:
    masks = [own_masks(SessionId(blob(i)), PeerId("a"), blob(9), {}) for i in (1, 2)]
    return masks[0] == masks[1]


def _no_salt():
    return mock.patch.object(
        transcript, "hkdf", lambda ikm, salt, info: kdf.hkdf(ikm, bytes(32), info)
    )


def a_sum_past_the_field() -> bool:
    """Limits at which honest inputs add up to more than p / 2."""
    return accepted(Parameters.of, sound_manifest(1024, 1, bits=24))


def an_element_that_is_none() -> bool:
    p = prime(16)
    packed = np.array([p], dtype="<u2").tobytes()
    return accepted(packing.unpack, packed, 1, 16)


ATTACKS = [
    Attack(26, a_key_found_by_trying, _keys_of_one_byte),
    Attack(27, one_mask_in_two_sessions, _no_salt),
    Attack(31, a_sum_past_the_field, without("2.2-5")),
    Attack(32, an_element_that_is_none, without("7.1-5")),
]
