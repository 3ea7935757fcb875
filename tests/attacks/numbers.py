"""Attacks on what is drawn, rounded, summed and released, by whoever reads numbers."""

from __future__ import annotations

import dataclasses
import hmac
import itertools
import math
import operator
import struct
from typing import Any
from unittest import mock

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from secagg import contribution, engine, extras, masked_chunks, packing, pipeline
from secagg.crypto import keystream, prg, transcript
from secagg.crypto.prg import Tag
from secagg.engine import MaskSeed, NumpyThreads
from secagg.entropy import SeededEntropy
from secagg.field import prime
from secagg.masking import own_masks, split
from secagg.names import PeerId, SessionId, VectorSum
from secagg.privacy.discrete_gaussian import DiscreteGaussian
from secagg.privacy.ledger import Budget, BudgetLedger, MemoryLedgerStore
from secagg.quantize import QuantizedUpdate
from tests.attacks.attack import Attack
from tests.samples import NOISE, blob, parameters

BUDGET = Budget(epsilon=math.inf, delta=NOISE.delta)
WEIGHT = 37
COUNT = 1 << 14
LONE = np.arange(1, 11)
"""The sum over all of coordinates that one member alone touches: its numbers."""


def released(vector, sid: int = 1, seed: int = 2) -> Any:
    """The integers that a session with noise releases for a sum over four."""
    params = parameters(dp=NOISE, length=len(vector))
    total = VectorSum(np.asarray(vector, dtype=np.int64))
    return pipeline.release(
        pipeline.opened_sum(total, params, u3_count=4),
        params,
        task_id="t-1",
        sid=SessionId(blob(sid)),
        seed=blob(seed),
        ledger=BudgetLedger(MemoryLedgerStore(), {"t-1": BUDGET}),
    ).vector


# --- 15, 34, 35: the released sum ---------------------------------------------


def coordinates_of_one_member_read() -> bool:
    return np.array_equal(released(LONE), LONE)


def _no_noise():
    def none(self, length, sigma_squared, key):
        yield np.zeros(length, dtype=np.int64)

    return mock.patch.object(DiscreteGaussian, "noise", none)


def low_bits_that_tell_two_sums_apart() -> bool:
    """A float near 0 has bits that one near 2^17 has no room for."""

    def has_fine_bits(number: int) -> bool:
        value = released([number, 0, 0])[0]
        return bool(np.ldexp(float(value), 37) % 1)

    return has_fine_bits(0) and not has_fine_bits(131_068)


def _noise_in_floats():
    def noised(opened, noise):
        drawn = np.random.default_rng(1).normal(0.0, 1000.0, len(opened.vector))
        return dataclasses.replace(opened, vector=opened.vector + drawn)

    return mock.patch.object(pipeline, "_noised", noised)


def noise_averaged_over_restarts() -> bool:
    """What an aggregator that is restarted gives for one session, again and again."""
    return not np.array_equal(released(LONE), released(LONE))


def _noise_drawn_anew():
    real, turns = transcript.noise_key, itertools.count()

    def fresh(sid, seed):
        return real(sid, next(turns).to_bytes(32, "little"))

    return mock.patch.object(transcript, "noise_key", fresh)


def noise_subtracted_between_sessions() -> bool:
    """A seed that came twice: do the differences of two sums stand bare?"""
    difference = released(2 * LONE, sid=2) - released(LONE, sid=1)
    return np.array_equal(difference, LONE)


def _noise_of_the_seed_alone():
    real = transcript.noise_key
    return mock.patch.object(
        transcript, "noise_key", lambda sid, seed: real(SessionId(bytes(32)), seed)
    )


# --- 16: weights ----------------------------------------------------------------


def weighted():
    return parameters(weighting="weighted", max_weight=50)


def a_weight_read_from_an_upload() -> bool:
    params, sid = weighted(), SessionId(blob(1))
    x_u = contribution.contribution(
        np.zeros(params.scale.length),
        weight=WEIGHT,
        values={},
        params=params,
        sid=sid,
        entropy=SeededEntropy(b"a weight"),
    )
    seeds, signs = split(own_masks(sid, PeerId("u0000"), blob(3), {}))
    chunk = masked_chunks.masked_chunk(
        x_u,
        seeds,
        signs,
        index=0,
        engine=engine.engine("numpy-threads", params.width),
    )
    y_u = packing.unpack(chunk, params.total_length, params.width)
    tail = VectorSum(y_u[params.coordinates :].astype(np.int64))
    return extras.decode(tail, params, 1)["weight"] == WEIGHT


