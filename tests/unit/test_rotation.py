"""secagg.rotation: the map of spec 5.1, against its matrix and on its own."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import kernels
from secagg import rotation as module
from secagg.kernels import plain
from secagg.rotation import GROUP_BLOCKS, LARGEST_BLOCK, Rotation

SEED = bytes(range(32))


@pytest.fixture(params=["numpy", "numba"], autouse=True)
def loops(request, monkeypatch):
    """Both forms of the butterflies: they have the same bits."""
    if request.param == "numpy":
        monkeypatch.setattr(kernels, "loops", lambda: plain)
    elif kernels.compiled_loops() is None:
        pytest.skip("the extra fast is not installed")


SIZES = [*range(1, 20), 63, 64, 65, 255, 256, 257]


def matrix(length):
    """What the map does to each unit vector, divided: the m' x m matrix."""
    rotation = Rotation(SEED, length)
    columns = [
        rotation.forward(unit, 1.0, 0, rotation.blocks) for unit in np.eye(length)
    ]
    return np.array(columns).T / rotation.root


@pytest.mark.parametrize(
    ("length", "block", "blocks"),
    [
        *((1, 1, 1), (2, 4, 1), (4, 4, 1), (5, 16, 1), (16, 16, 1), (17, 64, 1)),
        *((1024, 1024, 1), (1025, 4096, 1), (4096, 4096, 1), (4097, 4096, 2)),
        *((10**6, 4096, 245), (1 << 40, 4096, 1 << 28)),
    ],
)
def test_blocks_are_powers_of_4_that_hold_the_update(length, block, blocks):
    rotation = Rotation(SEED, length)
    assert (rotation.block, rotation.blocks) == (block, blocks)
    assert rotation.coordinates == block * blocks
    assert rotation.root**2 == block


@pytest.mark.parametrize("length", SIZES)
def test_the_map_is_orthogonal(length):
    found = matrix(length)
    assert np.array_equal(found.T @ found, np.eye(length))


@pytest.mark.parametrize("length", SIZES)
def test_within_a_block_the_map_is_signs_and_the_hadamard_matrix(length):
    rotation = Rotation(SEED, length)
    places = np.arange(rotation.block)
    parity = np.bitwise_count(places[:, None] & places[None, :]) & 1
    bits = np.unpackbits(rotation.sign_bits(0, 1), bitorder="little")
    signs = 1.0 - 2.0 * bits[: rotation.block]
    expected = (1.0 - 2.0 * parity) * signs / rotation.root
    assert np.array_equal(matrix(length), expected[:, :length])


@given(
    length=st.integers(1, 3 * LARGEST_BLOCK),
    seed=st.binary(min_size=32, max_size=32),
)
def test_back_is_the_inverse_exactly_for_integers(length, seed):
    rotation = Rotation(seed, length)
    update = np.random.default_rng(length).integers(-(2**28), 2**28, length)
    there = rotation.forward(update.astype(float), 1.0, 0, rotation.blocks)
    back = rotation.backward(there.astype(np.int64), 0)
    assert np.array_equal(back, update * rotation.block)


def test_back_is_the_inverse_over_several_groups():
    length = GROUP_BLOCKS * LARGEST_BLOCK + 5000
    rotation = Rotation(SEED, length)
    update = np.arange(length) % 1009 - 504
    there = rotation.forward(update.astype(np.float32), 1.0, 0, rotation.blocks)
    found = np.empty(length)
    for group, low, high in rotation.groups(0, length):
        part = rotation.backward(there[low:high].astype(np.int64), group)
        found[low : low + len(part)] = part
    assert np.array_equal(found, update * rotation.block)


@given(data=st.data())
def test_a_window_of_blocks_is_the_slice_of_the_whole(data):
    length = 5 * LARGEST_BLOCK - 100
    rotation = Rotation(SEED, length)
    update = np.cos(np.arange(length))
    low = data.draw(st.integers(0, rotation.blocks))
    high = data.draw(st.integers(low, rotation.blocks))
    with pytest.MonkeyPatch.context() as patch:
        whole = rotation.forward(update, 0.3, 0, rotation.blocks)
        patch.setattr(module, "_BATCH", data.draw(st.integers(1, 6)))
        window = rotation.forward(update, 0.3, low, high)
    assert np.array_equal(window, whole[low * rotation.block : high * rotation.block])


@given(magnitude=st.floats(1e-300, 1e300), length=st.integers(1, 5000))
def test_the_norm_is_kept_within_the_hair(magnitude, length):
    rotation = Rotation(SEED, length)
    update = magnitude * np.sin(np.arange(1, length + 1.0))
    turned = rotation.forward(update, 1 / magnitude, 0, rotation.blocks)
    before = math.sqrt(math.fsum((update / magnitude) ** 2))
    after = math.sqrt(math.fsum(turned**2)) / rotation.root
    # 13 roundings of 2^-53, and a few of this comparison's own.
    assert after == pytest.approx(before, rel=2.0**-48)


@pytest.mark.parametrize("length", [1, 4, 60, 1000, 9000])
def test_both_forms_have_the_same_bits(length, monkeypatch):
    rotation = Rotation(SEED, length)
    update = np.sin(np.arange(length)) * np.exp(np.arange(length) % 37)
    there = rotation.forward(update, 0.1, 0, rotation.blocks)
    monkeypatch.setattr(kernels, "loops", lambda: plain)
    assert np.array_equal(rotation.forward(update, 0.1, 0, rotation.blocks), there)


def energies(update):
    rotation = Rotation(SEED, len(update))
    turned = rotation.forward(update, 1.0, 0, rotation.blocks)
    return (turned.reshape(rotation.blocks, -1) ** 2).sum(axis=1)


@pytest.mark.parametrize("width", [64, 32, 100, 128])
def test_a_large_column_of_a_layer_is_shared_by_all_blocks(width):
    # A layer whose rows are as wide as there are blocks, or a multiple, or a part of
    # that: without shifts the column would lie in one block, or in a few.
    update = np.zeros((64 * LARGEST_BLOCK // width, width))
    update[:, 3] = 1.0
    found = energies(update.reshape(-1)[: 64 * LARGEST_BLOCK])
    assert found.max() < 1.6 * found.mean()


def test_a_large_layer_of_a_model_is_shared_by_all_blocks():
    update = np.full(64 * LARGEST_BLOCK, 0.001)
    update[1000:9000] = 1.0
    found = energies(update)
    assert found.max() < 1.4 * found.mean()


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_narrow_type_gives_what_its_float64_gives(dtype):
    update = np.linspace(-1, 1, 5000).astype(dtype)
    rotation = Rotation(SEED, 5000)
    wide = rotation.forward(update.astype(np.float64), 0.7, 0, 2)
    assert np.array_equal(rotation.forward(update, 0.7, 0, 2), wide)


def test_another_seed_is_another_map():
    update = np.ones(64)
    assert not np.array_equal(
        Rotation(SEED, 64).forward(update, 1.0, 0, 1),
        Rotation(bytes(32), 64).forward(update, 1.0, 0, 1),
    )


def test_beyond_2_to_the_32_blocks_the_words_are_at_their_position():
    rotation = Rotation(SEED, 1 << 40)
    last = rotation.blocks - 1
    assert rotation.sign_bits(last, last + 1).shape == (512,)
    assert rotation.group_span(last // GROUP_BLOCKS) == (last + 1 - 256, 256)
    assert not np.array_equal(rotation.shifts(0), rotation.shifts(last // 256))
