"""Attacks on what has to be drawn, told or spent but once."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import traceback
from typing import Any, NoReturn
from unittest import mock

import numpy as np

from protocol_spec.model.field import Q
from protocol_spec.model.shamir import scalar_bytes
from secagg import codec, errors
from secagg import messages as msg
from secagg.client import Client
from secagg.crypto import agree, keystream, prg, transcript
from secagg.crypto.prg import Tag
from secagg.field import prime
from secagg.policy import Policy
from secagg.privacy import own_budget
from secagg.rounds.advertise_keys import SessionKeys
from secagg.rounds.share_keys import Party
from tests.attacks import prizes
from tests.attacks.attack import Attack, accepted, again, drawn, without
from tests.attacks.stories import ME, tell
from tests.helpers import Scene, scene, silo
from tests.samples import NOISE, blob

BELOW = (1 << 16) - prime(16)
COUNT = 1 << 18


def many_releases_of_one_task() -> bool:
    """A further release, beyond what the hospital's own budget has."""
    noise = dataclasses.replace(NOISE, noise_multiplier=4.0)
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


def secrets_in_a_crash_report() -> bool:
    """A traceback with the values in its frames, as services that collect them have it.

    The aggregator reads it, knows the secrets by what was published of them, and takes
    the masks off the vector.
    """
    world = scene().started().until("consistency")
    keys = world.server._state.adverts[ME].keys
    found: prizes.Secrets = {}
    for digits in re.findall(r"\d{60,}", _crash_report(world)):
        secret = scalar_bytes(int(digits) % Q)
        committed = transcript.b_commitment(world.server.sid, ME, secret)
        if committed == keys.b_commitment:
            found["b"] = secret
        if agree.KeyPair(secret).public == keys.s_pk:
            found["s"] = secret
    return len(found) == 2 and prizes.is_bare(world, ME, found)


def _crash_report(world: Scene) -> str:
    """Of a client that does not get over a list that is wrong."""

    def crash(self, error: errors.RemoteProtocolError) -> NoReturn:
        raise error

    nobody = msg.InputList(entries=())
    with mock.patch.object(Client, "_refuse", crash):
        try:
            tell(world, nobody, h=world.server._state.h2)
        except errors.RemoteProtocolError as error:
            crashed = traceback.TracebackException.from_exception(
                error, capture_locals=True
            )
            return "".join(crashed.format())
    raise AssertionError("the list was not refused")


def _no_coefficients():
    return drawn("poly_b", lambda self, size: bytes(size))


@contextlib.contextmanager
def _shown():
    def fields(self: Any) -> str:
        return ", ".join(
            repr(getattr(self, one.name)) for one in dataclasses.fields(self)
        )

    with (
        mock.patch.object(SessionKeys, "__repr__", fields),
        mock.patch.object(Party, "__repr__", fields),
    ):
        yield


ATTACKS = [
    Attack(12, many_releases_of_one_task, without("4.1-5")),
    Attack(29, small_elements_twice_as_often, _reduced_and_not_rejected),
    Attack(36, a_share_that_is_the_secret, _no_coefficients),
    Attack(38, one_nonce_for_all_shares, lambda: again("nonce")),
    Attack(41, secrets_in_a_crash_report, _shown),
]
