"""Attacks on what has to be drawn, told or spent but once."""

from __future__ import annotations

from typing import Any
from unittest import mock

import numpy as np

from secagg import codec
from secagg import messages as msg
from secagg.crypto import keystream, prg
from secagg.crypto.prg import Tag
from secagg.field import prime
from secagg.policy import Policy
from secagg.privacy import own_budget
from secagg.rounds.advertise_keys import SessionKeys
from tests.attacks.attack import Attack, accepted, again, drawn, without
from tests.attacks.stories import ME
from tests.helpers import Scene, scene, silo
from tests.samples import blob

BELOW = (1 << 16) - prime(16)
COUNT = 1 << 18


def many_releases_of_one_task() -> bool:
    """A further release, beyond what the hospital's own budget has."""
    noise = msg.NoiseTerms(
        mechanism="discrete-gaussian",
        noise_multiplier=4.0,
        adjacency="zero-out",
        delta=1e-5,
    )
    policy = Policy(max_epsilon=0.5, delta=1e-6)
    return accepted(own_budget.check_budget, noise, [noise] * 5, policy)


def small_elements_twice_as_often() -> bool:
    """Words above p, taken mod p, make the first few elements more likely."""
    stream = prg.elements(blob(1), Tag.PAIR, 16, 0, COUNT)
    return int(np.count_nonzero(stream < BELOW)) > 1.5 * COUNT * BELOW / (1 << 16)


def _reduced_and_not_rejected():
    real = keystream.scattered_words

    def same_lane(keys, tags, positions, lane):
        return real(keys, tags, positions, 0)

    return mock.patch.object(prg, "scattered_words", same_lane)


def _dealt() -> Scene:
    return scene().started().until("masked_input")


def a_share_that_is_the_secret() -> bool:
    """Polynomials without coefficients."""
    world = _dealt()
    session: Any = world.clients[ME]._session
    [secret, *_] = world.clients[silo(1)].drawn["b_u"]
    return bool(session.held.b[silo(1)] == secret)


def one_nonce_for_all_shares() -> bool:
    sent = next(e for e in _dealt().clients[ME].sent if e.type == "ShareKeys")
    message = codec.decode_body("ShareKeys", sent.body, members=4)
    assert isinstance(message, msg.ShareKeys)
    nonces = [entry.sealed[:12] for entry in message.entries if entry.sealed]
    return len(set(nonces)) < len(nonces)


def a_secret_in_a_trace() -> bool:
    """What a log, or a traceback with its values, would show of a session."""
    session: Any = _dealt().clients[ME]._session
    return str(session.keys.b_u) in repr(session.keys)


def _no_coefficients():
    return drawn("poly_b", lambda self, size: bytes(size))


def _shown():
    return mock.patch.object(SessionKeys, "__repr__", lambda self: f"{self.b_u}")


ATTACKS = [
    Attack(12, many_releases_of_one_task, without("4.1-5")),
    Attack(29, small_elements_twice_as_often, _reduced_and_not_rejected),
    Attack(36, a_share_that_is_the_secret, _no_coefficients),
    Attack(38, one_nonce_for_all_shares, lambda: again("nonce")),
    Attack(41, a_secret_in_a_trace, _shown),
]
