"""secagg.entropy: what a draw depends on, and what it does not show."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.entropy import SeededEntropy, SystemEntropy

LABELS = st.sampled_from(["b_u", "s_sk", "c_sk", "nonce/a"])


def drawn_by_label(order: list[str]) -> dict[str, list[bytes]]:
    """Draw once per entry of `order` and list what each label gave, in turn."""
    entropy = SeededEntropy(b"seed")
    drawn: dict[str, list[bytes]] = {}
    for label in order:
        drawn.setdefault(label, []).append(entropy.draw(label, 32))
    return drawn


def test_a_draw_is_shake_256_over_seed_count_and_label() -> None:
    entropy = SeededEntropy(b"seed")
    entropy.draw("b_u", 32)
    preimage = hashlib.sha256(b"seed").digest()
    preimage += bytes([1, 0, 0, 0, 0, 0, 0, 0]) + bytes([3, 0, 0, 0]) + b"b_u"
    assert entropy.draw("b_u", 40) == hashlib.shake_256(preimage).digest(40)


@given(st.lists(LABELS, max_size=12), st.randoms(use_true_random=False))
def test_draws_do_not_depend_on_the_order_between_labels(order, shuffler) -> None:
    shuffled = list(order)
    shuffler.shuffle(shuffled)
    assert drawn_by_label(shuffled) == drawn_by_label(order)


def test_draws_under_one_label_differ_from_each_other() -> None:
    drawn = drawn_by_label(["b_u"] * 100)["b_u"]
    assert len(set(drawn)) == 100


def test_draws_under_two_labels_differ() -> None:
    entropy = SeededEntropy(b"seed")
    assert entropy.draw("b_u", 32) != entropy.draw("s_sk", 32)


def test_draws_from_two_seeds_differ() -> None:
    one, other = SeededEntropy(b"seed"), SeededEntropy(b"seeds")
    assert one.draw("b_u", 32) != other.draw("b_u", 32)


@pytest.mark.parametrize("entropy", [SeededEntropy(b"seed"), SystemEntropy()])
@pytest.mark.parametrize("size", [0, 1, 32, 1000])
def test_a_draw_has_the_size_asked_for(entropy, size) -> None:
    assert len(entropy.draw("b_u", size)) == size


def test_system_entropy_never_repeats_a_draw() -> None:
    entropy = SystemEntropy()
    assert len({entropy.draw("b_u", 32) for _ in range(100)}) == 100


def test_seeded_entropy_shows_neither_its_seed_nor_the_hash_of_it() -> None:
    shown = repr(SeededEntropy(b"correct horse"))
    digest = hashlib.sha256(b"correct horse").digest()
    assert shown == "SeededEntropy(<redacted>)"
    assert digest.hex() not in shown
