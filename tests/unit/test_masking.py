"""secagg.masking: masks whose signs cancel in every sum (4.5)."""

import itertools

import numpy as np
import pytest

from secagg import masking
from secagg.crypto import agree, transcript
from secagg.crypto.agree import KeyPair
from secagg.crypto.prg import Tag
from secagg.events import LostMember
from secagg.names import PeerId, SessionId
from tests.helpers import ReferenceEngine
from tests.samples import blob

SID = SessionId(blob(9))
PEERS = [PeerId(u) for u in ("a", "aa", "b", "b-1", "c")]
WIDTH, P = 17, 2**17 - 1
B = {u: blob(i + 1) for i, u in enumerate(PEERS)}
S = {u: KeyPair(blob(20 + i)) for i, u in enumerate(PEERS)}


def agreed(u, v):
    secret = agree.shared_secret(S[u], S[v].public)
    return transcript.pair_seed(SID, secret, u, v, S[u].public, S[v].public)


PAIR = {frozenset((u, v)): agreed(u, v) for u, v in itertools.combinations(PEERS, 2)}


def lost(v, u3):
    partners = tuple((u, S[u].public) for u in u3)
    return LostMember(sid=SID, peer=v, s_sk=S[v].secret, partners=partners)


def seeds_of(u, u2):
    return {v: PAIR[frozenset((u, v))] for v in u2 if v != u}


def expanded(masks, m=6):
    acc = np.zeros(m, dtype=np.uint32)
    seeds = [mask.seed for mask in masks]
    ReferenceEngine(WIDTH).accumulate(acc, seeds, [x.sign for x in masks], 0, m)
    return acc.astype(np.int64)


@pytest.mark.parametrize(("u", "v"), [*itertools.permutations(PEERS, 2)])
def test_the_signs_of_a_pair_are_opposite_and_plus_is_with_the_lesser(u, v) -> None:
    assert masking.pair_sign(u, v) == -masking.pair_sign(v, u)
    assert (masking.pair_sign(u, v) == 1) == (u.encode() < v.encode())


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_pair_masks_cancel_in_the_sum_over_all(size) -> None:
    for u2 in itertools.combinations(PEERS, size):
        pairs = [masking.own_masks(SID, u, B[u], seeds_of(u, u2))[1:] for u in u2]
        assert not (sum(expanded(masks) for masks in pairs) % P).any()


@pytest.mark.parametrize("size", [3, 4, 5])
def test_the_removed_masks_are_those_left_in_the_sum_over_any_u3(size) -> None:
    u2 = PEERS
    for u3 in itertools.combinations(u2, size):
        left = sum(
            expanded(masking.own_masks(SID, u, B[u], seeds_of(u, u2))) for u in u3
        )
        gone = [v for v in u2 if v not in u3]
        removed = [
            *masking.removed_self_masks(SID, {u: B[u] for u in u3}),
            *(mask for v in gone for mask in masking.removed_pair_masks(lost(v, u3))),
        ]
        assert len(removed) == len(u3) + len(u3) * len(gone)
        assert not ((left + expanded(removed)) % P).any()


def test_any_smaller_sum_keeps_a_mask() -> None:
    masks = {u: masking.own_masks(SID, u, B[u], seeds_of(u, PEERS)) for u in PEERS}
    removed = expanded(masking.removed_self_masks(SID, B))
    for size in range(1, len(PEERS)):
        for part in itertools.combinations(PEERS, size):
            assert ((sum(expanded(masks[u]) for u in part) + removed) % P).all()


def test_self_and_pair_masks_have_their_own_keys_and_domains() -> None:
    own, pair = masking.self_mask(SID, blob(1), 1), masking.pair_mask(SID, blob(1), 1)
    assert (own.seed.tag, pair.seed.tag) == (Tag.SELF, Tag.PAIR)
    assert own.seed.key == transcript.self_mask_key(SID, blob(1))
    assert pair.seed.key == transcript.pair_mask_key(SID, blob(1))
    assert own.seed.key != pair.seed.key


def test_a_mask_is_bound_to_its_session() -> None:
    other = SessionId(blob(8))
    here, there = (masking.self_mask(sid, blob(1), 1) for sid in (SID, other))
    assert here.seed.key != there.seed.key


def test_a_mask_does_not_show_its_key() -> None:
    mask = masking.self_mask(SID, blob(1), 1)
    assert mask.seed.key.hex() not in repr(mask)
    assert repr(mask.seed.key) not in repr(mask)


def test_seeds_and_signs_are_parted_in_order() -> None:
    masks = masking.own_masks(SID, PEERS[1], blob(1), seeds_of(PEERS[1], PEERS))
    seeds, signs = masking.split(masks)
    assert seeds == tuple(mask.seed for mask in masks)
    assert signs == (1, -1, 1, 1, 1)
    assert masking.split([]) == ((), ())
