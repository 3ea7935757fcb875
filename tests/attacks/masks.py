"""Attacks 9, 10, 26, 27 and 51: on the masks of a member, one after the other.

The aggregator holds a vector back: it says that its member dropped, gets the key of the
pair masks by the rules, and has the vector nevertheless. What is left is the self mask.
"""

from __future__ import annotations

from unittest import mock

import numpy as np

from secagg.crypto import kdf, transcript
from secagg.crypto.prg import Tag
from secagg.engine import MaskSeed
from secagg.masking import own_masks
from secagg.names import PeerId
from secagg.rounds import masked_input
from tests.attacks import prizes
from tests.attacks.attack import Attack, again, without
from tests.helpers import Scene, scene, silo, silos
from tests.machine.split import SplitView

VICTIM, HONEST, CORRUPT = silo(1), silos(1, 2, 3), silo(4)


def rooted(**terms) -> Scene:
    """A session in which all vectors came and nobody was told of a U3."""
    return scene(**terms).started().until("consistency")


def opened_over(world: Scene, u3: tuple[PeerId, ...]) -> dict[PeerId, prizes.Secrets]:
    """Tell all that these are U3, and return what their shares rebuild of each."""
    attack = SplitView(world, VICTIM, ())
    view = attack.view(u3, HONEST)
    attack.vote(view)
    attack.certify(view, view.votes)
    everyone = world.server.params.members
    return {u: prizes.secrets_of(world, u, {CORRUPT}) for u in everyone}


def held_back(world: Scene) -> prizes.Secrets:
    """What the shares rebuild of a member whose vector is held back."""
    return opened_over(world, silos(2, 3, 4))[VICTIM]


# --- 9: a vector under pair masks that are open


def a_vector_held_back() -> bool:
    world = rooted()
    return prizes.is_bare(world, VICTIM, held_back(world))


def _pairs_alone():
    real = own_masks

    def bare(*args, **kwargs):
        return tuple(m for m in real(*args, **kwargs) if m.seed.tag != Tag.SELF)

    return mock.patch.object(masked_input, "own_masks", bare)


# --- 10: a sum of two


def a_sum_with_a_colluder() -> bool:
    """U3 is the victim and a member that knows its own input."""
    world = rooted()
    u3 = (VICTIM, CORRUPT)
    secrets = opened_over(world, u3)
    if not all(secrets.values()):
        return False
    total = prizes.sum_over(world, u3, secrets).astype(np.int64)
    found = (total - prizes.input_of(world, CORRUPT)) % world.server.params.p
    return np.array_equal(found, prizes.input_of(world, VICTIM))


# --- 26: a key that is found by trying


def a_key_found_by_trying() -> bool:
    """A self mask of 256 is the right one if all numbers below it are small."""
    world = rooted(m=40)
    known = held_back(world)
    params = world.server.params
    for first in range(256):
        masked = prizes.without_masks(world, VICTIM, known)
        stream = MaskSeed(bytes([first]) + bytes(31), Tag.SELF)
        world.engine.accumulate(masked, [stream], [-1], 0, len(masked))
        size = np.minimum(masked, params.p - masked)
        if size.max() <= params.scale.x_max:
            return np.array_equal(masked, prizes.input_of(world, VICTIM))
    return False


def _keys_of_one_byte():
    return mock.patch.object(
        transcript, "hkdf", lambda *a: kdf.hkdf(*a)[:1] + bytes(31)
    )


# --- 27, 51: masks that come again


def one_mask_in_two_sessions() -> bool:
    """A generator that repeats: do two vectors differ by the two inputs?"""
    with again("b_u"), again("s_sk"):
        first, second = two_rounds()
    p = first.server.params.p
    sent, truth = (
        [of(world, VICTIM).astype(np.int64) for world in (first, second)]
        for of in (prizes.sent_by, prizes.input_of)
    )
    return np.array_equal((sent[1] - sent[0]) % p, (truth[1] - truth[0]) % p)


def keys_of_a_session_before() -> bool:
    """The seed that one round opened, and the pair masks that the next one does."""
    first, second = two_rounds()
    before, now = prizes.secrets_of(first, VICTIM), held_back(second)
    return prizes.is_bare(second, VICTIM, {**before, **now})


def two_rounds() -> tuple[Scene, Scene]:
    """A round that went well, and the next one, to the roots, with other updates."""
    first = scene()
    first.run()
    link = first.clients[VICTIM].end.link  # type: ignore[union-attr]
    for u in first.updates:
        first.updates[u] = first.updates[u] / 2
    second = first.next_session(round_no=2, link=link)
    return first, second.started().until("consistency")


def _no_salt():
    return mock.patch.object(
        transcript, "hkdf", lambda ikm, salt, info: kdf.hkdf(ikm, bytes(32), info)
    )


ATTACKS = [
    Attack(9, a_vector_held_back, _pairs_alone),
    Attack(10, a_sum_with_a_colluder, without("4.5-5", "4.5-7")),
    Attack(26, a_key_found_by_trying, _keys_of_one_byte),
    Attack(27, one_mask_in_two_sessions, _no_salt),
    Attack(51, keys_of_a_session_before, lambda: again("b_u")),
]
