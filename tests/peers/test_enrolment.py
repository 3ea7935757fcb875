"""peers.enrolment: acceptance and how two rosters differ."""

import dataclasses

import pytest

from peers import enrolment
from peers.card import Card, EnrolmentError
from secagg import errors
from secagg.entropy import SeededEntropy
from secagg.identity import Identity
from secagg.names import PeerId
from secagg.roster import Roster


def identity_of(peer, seed=None):
    return Identity.generate(PeerId(peer), SeededEntropy((seed or peer).encode()))


def card_of(peer, seed=None):
    return Card.of(identity_of(peer, seed), name=peer.title())


def test_accepting_a_card_makes_the_next_version() -> None:
    empty = Roster.beginning("Cardio")
    one = enrolment.accept(card_of("zug"), role="hospital", roster=empty)
    two = enrolment.accept(card_of("bern"), role="hospital", roster=one)
    assert two.version == 2
    assert [member.id for member in two.members] == ["bern", "zug"]


def test_the_same_card_is_not_accepted_twice() -> None:
    one = enrolment.accept(
        card_of("bern"), role="hospital", roster=Roster.beginning("Cardio")
    )
    with pytest.raises(EnrolmentError, match="already"):
        enrolment.accept(card_of("bern"), role="hospital", roster=one)


def base():
    return enrolment.accept(
        card_of("bern"), role="hospital", roster=Roster.beginning("Cardio")
    )


def test_another_key_for_a_member_is_not_accepted_but_rotated() -> None:
    other = card_of("bern", "another seed")
    with pytest.raises(EnrolmentError, match="secagg roster rotate"):
        enrolment.accept(other, role="hospital", roster=base())


def test_a_key_that_the_old_one_signed_takes_its_place() -> None:
    card = Card.of(identity_of("bern", "next"), old=identity_of("bern"))
    after = enrolment.rotate(Card.from_json(card.to_json()), roster=base())
    assert after.member("bern").key == card.key
    assert after.member("bern").name == "Bern"
    assert after.version == 2


@pytest.mark.parametrize("old", [None, "someone else"])
def test_2_1_7_a_key_that_the_old_one_did_not_sign_is_refused(old) -> None:
    signer = None if old is None else identity_of("bern", old)
    card = Card.of(identity_of("bern", "next"), old=signer)
    with pytest.raises(EnrolmentError, match=r"2\.1-7"):
        enrolment.rotate(card, roster=base())
    after = enrolment.rotate(card, roster=base(), old_key_lost=True)
    assert after.member("bern").key == card.key


EDITS = {
    "id": "zug",
    "name": "B",
    "key": card_of("zug").key,
    "proof": bytes(64),
    "old_key": card_of("zug").key,
    "old_proof": bytes(64),
}


@pytest.mark.parametrize("field", EDITS)
def test_2_1_7_a_card_that_was_edited_is_refused(field) -> None:
    card = Card.of(identity_of("bern", "next"), "Bern", old=identity_of("bern"))
    edited = dataclasses.replace(card, **{field: EDITS[field]})
    with pytest.raises(EnrolmentError, match=r"2\.1-7"):
        enrolment.rotate(edited, roster=base())
    with pytest.raises(EnrolmentError, match=r"2\.1-7"):
        enrolment.accept(edited, role="hospital", roster=base())


def test_2_1_7_an_old_key_without_its_signature_is_refused() -> None:
    card = Card.of(identity_of("bern", "next"), old=identity_of("bern"))
    with pytest.raises(EnrolmentError, match=r"2\.1-7"):
        enrolment.rotate(dataclasses.replace(card, old_proof=None), roster=base())


def test_the_key_of_now_is_no_rotation() -> None:
    with pytest.raises(EnrolmentError, match="already"):
        enrolment.rotate(card_of("bern"), roster=base())


def test_a_stranger_is_neither_rotated_nor_revoked() -> None:
    with pytest.raises(EnrolmentError, match=r"'zug' is not .* `secagg roster accept`"):
        enrolment.rotate(card_of("zug"), roster=base())
    with pytest.raises(EnrolmentError, match="'zug' is not in version 1"):
        enrolment.revoke("zug", roster=base())


def test_a_revoked_member_is_not_in_the_next_version() -> None:
    two = enrolment.accept(card_of("zug"), role="hospital", roster=base())
    after = enrolment.revoke("bern", roster=two)
    assert (after.version, after.previous) == (3, two.hash)
    assert after.hospitals == ("zug",)


def test_2_1_3_one_key_for_two_members_is_refused() -> None:
    one = enrolment.accept(
        card_of("bern"), role="hospital", roster=Roster.beginning("Cardio")
    )
    twin = Card.of(dataclasses.replace(identity_of("bern"), id=PeerId("zug")))
    with pytest.raises(errors.RemoteProtocolError) as caught:
        enrolment.accept(twin, role="hospital", roster=one)
    assert caught.value.rule == "2.1-3"


def test_a_written_roster_is_verified(tmp_path) -> None:
    path = tmp_path / "roster.json"
    consortium = identity_of("consortium")
    roster = enrolment.accept(
        card_of("bern"), role="hospital", roster=Roster.beginning("Cardio")
    )
    enrolment.write_roster(path, enrolment.sign_next(None, roster, consortium))
    assert enrolment.verified(path, consortium.key.public).newest == roster
    with pytest.raises(EnrolmentError, match=r"2\.1-2"):
        enrolment.verified(path, identity_of("mallory").key.public)


def test_a_roster_that_cannot_be_written_is_told(tmp_path) -> None:
    path = tmp_path / "missing" / "roster.json"
    with pytest.raises(errors.StateError, match="cannot write"):
        enrolment.write_roster(
            path, enrolment.sign_next(None, base(), identity_of("consortium"))
        )


BASE = enrolment.accept(
    card_of("bern"), role="hospital", roster=Roster.beginning("Cardio")
)
ANOTHER_KEY = enrolment.accept(
    card_of("bern", "another"), role="hospital", roster=Roster.beginning("Cardio")
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
