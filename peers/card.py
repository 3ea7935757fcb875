"""Cards: requests to enter the roster.

A member makes its identity on its own machine and hands out a card: a request, public,
signed by its own key, and by the key that it replaces if it has one (rule 2.1-7).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from peers import text_file
from secagg import errors, jsontext
from secagg.crypto import canonical, kdf, sign
from secagg.crypto.fingerprint import fingerprint
from secagg.identity import Identity, public_half

CARD_FORMAT: Final = "secagg-card/2"
"""What a card calls itself."""

_CARD_FIELDS: Final = ("id", "name", "key", "proof", "old_key", "old_proof")
_IDENTITY: Final = '"secagg-identity'
_HEAD: Final = 200
"""Of a file, what says of which kind it is."""

_LABEL: Final = b"secagg/1/roster-request"


class EnrolmentError(Exception):
    """A card or a roster cannot be used as asked; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A request to enter the roster: the public half of an identity, with its proof.

    Attributes:
        id: what the protocol calls the member.
        name: what people call it.
        key: its Ed25519 public key, 32 bytes.
        proof: the signature of `key` over the request, 64 bytes.
        old_key: the key that it replaces, or None.
        old_proof: the signature of that key over the same request, or None.
    """

    id: str
    name: str
    key: bytes
    proof: bytes
    old_key: bytes | None = None
    old_proof: bytes | None = None

    @property
    def fingerprint(self) -> str:
        """What two people compare by telephone."""
        return fingerprint(self.key)

    @classmethod
    def of(
        cls, identity: Identity, name: str = "", *, old: Identity | None = None
    ) -> Card:
        """Return the card of an identity, which replaces `old` if that is given."""
        old_key = None if old is None else old.key.public
        said = _request(identity.id, name, identity.key.public, old_key)
        return cls(
            id=identity.id,
            name=name,
            key=identity.key.public,
            proof=identity.key.sign(said),
            old_key=old_key,
            old_proof=None if old is None else old.key.sign(said),
        )

    def require_proved(self) -> None:
        """Check that whoever made the card has its keys (rule 2.1-7).

        Raises:
            EnrolmentError: it does not; or the card was edited.
        """
        said = _request(self.id, self.name, self.key, self.old_key)
        proofs = [(self.key, self.proof)]
        if self.old_key is not None:
            proofs.append((self.old_key, self.old_proof or b""))
        if not all(sign.verify(key, proof, said) for key, proof in proofs):
            raise EnrolmentError(
                f"the card of {self.id} is not signed by its own key, or was edited"
                " since (rule 2.1-7): ask the member for its card again"
            )

    def to_json(self) -> str:
        """Return the text of a card file."""
        return jsontext.write(
            CARD_FORMAT,
            {
                "id": self.id,
                "name": self.name,
                "key": self.key.hex(),
                "proof": self.proof.hex(),
                "old_key": None if self.old_key is None else self.old_key.hex(),
                "old_proof": None if self.old_proof is None else self.old_proof.hex(),
            },
        )

    @classmethod
    def from_json(cls, text: str) -> Card:
        """Read the text of a card file.

        Raises:
            ParameterError: not a card; the message names the field.
        """
        fields = jsontext.read("the card", text, CARD_FORMAT, _CARD_FIELDS)
        renews = fields["old_key"] is not None
        return cls(
            id=jsontext.typed("the card's id", fields["id"], str),
            name=jsontext.typed("the card's name", fields["name"], str),
            key=jsontext.blob("the card's key", fields["key"], 32),
            proof=jsontext.blob("the card's proof", fields["proof"], 64),
            old_key=_blob(fields, "old_key", 32) if renews else None,
            old_proof=_blob(fields, "old_proof", 64) if renews else None,
        )


def _blob(fields: dict[str, Any], name: str, size: int) -> bytes:
    return jsontext.blob(f"the card's {name}", fields[name], size)


def _request(peer: str, name: str, key: bytes, old: bytes | None) -> bytes:
    """Return what a request's signatures are over (spec 2.1)."""
    return kdf.lp(_LABEL, canonical.pack((peer, name, key, old)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What is public of an identity, whoever vouches for it."""

    id: str
    name: str
    key: bytes


def read_public(path: Path) -> Shown:
    """Read what is public in a card or an identity file; no passphrase is needed.

    Raises:
        EnrolmentError: there is no such file, or it is neither.
        StateError: an identity file that others may read.
    """
    text = text_file.read(path, "make one with `secagg identity new`", EnrolmentError)
    if _IDENTITY in text[:_HEAD]:
        peer, key = public_half(path)
        return Shown(id=peer, name="", key=key)
    card = read_card(path)
    return Shown(id=card.id, name=card.name, key=card.key)


def require_none(path: Path) -> None:
    """Refuse a card where an identity file is meant.

    Before its mode is looked at, for a card may be read by all.

    Raises:
        EnrolmentError: it is one.
    """
    if not path.is_file():
        return
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return
    if CARD_FORMAT.encode() in head:
        raise EnrolmentError(
            f"{path} is a card, which is public: give the secret file that was made"
            " with it, ID.identity.json"
        )


def read_card(path: Path) -> Card:
    """Read a card.

    Raises:
        EnrolmentError: there is no such file, or it is no card.
    """
    text = text_file.read(
        path,
        "ask the member for what `secagg identity show --card` writes",
        EnrolmentError,
    )
    if _IDENTITY in text[:_HEAD]:
        raise EnrolmentError(
            f"{path} is a secret file, which stays where it is: hand in the card that"
            f" `secagg identity show {path} --card FILE` writes"
        )
    try:
        return Card.from_json(text)
    except errors.ParameterError as error:
        raise EnrolmentError(f"{path}: {error}") from None
