"""secagg.rounds.own_part: where a member finds its own signature."""

from dataclasses import replace

import pytest

from secagg import codec
from secagg import messages as msg
from secagg.names import PeerId
from secagg.rounds.own_part import OwnPart, in_link
from tests.helpers import scene, silo, silos

MEMBERS = 5


def link(**changes):
    """A link of four members, of whom silo 4 was silent from its vote on."""
    world = scene(silent={4: changes.pop("since", "consistency")}, **changes)
    world.run()
    return world.server.evidence()


@pytest.fixture(scope="module")
def past():
    return link()


def part(past, me):
    return in_link(past, me=me, members=MEMBERS)


def test_who_is_in_the_sum_has_a_part(past) -> None:
    """Rule 9-6; also silo 4, which did not vote: its root was signed."""
    for me in silos(1, 2, 3, 4):
        assert part(past, me) == OwnPart(round_no=1, attempt=1, included=True)


def test_who_voted_has_a_part_without_being_in_the_sum() -> None:
    late = link(since="masked_input")
    assert part(late, silo(4)) is None
    votes = codec.decode_body("Certificate", late.certificate, members=MEMBERS)
    assert isinstance(votes, msg.Certificate)
    rows = (*votes.votes[:2], msg.SignedVote(peer=silo(4), signature=bytes(64)))
    body = codec.encode_body(msg.Certificate(votes=rows))
    voted = part(replace(late, certificate=body), silo(4))
    assert voted == OwnPart(round_no=1, attempt=1)


def test_a_stranger_has_none(past) -> None:
    assert part(past, PeerId("nobody")) is None


def test_the_noise_of_a_release_comes_with_it() -> None:
    noise = msg.NoiseTerms(
        mechanism="discrete-gaussian",
        noise_multiplier=2.0,
        adjacency="zero-out",
        delta=1e-5,
    )
    found = part(link(dp=noise), silo(1))
    assert found is not None
    assert found.noise == noise
