"""peers.enrolment: cards, acceptance and how two rosters differ."""

import dataclasses

import pytest

from peers import enrolment
from peers.enrolment import Card, EnrolmentError
from secagg import errors
from secagg.entropy import SeededEntropy
from secagg.identity import Identity
from secagg.names import PeerId


def identity_of(peer, seed=None):
    return Identity.generate(PeerId(peer), SeededEntropy((seed or peer).encode()))


def card_of(peer, seed=None):
    return Card.of(identity_of(peer, seed), name=peer.title())


def test_a_card_comes_back_from_its_file() -> None:
    card = card_of("bern")
    assert Card.from_json(card.to_json()) == card


def test_a_card_holds_no_secret() -> None:
    identity = identity_of("bern")
    assert identity.seed.hex() not in Card.of(identity).to_json()


def test_an_identity_file_is_read_as_its_card(tmp_path) -> None:
    path = tmp_path / "bern.identity.json"
    identity_of("bern").save(path)
    assert enrolment.read_card(path).key == identity_of("bern").key.public


def test_another_file_is_no_card(tmp_path) -> None:
    path = tmp_path / "x.json"
    path.write_text("{}")
    with pytest.raises(EnrolmentError, match=r"x\.json"):
        enrolment.read_card(path)


def test_accepting_a_card_makes_the_next_version() -> None:
    empty = enrolment.founded("Cardio")
    one = enrolment.accept(card_of("zug"), role="hospital", roster=empty)
    two = enrolment.accept(card_of("bern"), role="hospital", roster=one)
    assert two.version == 2
    assert [member.id for member in two.members] == ["bern", "zug"]


def test_the_same_card_is_not_accepted_twice() -> None:
    one = enrolment.accept(
        card_of("bern"), role="hospital", roster=enrolment.founded("Cardio")
    )
    with pytest.raises(EnrolmentError, match="already"):
        enrolment.accept(card_of("bern"), role="hospital", roster=one)


def test_another_key_for_a_member_needs_to_be_asked_for() -> None:
    one = enrolment.accept(
        card_of("bern"), role="hospital", roster=enrolment.founded("Cardio")
    )
    other = card_of("bern", "another seed")
    with pytest.raises(EnrolmentError, match="--replace"):
        enrolment.accept(other, role="hospital", roster=one)
    after = enrolment.accept(other, role="hospital", roster=one, key_may_change=True)
    assert after.member("bern").key == other.key


def test_2_1_3_one_key_for_two_members_is_refused() -> None:
    one = enrolment.accept(
        card_of("bern"), role="hospital", roster=enrolment.founded("Cardio")
    )
    twin = dataclasses.replace(card_of("bern"), id="zug")
    with pytest.raises(errors.RemoteProtocolError) as caught:
        enrolment.accept(twin, role="hospital", roster=one)
    assert caught.value.rule == "2.1-3"


def test_a_written_roster_is_verified(tmp_path) -> None:
    path = tmp_path / "roster.json"
    consortium = identity_of("consortium")
    roster = enrolment.accept(
        card_of("bern"), role="hospital", roster=enrolment.founded("Cardio")
    )
    enrolment.write_roster(path, roster, consortium)
    assert enrolment.verified(path, consortium.key.public) == roster
    with pytest.raises(EnrolmentError, match=r"2\.1-2"):
        enrolment.verified(path, identity_of("mallory").key.public)


def test_a_roster_that_cannot_be_written_is_told(tmp_path) -> None:
    path = tmp_path / "missing" / "roster.json"
    with pytest.raises(errors.StateError, match="cannot write"):
        enrolment.write_roster(
            path, enrolment.founded("Cardio"), identity_of("consortium")
        )


BASE = enrolment.accept(
    card_of("bern"), role="hospital", roster=enrolment.founded("Cardio")
)
ANOTHER_KEY = enrolment.accept(
    card_of("bern", "another"), role="hospital", roster=enrolment.founded("Cardio")
)
CHANGES = {
    "nothing": (BASE, []),
    "a key": (ANOTHER_KEY, ["bern: key"]),
    "a version": (dataclasses.replace(BASE, version=7), ["version: 1 here, 7 there"]),
    "the consortium": (dataclasses.replace(BASE, consortium="X"), ["consortium:"]),
    "one more": (
        enrolment.accept(card_of("zug"), role="hospital", roster=BASE),
        ["version:", "zug: only there"],
    ),
    "one less": (dataclasses.replace(BASE, members=()), ["bern: only here"]),
    "a role": (
        dataclasses.replace(
            BASE,
            members=(dataclasses.replace(BASE.members[0], role="aggregator"),),
        ),
        ["bern: hospital here, aggregator there"],
    ),
    "a name": (
        dataclasses.replace(
            BASE, members=(dataclasses.replace(BASE.members[0], name="B"),)
        ),
        ["bern: name 'Bern' here, 'B' there"],
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_differences_of_two_rosters_are_named(change) -> None:
    other, told = CHANGES[change]
    found = enrolment.differences(BASE, other)
    assert len(found) == len(told)
    assert all(line.startswith(start) for line, start in zip(found, told, strict=True))