def _masks_on_the_update_alone():
    real, coordinates = NumpyThreads.accumulate, weighted().coordinates

    def head(self, acc, seeds, signs, start, stop):
        real(self, acc[: coordinates - start], seeds, signs, start, coordinates)

    return mock.patch.object(NumpyThreads, "accumulate", head)


# --- 28, 30: the keystream ------------------------------------------------------


def a_stream_that_comes_again() -> bool:
    """After 2^32 words the block counter is where it began."""
    first, later = (
        keystream.words(blob(1), Tag.PAIR, start, start + 64)
        for start in (0, keystream.SEGMENT)
    )
    return np.array_equal(first, later)


def _one_segment():
    def opened(self):
        block = self._next % keystream.SEGMENT // 16
        nonce = struct.pack("<4I", block, 0, self._lane, self._tag)
        return Cipher(algorithms.ChaCha20(self._key, nonce), mode=None).encryptor()

    return mock.patch.object(keystream.Keystream, "_open", opened)


def a_window_that_is_no_slice_of_the_whole() -> bool:
    """Then masks made in parts, or on another machine, do not cancel."""
    whole = prg.elements(blob(1), Tag.PAIR, 16, 0, COUNT)
    part = prg.elements(blob(1), Tag.PAIR, 16, COUNT // 2, COUNT)
    return not np.array_equal(part, whole[COUNT // 2 :])


def _reading_on_after_a_rejection():
    def elements(key, tag, width, start, stop):
        words = prg.words(key, tag, start, stop + 1000) & ((1 << width) - 1)
        return words[words < prime(width)][: stop - start]

    return mock.patch.object(prg, "elements", elements)


# --- 33: rounding ---------------------------------------------------------------


def rounded(value: float, sid: int = 1) -> Any:
    """COUNT coordinates of `value` units, as one session rounds them."""
    params = parameters(length=COUNT, clip=1.0)
    key = transcript.rounding_key(SessionId(blob(sid)), blob(9))
    update = np.full(COUNT, value / params.scale.s)
    whole = QuantizedUpdate(update, params.scale, rounding_key=key)
    return whole.chunk(0, COUNT, params.p).astype(np.int64)


def a_fraction_lost_by_rounding() -> bool:
    """COUNT coins of 1/4 are off by a twentieth once in 2^150."""
    return abs(float(rounded(0.25).mean()) - 0.25) > 0.05


def _always_down():
    return mock.patch.object(prg.Keystream, "fill", lambda self, out: out.fill(0))


def rounding_that_is_the_same_in_two_sessions() -> bool:
    """Then it cancels in the difference of two sums, and averages out of none."""
    return np.array_equal(rounded(0.25, sid=1), rounded(0.25, sid=2))


def _rounding_key_without_the_session():
    real = transcript.rounding_key
    return mock.patch.object(
        transcript, "rounding_key", lambda sid, seed: real(SessionId(bytes(32)), seed)
    )


# --- 40: time -------------------------------------------------------------------


class Timed(bytes):
    """A secret that notices a comparison that ends at the first byte that differs."""

    leaked = False
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        Timed.leaked = True
        return bytes.__eq__(self, other)


def a_seed_compared_byte_by_byte() -> bool:
    """Time itself is not measured: it is looked at which comparison is used."""
    Timed.leaked = False
    one, other = (MaskSeed(key=Timed(blob(i)), tag=Tag.SELF) for i in (1, 2))
    assert one != other
    return Timed.leaked


def _compared_as_usual():
    return mock.patch.object(hmac, "compare_digest", operator.eq)


ATTACKS = [
    Attack(15, coordinates_of_one_member_read, _no_noise),
    Attack(16, a_weight_read_from_an_upload, _masks_on_the_update_alone),
    Attack(28, a_stream_that_comes_again, _one_segment),
    Attack(30, a_window_that_is_no_slice_of_the_whole, _reading_on_after_a_rejection),
    Attack(33, a_fraction_lost_by_rounding, _always_down),
    Attack(
        33,
        rounding_that_is_the_same_in_two_sessions,
        _rounding_key_without_the_session,
    ),
    Attack(34, low_bits_that_tell_two_sums_apart, _noise_in_floats),
    Attack(35, noise_averaged_over_restarts, _noise_drawn_anew),
    Attack(35, noise_subtracted_between_sessions, _noise_of_the_seed_alone),
    Attack(40, a_seed_compared_byte_by_byte, _compared_as_usual),
]
