"""The kept corpus through every decoder: a typed refusal, or the same bytes again."""

import pathlib
import tracemalloc

import pytest

from tests.fuzz.run import CORPUS
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS, Target, attempt

MEMORY = 1 << 20
"""What a decoder may allocate besides a multiple of what it is given, in bytes."""


def kept(target: str) -> list[pathlib.Path]:
    return sorted((CORPUS / target).iterdir())


@pytest.mark.parametrize("target", TARGETS)
def test_what_good_parties_say_is_taken(target) -> None:
    found = seeds(target)
    assert found
    for data in found:
        TARGETS[target](data)


@pytest.mark.parametrize("target", TARGETS)
def test_the_corpus_is_refused_by_a_typed_error_or_comes_back_as_it_was(target) -> None:
    found = kept(target)
    assert found
    for path in found:
        attempt(target, path.read_bytes())


@pytest.mark.parametrize("target", sorted(set(TARGETS) - {"config", "parameters"}))
def test_no_input_makes_a_decoder_allocate_out_of_proportion(target) -> None:
    inputs = [path.read_bytes() for path in kept(target)]
    for data in inputs:
        attempt(target, data)
    tracemalloc.start()
    try:
        for data in inputs:
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            attempt(target, data)
            peak = tracemalloc.get_traced_memory()[1] - before
            assert peak <= MEMORY + 100 * len(data)
    finally:
        tracemalloc.stop()


def test_a_broken_decoder_is_noticed(monkeypatch) -> None:
    broken = Target(lambda data: [][0], TARGETS["body"].refuses)
    monkeypatch.setitem(TARGETS, "body", broken)
    with pytest.raises(IndexError):
        attempt("body", b"")
