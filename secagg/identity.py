"""An identity: a member's id and its Ed25519 key, and the file that holds them.

The public half is enrolled in the roster out of band; the secret half never leaves the
machine it was made on. The file is refused if other accounts there may read it, and may
be encrypted under a passphrase.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

from secagg import errors, jsontext, keyfile
from secagg.crypto import passphrase as sealing
from secagg.crypto.fingerprint import fingerprint
from secagg.crypto.passphrase import Passphrase
from secagg.crypto.sign import SEED_SIZE, SigningKey
from secagg.entropy import Entropy
from secagg.names import PEER_ID, PeerId

FORMAT: Final = "secagg-identity/1"
"""What an identity file calls itself."""

ENCRYPTED_FORMAT: Final = "secagg-identity-encrypted/1"
"""What one calls itself that opens with a passphrase alone."""

Ask: TypeAlias = Callable[[], Passphrase]
"""Gets the passphrase; called for an encrypted file alone."""

_FIELDS: Final = ("id", "public", "seed")
_ENCRYPTED_FIELDS: Final = ("id", "public", "salt", "key")
_WHAT: Final = "the identity"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Identity:
    """Who this process is.

    Attributes:
        id: as in the roster.
        seed: the secret of the key, 32 bytes; never shown.
        key: the signing key made from it.

    Raises:
        ParameterError: the id is not well-formed, or the seed is not 32 bytes.
    """

    id: PeerId
    seed: bytes
    key: SigningKey = field(init=False)

    def __post_init__(self) -> None:
        """Derive the key."""
        if not PEER_ID.fullmatch(self.id):
            raise errors.ParameterError(
                f"the id {self.id!r} is not 1 to 64 of a-z, 0-9 and -"
            )
        object.__setattr__(self, "key", SigningKey(self.seed))

    def __repr__(self) -> str:
        """Show who it is, and no secret."""
        return f"Identity({self.id!r}, <redacted>, fingerprint={self.fingerprint})"

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the public key, to compare by telephone."""
        return fingerprint(self.key.public)

    @classmethod
    def generate(cls, id: PeerId, entropy: Entropy) -> Identity:
        """Make a new identity; its seed is drawn as ``identity``."""
        return cls(id, entropy.draw("identity", SEED_SIZE))

    @classmethod
    def load(cls, path: Path, ask: Ask | None = None) -> Identity:
        """Read an identity file.

        Args:
            path: the file.
            ask: gets the passphrase, should the file be encrypted.

        Raises:
            StateError: there is none, others may read it, it is damaged, or the
                passphrase is not its; the message says what to do.
        """
        text = _text(path)
        try:
            if not _is_encrypted(text):
                fields = jsontext.read("it", text, FORMAT, _FIELDS)
                seed = jsontext.blob("its seed", fields["seed"], SEED_SIZE)
            else:
                fields = _encrypted_fields(text)
                seed = _unsealed(fields, path, ask)
            peer, public = _public(fields)
            identity = cls(peer, seed)
        except errors.ParameterError as error:
            raise _damaged(path, str(error)) from None
        if identity.key.public != public:
            raise _damaged(path, "its public key is not that of its seed")
        return identity

    def save(self, path: Path, text: str | None = None) -> None:
        """Write a new identity file that only its owner may read.

        Args:
            path: the file.
            text: of `encrypted`; in clear if left out.

        Raises:
            StateError: the file exists already, or cannot be written.
        """
        try:
            keyfile.create(path, self.clear() if text is None else text)
        except FileExistsError:
            raise errors.StateError(
                f"{path} exists, and an identity is never overwritten: move it away, or"
                " choose another path"
            ) from None
        except OSError as error:
            raise _unwritten(path, error) from None

    def rewrite(self, path: Path, text: str) -> None:
        """Put `text`, of `clear` or `encrypted`, in the place of its own file.

        Raises:
            StateError: the file is another identity's, or cannot be written.
        """
        if public_half(path) != (self.id, self.key.public):
            raise errors.StateError(f"{path} holds another identity than {self.id}")
        try:
            keyfile.replace(path, text)
        except OSError as error:
            raise _unwritten(path, error) from None

    def clear(self) -> str:
        """Return the text of a file that whoever reads it can use."""
        return jsontext.write(FORMAT, {**self._public(), "seed": self.seed.hex()})

    def encrypted(self, passphrase: Passphrase, entropy: Entropy) -> str:
        """Return the text of a file that opens with the passphrase.

        Args:
            passphrase: 12 characters or more.
            entropy: the salt is drawn as ``passphrase_salt``.

        Raises:
            ParameterError: the passphrase is too short.
        """
        salt = entropy.draw("passphrase_salt", sealing.SALT_SIZE)
        sealed = sealing.seal(self.seed, passphrase, salt)
        fields = {**self._public(), "salt": salt.hex(), "key": sealed}
        return jsontext.write(ENCRYPTED_FORMAT, fields)

    def _public(self) -> dict[str, str]:
        return {"id": self.id, "public": self.key.public.hex()}


def public_half(path: Path) -> tuple[PeerId, bytes]:
    """Return the id and the public key of an identity file; no passphrase is needed.

    Raises:
        StateError: as `Identity.load`.
    """
    text = _text(path)
    try:
        if _is_encrypted(text):
            return _public(_encrypted_fields(text))
    except errors.ParameterError as error:
        raise _damaged(path, str(error)) from None
    identity = Identity.load(path)
    return identity.id, identity.key.public


def _text(path: Path) -> str:
    return keyfile.read(
        path,
        _WHAT,
        missing="make one with `secagg identity new`",
        leaked="if others may have read it, make a new identity and enrol that",
    )


def _is_encrypted(text: str) -> bool:
    return f'"{ENCRYPTED_FORMAT}"' in text


def _encrypted_fields(text: str) -> dict[str, Any]:
    return jsontext.read("it", text, ENCRYPTED_FORMAT, _ENCRYPTED_FIELDS)


def _public(fields: dict[str, Any]) -> tuple[PeerId, bytes]:
    peer = jsontext.typed("its id", fields["id"], str)
    return PeerId(peer), jsontext.blob("its public key", fields["public"], 32)


def _unsealed(fields: dict[str, Any], path: Path, ask: Ask | None) -> bytes:
    """Return the seed of an encrypted file."""
    salt = jsontext.blob("its salt", fields["salt"], sealing.SALT_SIZE)
    sealed = jsontext.typed("its key", fields["key"], str)
    if ask is None:
        raise errors.StateError(
            f"the identity in {path} opens with a passphrase, and none was given"
        )
    try:
        return sealing.unseal(sealed, ask(), salt)
    except errors.ParameterError as error:
        raise errors.StateError(
            f"cannot open the identity in {path}: {error}; check the passphrase, or"
            " restore the file from a backup"
        ) from None


def _unwritten(path: Path, error: OSError) -> errors.StateError:
    return errors.StateError(f"cannot write the identity to {path}: {error.strerror}")


def _damaged(path: Path, why: str) -> errors.StateError:
    return errors.StateError(
        f"{path} holds no usable identity: {why}; restore the file from a backup, or"
        " make a new identity with `secagg identity new` and enrol that"
    )
