"""peers.card: requests to enter the roster."""

import pytest

from peers.card import Card, EnrolmentError, read_card, read_public
from protocol_spec.model import roster as model
from tests.peers.test_enrolment import card_of, identity_of


def test_a_card_comes_back_from_its_file() -> None:
    card = card_of("bern")
    assert Card.from_json(card.to_json()) == card


def test_a_card_holds_no_secret() -> None:
    identity = identity_of("bern")
    assert identity.seed.hex() not in Card.of(identity).to_json()


def test_the_public_half_of_an_identity_file_is_read_and_no_card_made(tmp_path):
    path = tmp_path / "bern.identity.json"
    identity_of("bern").save(path)
    assert read_public(path).key == identity_of("bern").key.public
    with pytest.raises(EnrolmentError, match="secret file"):
        read_card(path)


def test_another_file_is_no_card(tmp_path) -> None:
    path = tmp_path / "x.json"
    path.write_text("{}")
    with pytest.raises(EnrolmentError, match=r"x\.json"):
        read_card(path)


def test_a_request_is_signed_as_the_model_signs_it() -> None:
    identity, old = identity_of("bern", "next"), identity_of("bern")
    card = Card.of(identity, "Bern", old=old)
    body = model.request_body("bern", "Bern", identity.key.public, old.key.public)
    assert card.proof == model.sign_request(identity.seed, body)
    assert card.old_proof == model.sign_request(old.seed, body)
