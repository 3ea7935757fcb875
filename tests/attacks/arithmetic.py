"""Attacks 31 and 32 on the field."""

from __future__ import annotations

import numpy as np

from secagg import packing
from secagg.field import prime
from secagg.names import SessionId
from secagg.params import Parameters
from tests.attacks.attack import Attack, accepted, without
from tests.samples import blob, sound_manifest

SID = SessionId(blob(1))


def a_sum_past_the_field() -> bool:
    """Limits at which honest inputs add up to more than p / 2."""
    return accepted(Parameters.of, sound_manifest(1024, 1, bits=24))


def an_element_that_is_none() -> bool:
    p = prime(16)
    packed = np.array([p], dtype="<u2").tobytes()
    return accepted(packing.unpack, packed, 1, 16)


ATTACKS = [
    Attack(31, a_sum_past_the_field, without("2.2-5")),
    Attack(32, an_element_that_is_none, without("7.1-5")),
]
